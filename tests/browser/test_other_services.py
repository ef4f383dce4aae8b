"""Answers that a test service does not give at will: sessions, numbers, dead jobs; a service without a queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser.pages import choose, expect, expect_done, opened, sign_in
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
DEAD = {
    "id": "3f0c9a4de1b24f7f9f2b7c1d5e6a8b90",
    "group": "3f0c9a4de1b24f7f9f2b7c1d5e6a8b91",
    "name": "deadly.png",
    "model": "u2netp",
    "state": "dead",
    "priority": "bulk",
    "attempts": 3,
    "worker": "worker-1",
    "accepted_at": "2026-01-01T00:00:00.000Z",
    "started_at": "2026-01-01T00:00:01.000Z",
    "finished_at": "2026-01-01T00:00:02.000Z",
    "expired": False,
    "problem": {
        "title": "Its worker was lost",
        "status": 500,
        "code": "attempts-exhausted",
        "detail": "Three times.",
    },
}
FLEET = {
    "bounds": {"min": 1, "max": 4},
    "read_only": False,
    "obstacle": "KEDA is not installed.",
    "workers": [
        {
            "name": f"worker-{state}",
            "state": state,
            "host": "node-1",
            "pid": None,
            "models": {},
            "holding": 1,
            "finished": 12345,
            "started_at": "2026-01-01T00:00:00.000Z",
            "seen_at": None,
            "reason": None,
        }
        for state in ("starting", "ready", "busy", "stopping", "gone")
    ],
}
NEEDS_QUEUE = {"title": "No queue", "status": 501, "code": "needs-queue-mode", "detail": "No queue here."}


def answer(page: Page, path: str, body: Any, *, status: int = 200) -> None:
    """Lets a route answer this."""

    def fulfil(route: Route) -> None:
        route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    page.route(path, fulfil)


def numbers(second: int, p95: float) -> str:
    told = {
        "at": f"2026-01-01T00:00:{second:02}.000Z",
        "waiting": 7,
        "running": 3,
        "accepted": 100,
        "finished": 10 * second,
        "dead": 1,
        "workers": {"ready": 1, "busy": 1},
        "p95_seconds": p95,
    }
    return f"id: {second}-0\nevent: numbers\ndata: {json.dumps(told)}\n\n"


def test_numbers_become_charts_and_dead_jobs_are_requeued(browser: Browser, service: Service) -> None:
    with opened(browser, service.url, "docs") as page:
        answer(page, "**/v1/fleet", FLEET)
        answer(page, "**/v1/fleet/log?*", {"actions": []})
        answer(page, "**/v1/jobs?*state=dead*", {"jobs": [DEAD]})
        stream = numbers(10, 0.5) + numbers(12, 0.75)
        page.route("**/v1/events", lambda route: route.fulfill(content_type="text/event-stream", body=stream))
        page.goto(f"{service.url}/#/fleet")
        expect(page.get_by_role("img", name="95 of 100 within 0.75")).to_have_count(1)
        expect(page.get_by_role("img", name="waiting 7, running 3")).to_have_count(1)
        expect(page.get_by_role("img", name="finished 10")).to_have_count(1)
        expect(page.get_by_text("KEDA is not installed.")).to_be_visible()
        expect(page.locator(".tile")).to_have_count(5)
        expect(page.locator(".tile .stop")).to_have_count(3)  # what leaves need not be stopped
        expect(page.locator(".dead")).to_contain_text("Its worker was lost: Three times.")
        with page.expect_request("**/requeue") as asked:
            page.get_by_role("button", name="Requeue deadly.png").click()
        assert asked.value.method == "POST"


def test_a_fleet_that_may_only_be_seen_has_nothing_to_click(browser: Browser, service: Service) -> None:
    with opened(browser, service.url, "docs") as page:
        answer(page, "**/v1/fleet", {**FLEET, "read_only": True})
        answer(page, "**/v1/fleet/log?*", {"actions": []})
        page.goto(f"{service.url}/#/fleet")
        expect(page.get_by_text("Workers can be seen from here, not changed.")).to_be_visible()
        expect(page.locator(".tile .stop")).to_have_count(0)
        expect(page.get_by_role("button", name="Apply")).to_be_disabled()


def test_a_session_is_begun_and_ended(browser: Browser, service: Service) -> None:
    sent: list[Any] = []
    caller = {"name": "ana", "scopes": ["predict", "operate"], "keys_asked": True}

    def session(route: Route) -> None:
        request = route.request
        if request.method == "POST":
            sent.append(json.loads(request.post_data or ""))
        elif request.method == "DELETE":
            sent.clear()
        body = (
            caller if sent else {"title": "No key", "status": 401, "code": "key-missing", "detail": "No key."}
        )
        route.fulfill(status=200 if sent else 401, content_type="application/json", body=json.dumps(body))

    with opened(browser, service.url, "docs") as page:
        page.route("**/v1/session", session)
        page.goto(service.url)
        expect(page.get_by_label("Key", exact=True)).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator(".connection")).not_to_have_text("Connection lost")
        page.get_by_role("button", name="Sign in").click()
        sign_in(page, "hg_secret")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert sent == [{"key": "hg_secret"}]
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


def test_a_service_without_jobs_and_events_still_answers_pictures(
    browser: Browser, service: Service, samples: Path
) -> None:
    with opened(browser, service.url, "docs") as page:
        for path in ("**/v1/events", "**/v1/jobs?*", "**/v1/fleet"):
            answer(page, path, NEEDS_QUEUE, status=501)
        page.goto(service.url)
        expect(page.locator(".connection")).to_have_text("On request")
        choose(page, "Character")
        page.set_input_files("#files", samples / "tsu.png")
        expect_done(page, 1)
        page.get_by_role("link", name="Jobs").click()
        expect(page.get_by_text("Jobs need a queue")).to_be_visible()
        page.get_by_role("link", name="Fleet").click()
        expect(page.get_by_role("main")).to_contain_text("while you wait")
