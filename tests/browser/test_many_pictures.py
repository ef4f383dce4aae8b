"""Five hundred pictures: few elements, bounded memory, no long pause, nothing that jumps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from browser.pages import choose, drop, expect, expect_done, opened
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
COUNT = 500
LONGEST_TASK = 200
WATCH_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const {value, hadRecentInput} of list.getEntries()) if (!hadRecentInput) window.shift += value;
    }).observe({type: "layout-shift"});
"""
SCROLL = """
    async () => {
        const height = document.documentElement.scrollHeight - innerHeight;
        for (let step = 0; step <= 120; step++) {
            scrollTo(0, (height * step) / 120);
            await new Promise(requestAnimationFrame);
        }
    }
"""


@contextmanager
def longest_task(browser: Browser, page: Page) -> Iterator[list[float]]:
    """Gets the milliseconds of the page's longest task: processor time, for others may want the processors too."""
    found: list[float] = []
    browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
    try:
        yield found
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [event["tdur"] for event in events if "tdur" in event and (event["pid"], event["tid"]) in mains]
    assert len(tasks) > 100
    found.append(max(tasks) / 1000)


def pictures() -> list[tuple[str, bytes]]:
    random = np.random.default_rng(1)
    made = []
    for number in range(COUNT):
        noise = random.integers(0, 255, (12, 16, 3), np.uint8)
        file = BytesIO()
        Image.fromarray(noise).resize((320, 240)).save(file, "JPEG")
        made.append((f"{number:03}.jpg", file.getvalue()))
    return made


def test_five_hundred_pictures_stay_quick(browser: Browser, service: Service) -> None:
    with opened(browser, service.url) as page:
        choose(page, "Character")
        expect(page.locator(".connection")).to_have_text("Live")
        devtools: Any = page.context.new_cdp_session(page)
        many = pictures()
        drop(page, many[:10])
        expect_done(page, 10)
        page.evaluate(WATCH_SHIFTS)
        with longest_task(browser, page) as answering:
            for start in range(10, COUNT, 70):
                drop(page, many[start : start + 70])
            expect_done(page, COUNT, patience=200)
        devtools.send("HeapProfiler.collectGarbage")
        assert devtools.send("Runtime.getHeapUsage")["usedSize"] < 40e6
        assert page.locator(".card").count() < 40
        assert page.evaluate("window.shift") < 0.1
        with longest_task(browser, page) as scrolling:
            page.evaluate(SCROLL)
        expect(page.locator(".card", has_text=f"{COUNT - 1:03}.jpg")).to_have_count(0)
        assert max(*answering, *scrolling) < LONGEST_TASK
