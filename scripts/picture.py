"""Takes the README's picture: the page of a running service, with answers to the samples.

make picture     needs Chromium; HELIOGRAPH_CHROMIUM names another one than the one on the PATH
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE = (1200, 1060)
WORK = (("Labels", ("rocket.jpg",)), ("Character", ("tsu.png",)), ("Cut-out", ("coffee.png",)))


def main(address: str, samples: Path, target: Path) -> None:
    """Lets the page of ``address`` answer the samples and writes its picture to ``target``."""
    chromium = (
        os.environ.get("HELIOGRAPH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if chromium is None:
        sys.exit("picture: no Chromium on the PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address)
        for number, (task, names) in enumerate(WORK, 1):
            ask(page, task, [samples / name for name in names], number)
        page.mouse.move(0, 0)
        page.screenshot(path=target)
        browser.close()


def ask(page: Page, task: str, files: list[Path], answers: int) -> None:
    """Chooses a task, sends files, and waits until so many answers are there."""
    page.get_by_role("radio", name=task).check(force=True)
    page.locator("input[type=file]").first.set_input_files(files)
    page.get_by_text(f"{answers} done", exact=True).wait_for(timeout=60_000)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
