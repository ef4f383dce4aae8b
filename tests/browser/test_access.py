"""Who gets in, behind what, and what a busy service does to the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from browser.pages import Watched, choose, expect, expect_done, sign_in
from heliograph.serving.access import Scope, create_key
from service import Service, start_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


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
            if prefix or rest == "v1/events":  # this proxy passes no streams on
                self.send_error(404)
                return
            headers = {"Content-Type": self.headers.get("Content-Type", "text/plain")}
            try:
                answer = urlopen(Request(f"{url}/{rest}", body, headers))
            except HTTPError as refusal:
                answer = refusal
            with answer:
                self.send_response(answer.status or 200)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.read())

        def log_request(self, *args: object) -> None:
            pass

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_page_works_behind_a_path_that_passes_no_stream_on(
    browser: Browser, service: Service, samples: Path
) -> None:
    with behind_a_path(service.url) as address:
        page = browser.new_page()
        found = Watched(page, f"{address}/some/path")
        page.goto(f"{address}/some/path/")
        choose(page, "Character")
        page.set_input_files("#files", samples / "tsu.png")
        expect_done(page, 1)
        expect(page.locator(".connection")).to_have_text("Connection lost")
        page.close()
    assert [text for text in found.wrong if "blob:" not in text] == []


def test_a_service_that_is_busy_is_asked_again(
    browser: Browser, model_settings: dict[str, str], samples: Path
) -> None:
    with start_service(model_settings, models="kmnist", max_in_flight=1) as busy:
        page = browser.new_page()
        statuses: list[int] = []
        page.on("response", lambda response: statuses.append(response.status))
        page.goto(busy.url)
        choose(page, "Character")
        page.set_input_files("#files", 3 * [samples / "astronaut.png", samples / "coffee.png"])
        expect(page.locator(".card.done")).to_have_count(6)
        page.close()
    assert 503 in statuses


@pytest.mark.parametrize("scopes", [(Scope.PREDICT,), (Scope.PREDICT, Scope.OPERATE)], ids=len)
def test_a_key_is_asked_for_once_and_is_not_kept_where_scripts_read(
    browser: Browser,
    model_settings: dict[str, str],
    samples: Path,
    tmp_path: Path,
    scopes: tuple[Scope, ...],
) -> None:
    key, stored = create_key("browser", scopes)
    keys = tmp_path / "keys.txt"
    keys.write_text(stored.line())
    with start_service(model_settings, models="kmnist", api_keys_file=keys) as guarded:
        page = browser.new_page()
        page.goto(guarded.url)
        sign_in(page, "hg_wrong")
        expect(page.get_by_role("dialog")).to_contain_text("does not know this key")
        sign_in(page, key)
        choose(page, "Character")
        page.set_input_files("#files", samples / "coffee.png")
        expect_done(page, 1)
        expect(page.locator(".connection")).to_have_text("Live")
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        page.get_by_role("link", name="Fleet").click()
        told = "one process" if Scope.OPERATE in scopes else "a key needs the scope"
        expect(page.get_by_role("main")).to_contain_text(told)
        page.close()
