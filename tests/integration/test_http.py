"""What the application answers, request by request: the real one, with models whose answers are known."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from integration.applications import Application, application, check_problem
from integration.tiny_models import colour_picture, write_models

RED, BLUE = colour_picture("red"), colour_picture("blue")
IN_BASE64 = base64.b64encode(RED).decode()
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def app(folder: Path) -> AsyncIterator[Application]:
    async with application(folder, max_request_pictures=4, max_request_bytes=400_000) as running:
        yield running


def form(*parts: str) -> bytes:
    """A multipart body by hand; each part is its head, an empty line and its data."""
    return "".join(f"--x\r\n{part}\r\n" for part in parts).encode() + b"--x--\r\n"


FIELD = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'

WAYS: dict[str, dict[str, Any]] = {
    "multipart": {"files": {"image": ("red.png", RED)}},
    "field images": {"files": {"images": ("red.png", RED)}},
    "field file": {"files": {"file": ("red.png", RED)}},
    "raw": {"content": RED, "headers": {"Content-Type": "image/png"}},
    "raw without a type": {"content": RED},
    "curl --data-binary": {
        "content": RED,
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    },
    "base64": {"json": {"image": IN_BASE64}},
    "base64 in lines": {"json": {"image": "\n".join([IN_BASE64[:40], IN_BASE64[40:]])}},
    "data URL": {"json": {"image": f"data:image/png;base64,{IN_BASE64}"}},
    "base64 list": {"json": {"image": [IN_BASE64]}},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
async def test_every_way_to_send_a_picture(app: Application, way: dict[str, Any]) -> None:
    response = await app.client.post("/classify", **way)
    assert response.status_code == 200, response.text
    assert response.json()[0]["label"] == "red"
    assert response.json()[0]["probability"] == pytest.approx(np.e / (np.e + 2), abs=1e-3)


BROKEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "no body": ({}, 400, "picture-missing"),
    "empty file": ({"files": {"image": ("a.png", b"")}}, 400, "picture-missing"),
    "no picture in the form": ({"files": {"top": (None, "1")}}, 400, "picture-missing"),
    "other field": ({"files": {"photo": ("a.png", RED)}}, 400, "request-malformed"),
    "not an image": ({"content": b"hello"}, 415, "picture-format-unknown"),
    "cut off image": ({"content": RED[:60]}, 422, "picture-broken"),
    "broken form": ({"content": b"nonsense", "headers": {"Content-Type": FORM}}, 400, "request-malformed"),
    "form without an end": (
        {"content": form(FIELD.format("image", "a"))[:-6], "headers": {"Content-Type": FORM}},
        400,
        "request-malformed",
    ),
    "no boundary": (
        {"content": form(), "headers": {"Content-Type": "multipart/form-data"}},
        400,
        "request-malformed",
    ),
    "too many parts": (
        {"content": form(*[FIELD.format("a", "b")] * 40), "headers": {"Content-Type": FORM}},
        413,
        "too-many-pictures",
    ),
    "too many pictures": ({"files": [("image", ("a.png", RED))] * 5}, 413, "too-many-pictures"),
    "two pictures": ({"files": [("image", ("a.png", RED))] * 2}, 413, "too-many-pictures"),
    "too large": ({"content": b"a" * 400_001}, 413, "request-too-large"),
    "not JSON": (
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        400,
        "request-malformed",
    ),
    "JSON list": ({"json": [IN_BASE64]}, 400, "request-malformed"),
    "JSON number": ({"json": {"image": 7}}, 400, "request-malformed"),
    "not base64": ({"json": {"image": "%%%"}}, 400, "request-malformed"),
    "JSON of many members": (
        {"content": b"[" + b"[]," * 90_000, "headers": {"Content-Type": "application/json"}},
        400,
        "request-malformed",
    ),
    "JSON of many pictures": ({"json": {"image": [""] * 5}}, 413, "too-many-pictures"),
    "deep JSON": (
        {"content": b"[" * 20_000, "headers": {"Content-Type": "application/json"}},
        400,
        "request-malformed",
    ),
    "unknown parameter": ({"content": RED, "params": {"topp": "1"}}, 400, "parameter-invalid"),
    "top 0": ({"content": RED, "params": {"top": "0"}}, 400, "parameter-invalid"),
    "top in Arabic digits": ({"content": RED, "params": {"top": "٣"}}, 400, "parameter-invalid"),
    "long parameter": ({"content": RED, "params": {"top": "1" * 2000}}, 400, "parameter-invalid"),
    "unknown model": ({"content": RED, "params": {"model": "no\ud7ff"}}, 404, "model-unknown"),
    "model of another task": (
        {"content": RED, "params": {"model": "brightness"}},
        400,
        "model-task-mismatch",
    ),
    "model without weights": ({"content": RED, "params": {"model": "absent"}}, 503, "model-unavailable"),
}


@pytest.mark.parametrize(("request_", "status", "code"), BROKEN.values(), ids=list(BROKEN))
async def test_every_refusal(app: Application, request_: dict[str, Any], status: int, code: str) -> None:
    check_problem(await app.client.post("/classify", **request_), status, code)
    assert app.services.admission.in_flight == 0
    after = await app.client.post("/classify", content=RED)
    assert after.status_code == 200


async def test_a_model_without_weights_says_what_helps(app: Application) -> None:
    response = await app.client.post("/v1/models/absent/predict", content=RED)
    problem = check_problem(response, 503, "model-unavailable")
    assert "HELIOGRAPH_MODEL_MIRRORS" in problem["detail"]
    assert int(response.headers["retry-after"]) >= 1


async def test_parameters_count_from_the_query_the_form_and_json(app: Application) -> None:
    ways: list[dict[str, Any]] = [
        {"params": {"top": "1"}, "content": RED},
        {"data": {"top": "1"}, "files": {"image": RED}},
        {"json": {"image": IN_BASE64, "top": 1}},
        {"params": {"top": "2"}, "data": {"top": "1"}, "files": {"image": RED}},
    ]
    for way in ways:
        response = await app.client.post("/classify", **way)
        assert len(response.json()) == 1, way


async def test_one_bad_picture_among_many_harms_no_other(app: Application) -> None:
    files = [("image", ("a.png", RED)), ("image", ("b.png", b"junk")), ("image", ("c\n.png", BLUE))]
    response = await app.client.post("/v1/models/colours/predict", files=files, params={"top": "1"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["model"], answer["version"]) == ("colours", "1")
    first, second, third = answer["results"]
    assert first["predictions"][0]["label"] == "red"
    assert set(first["timings_ms"]) == {"queue", "decode", "infer", "encode"}
    assert second["problem"]["code"] == "picture-format-unknown"
    assert second["name"] == "b.png"
    assert third["predictions"][0]["label"] == "blue"


def half_bright() -> bytes:
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    picture[:, 32:] = (255, 250, 245)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def opened(response: httpx2.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


def colour_at(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    """A pixel as (red, green, blue, alpha)."""
    return tuple(np.asarray(picture.convert("RGBA"))[y, x].tolist())


async def test_a_cut_out_has_the_size_of_the_picture_and_its_subject(app: Application) -> None:
    for path in ("/remove-background", "/v1/models/brightness/predict"):
        response = await app.client.post(path, content=half_bright())
        picture = opened(response)
        assert response.headers["content-type"] == "image/png"
        assert (picture.size, picture.mode) == ((64, 48), "RGBA")
        assert colour_at(picture, 60, 20) == (255, 250, 245, 250)
        assert colour_at(picture, 4, 20)[3] == 0


async def test_a_cut_out_as_mask_as_webp_and_on_a_colour(app: Application) -> None:
    async def cut_out(**data: str) -> httpx2.Response:
        return await app.client.post("/remove-background", files={"image": half_bright()}, data=data)

    mask = opened(await cut_out(output="mask"))
    assert (mask.mode, colour_at(mask, 4, 20)) == ("L", (0, 0, 0, 255))
    assert opened(await cut_out(format="webp")).format == "WEBP"
    blue = opened(await cut_out(background="#00f"))
    assert colour_at(blue, 4, 20)[:3] == (0, 0, 255)
    for wrong in ({"background": "blueish"}, {"format": "gif"}, {"output": "shadow"}):
        check_problem(await cut_out(**wrong), 400, "parameter-invalid")


async def test_a_cut_out_on_a_picture(app: Application) -> None:
    files = {"image": half_bright(), "background_image": colour_picture("lime", 64)}
    both = await app.client.post("/remove-background", files=files, data={"background": "#fff"})
    check_problem(both, 400, "parameter-invalid")
    picture = opened(await app.client.post("/remove-background", files=files))
    assert colour_at(picture, 4, 20)[:3] == (0, 255, 0)
    broken = await app.client.post("/remove-background", files={**files, "background_image": b"junk"})
    check_problem(broken, 415, "picture-format-unknown")


async def test_the_router_refuses_with_problems_too(app: Application) -> None:
    check_problem(await app.client.get("/nowhere"), 404, "route-unknown")
    wrong_method = await app.client.get("/classify")
    check_problem(wrong_method, 405, "method-not-allowed")
    assert wrong_method.headers["allow"] == "POST"
    check_problem(await app.client.options("/classify"), 405, "method-not-allowed")
    assert (await app.client.head("/livez")).status_code == 200


@pytest.mark.parametrize(("path", "method"), [("/classify", "POST"), ("/nowhere", "GET"), ("/livez", "GET")])
async def test_headers_of_every_answer(app: Application, path: str, method: str) -> None:
    response = await app.client.request(method, path, headers={"X-Request-ID": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["heliograph-worker"] == "worker-1"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("hostile", ["a b", "<script>", "x" * 65, "", 'a"b'])
async def test_a_hostile_request_id_is_replaced(app: Application, hostile: str) -> None:
    response = await app.client.get("/livez", headers={"X-Request-ID": hostile})
    assert response.headers["x-request-id"] != hostile
    assert len(response.headers["x-request-id"]) == 16


async def test_the_time_is_told_by_phase(app: Application) -> None:
    response = await app.client.post("/classify", content=RED)
    names = [entry.partition(";dur=")[0] for entry in response.headers["server-timing"].split(", ")]
    assert names == ["queue", "decode", "infer", "encode"]


async def test_models_tell_about_themselves(app: Application) -> None:
    listed = (await app.client.get("/v1/models")).json()
    assert listed["defaults"] == {"classification": "colours", "background-removal": "brightness"}
    states = {model["name"]: model["state"] for model in listed["models"]}
    assert states == {"colours": "ready", "brightness": "ready", "absent": "unavailable"}
    shown = (await app.client.get("/v1/models/colours")).json()
    assert shown["labels"] == ["red", "green", "blue"]
    assert shown["plan"]["precision"] == "fp32"
    check_problem(await app.client.get("/v1/models/nothing"), 404, "model-unknown")
    for name in ("colours", "colours-fp32"):
        assert (await app.client.post(f"/v1/models/{name}/predict", content=RED)).status_code == 200


async def test_metrics_parse_and_show_outcomes(app: Application) -> None:
    await app.client.post("/classify", content=RED)
    await app.client.post("/classify", content=RED[:60])
    await app.client.post("/classify")
    text = (await app.client.get("/metrics")).text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["heliograph_pictures_total", "classification", "colours", "ok"] == 1
    assert samples["heliograph_pictures_total", "classification", "colours", "picture-broken"] == 1
    assert samples["heliograph_rejected_total", "picture-missing"] == 1
    assert samples["heliograph_http_requests_total", "/classify", "200", "POST"] == 1
    assert samples["heliograph_requests_in_flight",] == 0


async def test_the_documentation_needs_no_internet(app: Application) -> None:
    document = (await app.client.get("/openapi.json")).json()
    assert json.dumps(document).count("/classify")
    for path in ("/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"):
        assert (await app.client.get(path)).status_code == 200
    check_problem(await app.client.get("/docs/..%2Fsecret"), 404, "route-unknown")
