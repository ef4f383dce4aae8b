"""The page in a real Chromium, in front of a real service with real models."""

from __future__ import annotations

import base64
import importlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from heliograph.serving.access import Scope, create_key
from service import Service, start_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IN_CI = os.environ.get("CI") == "true"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SAMPLES = ("cat.png", "coffee.png", "astronaut.png", "rocket.jpg")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

playwright = importlib.import_module("playwright.sync_api") if find_spec("playwright") else None
expect: Any = playwright.expect if playwright else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; outside CI people may do without."""
    if playwright is None or CHROMIUM is None:
        missing = "Playwright" if playwright is None else "Chromium"
        (pytest.fail if IN_CI else pytest.skip)(f"{missing} is not installed")
    playwright.expect.set_options(timeout=60_000)
    with playwright.sync_playwright() as browsers:
        chromium = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


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


@pytest.fixture
def watched(browser: Browser, service: Service) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    found = Watched(context.new_page(), service.url)
    found.page.goto(service.url)
    yield found
    context.close()
    assert found.wrong == []


def drop(page: Page, files: list[Path]) -> None:
    """Drops files as a person does."""
    contents = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, text] of files) {
                const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
                transfer.items.add(new File([bytes], name));
            }
            return transfer;
        }""",
        contents,
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})


def test_pictures_that_are_dropped_get_labels_and_a_broken_one_its_problem(
    watched: Watched, samples: Path, tmp_path: Path
) -> None:
    page = watched.page
    broken = tmp_path / "broken.png"
    broken.write_bytes((samples / "cat.png").read_bytes()[:5000])
    page.get_by_label("Labels EfficientNet-Lite0").check()
    drop(page, [*(samples / name for name in SAMPLES), broken])
    expect(page.get_by_role("status")).to_have_text("5 done")
    cat = page.get_by_role("article").filter(has_text="cat.png")
    expect(cat.locator(".labels li")).to_have_count(3)
    expect(cat.locator(".label").filter(has_text="cat")).not_to_have_count(0)
    expect(page.get_by_role("article").filter(has_text="coffee.png")).to_contain_text("espresso")
    expect(cat).to_contain_text("infer")
    failed = page.get_by_role("article").filter(has_text="broken.png")
    expect(failed.locator(".problem")).to_have_text("The picture is broken")
    expect(page.locator(".answered")).to_have_count(4)


def test_a_character_is_drawn_large(watched: Watched, samples: Path) -> None:
    page = watched.page
    page.get_by_label("Character").check()
    page.set_input_files("#files", samples / "tsu.png")
    expect(page.locator(".answered .character")).to_have_text("つ")


def test_a_cut_out_can_be_downloaded(watched: Watched, data_folder: Path, samples: Path) -> None:
    page = watched.page
    page.get_by_label("Cut-out U²-Netp").check()
    page.set_input_files("#files", samples / "coffee.png")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download coffee-cutout.png").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_another_model_can_be_asked_about_the_same_pictures_and_all_can_be_cleared(
    watched: Watched, samples: Path
) -> None:
    page = watched.page
    page.set_input_files("#files", [samples / "cat.png", samples / "coffee.png"])
    expect(page.get_by_role("status")).to_have_text("2 done")
    page.get_by_label("Character").check()
    page.get_by_role("button", name="about these 2 too").click()
    expect(page.get_by_role("status")).to_have_text("4 done")
    page.get_by_role("button", name="Remove cat.png").first.click()
    expect(page.get_by_role("article")).to_have_count(3)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("article")).to_have_count(0)
    expect(page.get_by_role("heading", name="Answers")).to_be_hidden()


@contextmanager
def behind_a_path(url: str) -> Iterator[str]:
    """The address of a proxy that serves ``url`` below a path, and nothing elsewhere."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on(None)

        def do_POST(self) -> None:
            self.pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def pass_on(self, body: bytes | None) -> None:
            prefix, _, rest = self.path.partition("/some/path/")
            if prefix:
                self.send_error(404)
                return
            headers = {"Content-Type": self.headers.get("Content-Type", "text/plain")}
            with urlopen(Request(f"{url}/{rest}", body, headers)) as answer:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.read())

        def log_request(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_page_works_behind_a_path(browser: Browser, service: Service, samples: Path) -> None:
    with behind_a_path(service.url) as address:
        page = browser.new_page()
        found = Watched(page, f"{address}/some/path")
        page.goto(f"{address}/some/path/")
        page.get_by_label("Character").check()
        page.set_input_files("#files", samples / "tsu.png")
        expect(page.locator(".answered")).to_have_count(1)
        page.close()
    assert [text for text in found.wrong if "blob:" not in text] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(browser: Browser, service: Service, samples: Path, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(service.url)
    page.get_by_label("Labels EfficientNet-Lite0").check()
    page.set_input_files("#files", samples / "cat.png")
    expect(page.locator(".answered")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    context.close()


def test_a_service_that_is_busy_is_asked_again(
    browser: Browser, model_settings: dict[str, str], samples: Path
) -> None:
    with start_service(model_settings, models="kmnist", max_in_flight=1) as busy:
        page = browser.new_page()
        statuses: list[int] = []
        page.on("response", lambda response: statuses.append(response.status))
        page.goto(busy.url)
        page.get_by_label("Character").check()
        page.set_input_files("#files", 3 * [samples / "astronaut.png", samples / "coffee.png"])
        expect(page.locator(".answered")).to_have_count(6)
        page.close()
    assert 503 in statuses


def test_the_key_that_a_service_wants_is_asked_for_once(
    browser: Browser, model_settings: dict[str, str], samples: Path, tmp_path: Path
) -> None:
    key, stored = create_key("browser", [Scope.PREDICT])
    keys = tmp_path / "keys.txt"
    keys.write_text(stored.line())
    with start_service(model_settings, models="kmnist", api_keys_file=keys) as guarded:
        page = browser.new_page()
        page.goto(guarded.url)
        page.get_by_label("Key", exact=True).fill("hg_wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("dialog")).to_contain_text("does not know this key")
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Use it").click()
        page.get_by_label("Character").check()
        page.set_input_files("#files", samples / "coffee.png")
        expect(page.locator(".answered")).to_have_count(1)
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        page.close()
