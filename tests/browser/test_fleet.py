"""Fleet and Jobs, in front of a real `heliograph up` with real models: stopped, scaled, watched from two pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from browser.pages import choose, drop, expect, expect_done, large, opened, photos
from service import Service, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NAMES = ("cat.png", "coffee.png", "astronaut.png", "rocket.jpg")


@pytest.fixture
def two_ready(fleet_service: Service) -> Service:
    """The fleet, once both workers wait for work."""

    def ready() -> bool:
        workers = fleet_service.get("/v1/fleet").json()["workers"]
        return [worker["state"] for worker in workers].count("ready") == 2

    wait_for("two workers", ready, patience=90)
    return fleet_service


def test_thirty_photos_are_all_answered_though_a_worker_is_stopped(
    browser: Browser, two_ready: Service, samples: Path
) -> None:
    with opened(browser, two_ready.url) as page, opened(browser, two_ready.url, "#/fleet") as other:
        expect(page.locator(".connection")).to_have_text("Live")
        choose(page, "Cut-out")
        expect(other.locator(".tile.ready")).to_have_count(2)
        drop(
            page,
            [(f"{number}-{name}", data) for number in range(8) for name, data in photos(samples, *NAMES)][
                :30
            ],
        )
        page.get_by_role("link", name="Fleet").click()
        page.get_by_role("button", name="Stop worker-").first.click()
        page.get_by_role("button", name="Stop it").click()
        expect(page.locator(".tile.stopping, .tile.gone")).not_to_have_count(0)
        expect(other.locator(".tile.stopping, .tile.gone")).not_to_have_count(0)
        expect(page.locator(".log li").filter(has_text="stop")).not_to_have_count(0)
        expect(page.locator(".log code").first).not_to_be_empty()
        page.get_by_role("link", name="Try it").click()
        expect_done(page, 30, patience=150)
        expect(page.locator(".toolbar [role=status]")).to_have_text("30 done")
        page.get_by_role("link", name="Fleet").click()
        expect(page.locator(".tile.ready, .tile.busy")).to_have_count(2, timeout=90_000)


def test_the_maximum_is_raised_and_every_page_knows(browser: Browser, two_ready: Service) -> None:
    with (
        opened(browser, two_ready.url, "#/fleet") as page,
        opened(browser, two_ready.url, "#/fleet") as other,
    ):
        page.get_by_role("button", name="At most: one more").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".bounds [role=status]")).to_contain_text("2 to 3 workers")
        expect(page.locator(".log li").first).to_contain_text("2 to 3 workers")
        expect(other.get_by_label("At most", exact=True)).to_have_value("3")
        page.get_by_role("button", name="At most: one less").click()
        page.get_by_role("button", name="Apply").click()
        expect(other.get_by_label("At most", exact=True)).to_have_value("2")


def test_jobs_are_listed_filtered_and_inspected(browser: Browser, two_ready: Service, samples: Path) -> None:
    # Names of their own: other tests leave jobs in the same deployment.
    files = [("image", (f"listed-{name}", data)) for name, data in photos(samples, "cat.png", "rocket.jpg")]
    with opened(browser, two_ready.url, "#/jobs") as page:
        expect(page.locator(".connection")).to_have_text("Live")
        assert httpx2.post(f"{two_ready.url}/v1/jobs", files=files, timeout=30).status_code == 202
        expect(page.locator("tbody tr", has_text="listed-").locator(".dot.done")).to_have_count(2)
        page.get_by_role("button", name="dead", exact=True).click()
        expect(page.get_by_text("No job is like that.")).to_be_visible()
        page.get_by_role("button", name="done", exact=True).click()
        page.get_by_label("Filter by").fill("listed-rocket")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="listed-rocket.jpg").click()
        dialog = page.get_by_role("dialog", name="listed-rocket.jpg")
        expect(dialog.locator(".labels li")).to_have_count(3)
        expect(dialog).to_contain_text("worker-")
        dialog.get_by_role("button", name="Remove its result").click()
        expect(page.get_by_text("No job is like that.")).to_be_visible()  # it is over, and listed no more


def test_a_job_is_cancelled(browser: Browser, two_ready: Service, samples: Path) -> None:
    cat = large(samples / "cat.png")
    files = [("image", (f"{n}.jpg", cat)) for n in range(40)]
    with opened(browser, two_ready.url, "#/jobs") as page:
        expect(page.locator(".connection")).to_have_text("Live")
        receipt = httpx2.post(f"{two_ready.url}/v1/jobs?model=silhouette", files=files, timeout=30).json()
        page.get_by_label("Filter by").fill(receipt["jobs"][-1]["id"])
        page.get_by_role("button", name="39.jpg").click()
        page.get_by_role("button", name="Cancel the job").click()
        expect(page.get_by_role("dialog").locator(".dot.cancelled")).to_have_count(1)
        for job in receipt["jobs"]:
            httpx2.delete(f"{two_ready.url}/v1/jobs/{job['id']}")
