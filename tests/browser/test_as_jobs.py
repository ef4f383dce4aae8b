"""Pictures that are sent as jobs: many in a request, followed to their end, cancelled, sent again when nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.pages import choose, drop, expect, expect_done, large, opened, photos
from service import Service, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
COUNT = 120
AT_MOST = 50  # pictures in one request
LOSE_BODIES = """() => {
    const real = window.fetch, lost = new Set();
    window.fetch = async (path, options) => {
        const response = await real(path, options);
        const kind = /v1[/]jobs$|[/]result$/.exec(path)?.[0];
        if (!kind || lost.has(kind)) return response;
        lost.add(kind);
        const body = new ReadableStream({ start: (stream) => stream.error(new TypeError("network error")) });
        return new Response(body, response);
    };
}"""
"""The connection drops behind the headers of the first answer of each kind."""


def send_as_jobs(page: Page) -> list[Request]:
    """Turns the switch; the requests that bring jobs, as they are made."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.get_by_role("switch", name="As jobs").check()
    return sent


def test_hundreds_go_in_few_requests_and_each_gets_its_own_answer(
    browser: Browser, fleet_service: Service, samples: Path
) -> None:
    broken = ("broken.png", (samples / "cat.png").read_bytes()[:100])
    cats, cups = photos(samples, "cat.png", "coffee.png")
    with opened(browser, fleet_service.url) as page:
        choose(page, "Labels")
        sent = send_as_jobs(page)
        drop(page, [cats, cups, broken, *((COUNT - 3) * [cats])])
        expect_done(page, COUNT, patience=150)
        expect(page.get_by_role("status").filter(has_text="1 without answer")).to_have_count(1)
        paths = {request.url.removeprefix(fleet_service.url) for request in sent}
        assert (paths, len(sent)) == ({"/v1/jobs"}, -(-COUNT // AT_MOST))
        expect(page.locator(".card", has_text="coffee.png")).to_contain_text("espresso")
        expect(page.locator(".card", has_text="broken.png")).to_contain_text("picture-broken")
        expect(page.locator(".card .worker").first).to_contain_text("worker-")
        page.get_by_text("The last request as code").click()
        expect(page.locator(".code pre")).to_contain_text("/v1/jobs?model=efficientnet-lite0")
        page.get_by_role("link", name="Jobs").click()
        page.get_by_label("Filter by").fill("cat (40).png")
        expect(page.locator("tbody tr .dot.done")).not_to_have_count(0)


def test_they_are_cancelled_wherever_they_are(
    browser: Browser, fleet_service: Service, samples: Path
) -> None:
    with opened(browser, fleet_service.url) as page:
        choose(page, "Cut-out")
        send_as_jobs(page)
        drop(page, 60 * [("large cup.jpg", large(samples / "coffee.png"))])
        wait_for("some jobs that run and some that wait", lambda: all(unfinished(fleet_service)), patience=60)
        page.get_by_role("button", name="Cancel all").click()
        expect_done(page, 60)
    wait_for("no job that goes on", lambda: not any(unfinished(fleet_service)), patience=60)
    cancelled = fleet_service.get("/v1/jobs?state=cancelled").json()["jobs"]
    assert any(job["name"].startswith("large cup") for job in cancelled)


def unfinished(service: Service) -> tuple[int, int]:
    """How many jobs run and how many wait, of the first hundred of each."""
    running, queued = (
        service.get(f"/v1/jobs?state={state}").json()["jobs"] for state in ("running", "queued")
    )
    return len(running), len(queued)


def test_a_request_that_nobody_took_is_made_again_as_the_same(page: Page, samples: Path) -> None:
    keys: list[str | None] = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) == 1:
            route.fetch()  # it arrives, and its answer is lost
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/jobs", lose_the_first)
    choose(page, "Character")
    send_as_jobs(page)
    page.set_input_files("#files", samples / "tsu.png")
    expect(page.locator(".card .character")).to_have_text("つ")
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_an_answer_that_is_lost_behind_its_headers_is_asked_for_again(page: Page, samples: Path) -> None:
    choose(page, "Character")
    sent = send_as_jobs(page)
    page.evaluate(LOSE_BODIES)
    page.set_input_files("#files", samples / "tsu.png")
    expect(page.locator(".card .character")).to_have_text("つ")
    assert len(sent) == 2
    assert len({request.header_value("idempotency-key") for request in sent}) == 1


def test_a_look_at_jobs_that_hangs_does_not_end_looking(page: Page, samples: Path) -> None:
    looks: list[str] = []

    def hang_at_first(route: Route) -> None:
        looks.append(route.request.url)
        if len(looks) > 1:
            route.continue_()

    page.route("**/v1/groups/**", hang_at_first)
    choose(page, "Character")
    send_as_jobs(page)
    page.set_input_files("#files", samples / "tsu.png")
    expect(page.locator(".card .character")).to_have_text("つ")
    assert len(looks) > 1


def test_a_name_that_is_cut_within_a_character_is_known_again(page: Page, samples: Path) -> None:
    name = f"\U0001f600{195 * 'a'}.png"  # its last 200 units of UTF-16 begin with half of the first character
    choose(page, "Labels")
    send_as_jobs(page)
    drop(page, [*photos(samples, "cat.png"), (name, b"no picture")])
    expect_done(page, 2)
    expect(page.locator(".card", has_text="aaa.png")).to_contain_text("picture-format-unknown")


def test_without_news_they_are_asked_for(browser: Browser, service: Service, samples: Path) -> None:
    with opened(browser, service.url, "docs") as page:
        page.route("**/v1/events", lambda route: route.abort())
        page.goto(service.url)
        expect(page.locator(".connection")).to_have_text("Connection lost")
        choose(page, "Labels")
        send_as_jobs(page)
        drop(page, photos(samples, "coffee.png"))
        expect(page.locator(".card")).to_contain_text("espresso")
