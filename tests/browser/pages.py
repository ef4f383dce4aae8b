"""The console as tests see it: a page that is watched, files that are dropped, and what axe-core finds."""

from __future__ import annotations

import base64
import importlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = importlib.import_module("playwright.sync_api") if find_spec("playwright") else None
expect: Any = playwright.expect if playwright else None
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_CI = os.environ.get("CI") == "true"
PATIENCE_SECONDS = 60
WIDTHS = (1280, 360)
SERIOUS = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium; outside CI people may do without."""
    if playwright is None or CHROMIUM is None:
        missing = "Playwright" if playwright is None else "Chromium"
        (pytest.fail if IN_CI else pytest.skip)(f"{missing} is not installed")
    playwright.expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, and what it did that it should not: errors on its console, requests to elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        # Chromium itself notes every answer that is not 2xx.
        page.on("console", lambda m: self.wrong.append(m.text) if self._is_error(m.type, m.text) else None)
        page.on("request", lambda request: self._check(request.url, origin))

    @staticmethod
    def _is_error(kind: str, text: str) -> bool:
        return kind in ("error", "warning") and not text.startswith("Failed to load resource")

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((f"{origin}/", f"blob:{origin}/")):
            self.wrong.append(f"request to {url}")


@contextmanager
def opened(browser: Browser, url: str, path: str = "", **options: Any) -> Iterator[Page]:
    """A page of its own; at the end nothing was wrong with it."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    watched = Watched(context.new_page(), url)
    watched.page.goto(f"{url}/{path}")
    yield watched.page
    context.close()
    assert watched.wrong == []


def sign_in(page: Page, key: str) -> None:
    """Gives the page the key that it asks for."""
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def drop(page: Page, files: Sequence[tuple[str, bytes]]) -> None:
    """Drops files as a person does."""
    contents = [[name, base64.b64encode(data).decode()] for name, data in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, text] of files) {
                transfer.items.add(new File([Uint8Array.fromBase64(text)], name));
            }
            return transfer;
        }""",
        contents,
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})


def photos(samples: Path, *names: str) -> list[tuple[str, bytes]]:
    """Samples, ready to be dropped."""
    return [(name, (samples / name).read_bytes()) for name in names]


def large(path: Path) -> bytes:
    """The picture 2,400 pixels across, as a JPEG: a cut-out of it takes a moment, however quick the model."""
    with Image.open(path) as picture:
        height = round(2400 * picture.height / picture.width)
        file = io.BytesIO()
        picture.convert("RGB").resize((2400, height)).save(file, "JPEG", quality=70)
    return file.getvalue()


def choose(page: Page, kind: str) -> None:
    """Chooses the model that does this."""
    page.get_by_role("radio", name=kind).first.check()


def expect_done(page: Page, count: int, *, patience: float = 60) -> None:
    """Waits until so many pictures are finished, well or not."""
    expect(page.locator(f".toolbar [data-done='{count}']")).to_have_count(1, timeout=1000 * patience)


def serious_findings(page: Page, modules: Path) -> list[str]:
    """What axe-core finds on the page that keeps people out."""
    page.evaluate((modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{each['id']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in SERIOUS
    ]
