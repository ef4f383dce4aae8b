"""Try it, in a real Chromium, in front of a real service with real models."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.pages import choose, drop, expect, expect_done, opened, photos
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_pictures_that_are_dropped_get_labels_and_a_broken_one_its_problem(page: Page, samples: Path) -> None:
    broken = ("broken.png", (samples / "cat.png").read_bytes()[:5000])
    choose(page, "Labels")
    drop(page, [*photos(samples, "cat.png", "coffee.png", "astronaut.png", "rocket.jpg"), broken])
    expect_done(page, 5)
    cat = page.locator(".card", has_text="cat.png")
    expect(cat.locator(".labels li")).to_have_count(3)
    expect(cat.locator(".label").filter(has_text="cat")).not_to_have_count(0)
    expect(cat.get_by_role("img", name="infer")).to_have_count(1)
    expect(page.locator(".card", has_text="coffee.png")).to_contain_text("espresso")
    failed = page.locator(".card", has_text="broken.png")
    expect(failed.locator(".problem")).to_have_text("The picture is broken")
    expect(failed).to_contain_text("picture-broken")
    failed.get_by_role("button", name="Try again").click()
    expect_done(page, 5)


@contextmanager
def another_model(page: Page) -> Iterator[None]:
    """Meanwhile the service lists another model, and tells of it."""

    def listed(route: Route) -> None:
        told = route.fetch().json()
        later = {**told["models"][0], "name": "later", "title": "Came later"}
        route.fulfill(json={**told, "models": [later, *told["models"]]})

    def shown(route: Route) -> None:
        route.fulfill(
            json={**route.fetch(url=route.request.url.replace("later", "kmnist")).json(), "name": "later"}
        )

    page.route("**/v1/models", listed)
    page.route("**/v1/models/later", shown)
    yield
    page.unroute_all(behavior="wait")  # or the page closes while one of these is being answered


def test_a_model_that_comes_later_is_shown_and_the_choice_stays(page: Page) -> None:
    choose(page, "Cut-out")
    with another_model(page):
        expect(page.locator(".connection")).to_have_text("Live")
        page.context.set_offline(True)
        expect(page.locator(".connection")).to_have_text("Connection lost")
        page.context.set_offline(False)
        expect(page.locator(".models")).to_contain_text("Came later")
        expect(page.get_by_role("radio", name="Cut-out").first).to_be_checked()


def test_a_model_that_comes_is_shown_without_any_news(browser: Browser, service: Service) -> None:
    with opened(browser, service.url, "docs") as page:
        page.clock.install()
        page.goto(service.url)
        choose(page, "Cut-out")
        with another_model(page):
            page.clock.fast_forward(31_000)
            expect(page.locator(".models")).to_contain_text("Came later")
            expect(page.get_by_role("radio", name="Cut-out").first).to_be_checked()


def test_a_picture_is_shown_whole_with_all_that_was_said(page: Page, samples: Path) -> None:
    choose(page, "Labels")
    drop(page, photos(samples, "cat.png"))
    expect_done(page, 1)
    opener = page.get_by_role("button", name="cat.png", exact=True)
    opener.click()
    dialog = page.get_by_role("dialog", name="cat.png")
    expect(dialog.locator(".labels li")).to_have_count(5)
    expect(dialog).to_contain_text("decode")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()


def test_the_last_request_is_told_as_code(page: Page, samples: Path) -> None:
    choose(page, "Labels")
    drop(page, photos(samples, "cat.png"))
    expect_done(page, 1)
    page.get_by_text("The last request as code").click()
    expect(page.locator(".code pre")).to_contain_text("curl -F image=@cat.png http://127.0.0.1")
    page.get_by_role("button", name="Python").click()
    expect(page.locator(".code pre")).to_contain_text('open("cat.png", "rb")')


def test_a_character_that_is_drawn_is_read(page: Page) -> None:
    choose(page, "Character")
    box = page.locator(".paper").bounding_box()
    assert box is not None
    scale = box["width"] / 280
    points = [(50, 120), (90, 90), (150, 75), (200, 90), (222, 130), (205, 180), (160, 215), (110, 228)]
    places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    expect(page.locator(".read .character")).to_have_text("つ")
    bright = page.evaluate(
        """() => {
            const seen = document.querySelector(".reading canvas");
            const {data} = seen.getContext("2d").getImageData(0, 0, seen.width, seen.height);
            return [seen.width, seen.height, data.filter((value, index) => index % 4 === 0 && value > 128).length];
        }"""
    )
    assert bright[:2] == [28, 28]
    assert 20 < bright[2] < 300  # a light stroke on a dark ground, as the model wants it
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".read")).to_contain_text("One of")


def test_a_character_in_a_file_is_shown_large(page: Page, samples: Path) -> None:
    choose(page, "Character")
    page.set_input_files("#files", samples / "tsu.png")
    expect(page.locator(".card .character")).to_have_text("つ")


def test_a_cut_out_is_compared_coloured_and_downloaded(page: Page, data_folder: Path, samples: Path) -> None:
    choose(page, "Cut-out")
    drop(page, photos(samples, "coffee.png"))
    expect_done(page, 1)
    slider = page.get_by_role("slider", name="Before and after: coffee.png")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert 10 < int(slider.input_value()) < 30
    before = int(slider.input_value())
    slider.press("ArrowRight")
    assert int(slider.input_value()) == before + 1
    page.get_by_role("button", name="Amber").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the cut-out of coffee.png").click()
    assert download.value.suggested_filename == "coffee-cutout.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_all_answers_are_downloaded_as_zip_csv_and_json(page: Page, data_folder: Path, samples: Path) -> None:
    choose(page, "Labels")
    drop(page, photos(samples, "cat.png"))
    choose(page, "Cut-out")
    drop(page, photos(samples, "coffee.png"))
    expect_done(page, 2)
    files = {}
    for kind in ("Zip", "CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        files[kind] = Path(download.value.path()).read_bytes()
    archive = zipfile.ZipFile(io.BytesIO(files["Zip"]))
    assert archive.testzip() is None
    assert set(archive.namelist()) == {"coffee-cutout.png", "answers.json", "answers.csv"}
    rows = list(csv.DictReader(io.StringIO(files["CSV"].decode())))
    assert [row["name"] for row in rows] == ["cat.png", "coffee.png"]
    answers = json.loads(files["JSON"])
    assert len(answers[0]["predictions"]) == 5
    assert answers[0]["timings_ms"]["infer"] > 0


def test_pictures_are_asked_about_again_cancelled_and_cleared(page: Page, samples: Path) -> None:
    page.set_input_files("#files", [samples / "cat.png", samples / "coffee.png"])
    expect_done(page, 2)
    choose(page, "Character")
    page.get_by_role("button", name="about these 2 too").click()
    expect_done(page, 4)
    page.get_by_role("button", name="Remove cat.png").first.click()
    expect_done(page, 3)
    drop(page, 20 * photos(samples, "astronaut.png"))
    page.get_by_role("button", name="Cancel all").click()
    expect_done(page, 23)
    expect(page.get_by_role("status").filter(has_text="without answer")).to_have_count(1)
    page.locator(".toolbar").get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="Answers")).to_have_count(0)


def test_offline_and_back(page: Page, samples: Path) -> None:
    expect(page.locator(".connection")).to_have_text("Live")
    page.context.set_offline(True)
    expect(page.locator(".connection")).to_have_text("Connection lost")
    choose(page, "Labels")
    drop(page, photos(samples, "cat.png"))
    expect(page.locator(".card")).to_contain_text("No connection")
    page.context.set_offline(False)
    expect_done(page, 1)
    expect(page.locator(".card .labels")).to_have_count(1)
    expect(page.locator(".connection")).to_have_text("Live")


def test_a_photo_of_twelve_megapixels(page: Page, data_folder: Path, samples: Path) -> None:
    from PIL import Image

    large = io.BytesIO()
    Image.open(samples / "astronaut.png").convert("RGB").resize((4000, 3000)).save(large, "JPEG", quality=88)
    choose(page, "Cut-out")
    drop(page, [("large.jpg", large.getvalue())])
    expect_done(page, 1, patience=90)
    expect(page.locator(".card")).to_contain_text("4000 × 3000")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(browser: Browser, service: Service, samples: Path, scheme: str) -> None:
    with opened(browser, service.url, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        choose(page, "Labels")
        page.set_input_files("#files", samples / "cat.png")
        expect_done(page, 1)
        for view in ("try", "fleet", "jobs"):
            page.goto(f"{service.url}/#/{view}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
