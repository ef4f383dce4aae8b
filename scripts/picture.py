"""Takes the README's picture: the console of a running service, with answers to the samples.

make picture     needs Chromium; HELIOGRAPH_CHROMIUM names another one than the one on the PATH
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE = (1280, 1012)
WORK = (("Labels", ("rocket.jpg", "cat.png", "coffee.png")), ("Cut-out", ("astronaut.png", "coffee.png")))
CHARACTER = [
    (140 + 84 * math.cos(math.radians(angle)), 150 + 68 * math.sin(math.radians(angle)))
    for angle in range(200, 470, 10)
]
"""つ, a piece of an ellipse."""
PAD = 280


def main(address: str, samples: Path, target: Path) -> None:
    """Lets the console of ``address`` answer the samples and writes its picture to ``target``."""
    chromium = (
        os.environ.get("HELIOGRAPH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if chromium is None:
        sys.exit("picture: no Chromium on the PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        page.goto(address)
        answers = 0
        for task, names in WORK:
            answers += len(names)
            ask(page, task, [samples / name for name in names], answers)
        ask(page, "Character", [samples / "tsu.png"], answers + 1)
        draw(page)
        page.mouse.move(0, 0)
        page.screenshot(path=target)
        browser.close()


def ask(page: Page, task: str, files: list[Path], answers: int) -> None:
    """Chooses a task, sends files, and waits until so many answers are there."""
    page.get_by_role("radio", name=task).first.check(force=True)
    page.set_input_files("#files", files)
    page.locator(f"[data-done='{answers}']").wait_for(timeout=60_000)


def draw(page: Page) -> None:
    """Draws a character on the pad and waits until it is read."""
    box = page.locator(".paper").bounding_box()
    if box is None:
        sys.exit("picture: there is no pad.")
    places = [(box["x"] + x * box["width"] / PAD, box["y"] + y * box["height"] / PAD) for x, y in CHARACTER]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=2)
    page.mouse.up()
    page.locator(".read .character").wait_for()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
