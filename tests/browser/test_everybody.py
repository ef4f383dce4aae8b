"""For everybody: axe-core finds nothing serious in any state, in light and dark, wide and narrow; keys suffice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser.pages import WIDTHS, choose, drop, expect, expect_done, opened, photos, serious_findings
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_serious_keeps_anybody_out(
    browser: Browser, fleet_service: Service, samples: Path, console_tools: Path, scheme: str, width: int
) -> None:
    broken = ("broken.png", (samples / "cat.png").read_bytes()[:5000])
    options: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
        "bypass_csp": True,
    }
    with opened(browser, fleet_service.url, **options) as page:
        choose(page, "Labels")
        assert serious_findings(page, console_tools) == []
        drop(page, [*photos(samples, "cat.png"), broken])
        expect_done(page, 2)
        choose(page, "Character")
        page.get_by_text("About this model").click()
        page.get_by_text("The last request as code").click()
        assert serious_findings(page, console_tools) == []
        page.locator(".card").first.scroll_into_view_if_needed()
        page.get_by_role("button", name="cat.png", exact=True).click()
        assert serious_findings(page, console_tools) == []
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Fleet").click()
        expect(page.locator(".tile")).not_to_have_count(0)
        assert serious_findings(page, console_tools) == []
        page.get_by_role("button", name="Stop worker-").first.click()
        assert serious_findings(page, console_tools) == []
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Jobs").click()
        assert serious_findings(page, console_tools) == []


def test_one_process_says_what_more_would_add(
    browser: Browser, service: Service, console_tools: Path
) -> None:
    with opened(browser, service.url, "#/fleet", bypass_csp=True) as page:
        expect(page.get_by_role("main")).to_contain_text("heliograph up --workers 2")
        assert serious_findings(page, console_tools) == []


def test_a_picture_can_be_asked_about_with_keys_alone(page: Page, samples: Path) -> None:
    expect(page.get_by_role("radio")).not_to_have_count(0)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Character")).to_be_checked()
    focused: list[str] = []
    while "files" not in focused and len(focused) < 30:
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id"))
    assert focused[-1] == "files"
    page.set_input_files("#files", samples / "tsu.png")
    expect_done(page, 1)


def test_twice_as_large_nothing_is_cut_off(browser: Browser, service: Service, samples: Path) -> None:
    with opened(browser, service.url, viewport={"width": 640, "height": 400}, device_scale_factor=2) as page:
        drop(page, photos(samples, "cat.png"))
        expect_done(page, 1)
        for view in ("try", "fleet", "jobs"):
            page.goto(f"{service.url}/#/{view}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 640
