"""Five hundred pictures: few elements, bounded memory, no long pause, nothing that jumps."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from browser.pages import choose, drop, expect, expect_done, opened
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
COUNT = 500
MEASURE = """
    window.longest = 0;
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const {duration} of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({type: "longtask"});
    new PerformanceObserver((list) => {
        for (const {value, hadRecentInput} of list.getEntries()) if (!hadRecentInput) window.shift += value;
    }).observe({type: "layout-shift"});
"""
SCROLL = """
    async () => {
        let longest = 0, last = performance.now(), frames = 0;
        const height = document.documentElement.scrollHeight - innerHeight;
        for (let step = 0; step <= 120; step++) {
            scrollTo(0, (height * step) / 120);
            await new Promise(requestAnimationFrame);
            longest = Math.max(longest, performance.now() - last);
            last = performance.now();
            frames++;
        }
        return longest;
    }
"""


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
        page.evaluate(MEASURE)
        for start in range(10, COUNT, 70):
            drop(page, many[start : start + 70])
        expect_done(page, COUNT, patience=150)
        devtools.send("HeapProfiler.collectGarbage")
        heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
        measured = page.evaluate("({longest, shift, cards: document.querySelectorAll('.card').length})")
        assert measured["cards"] < 40
        assert measured["longest"] < 200
        assert measured["shift"] < 0.1
        assert heap < 40e6
        frame = page.evaluate(SCROLL)
        expect(page.locator(".card", has_text="000.jpg")).to_have_count(1)
        assert frame < 200
