"""Right answers on real pictures, and the right refusals of hostile ones, through a real service."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.adapters.imaging.scoring import intersection_over_union, score
from heliograph.bootstrap.parts import load_direct
from heliograph.core.predictions import CutoutOptions, CutoutOutput
from heliograph.core.scores import MatteScore, mean_score
from heliograph.serving.direct import DirectModel
from heliograph.settings import Settings
from service import Service

ANSWER_SECONDS = 3.0
MEMORY_BYTES = 500_000_000


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes
    seconds: float


def post(service: Service, path: str, data: bytes) -> Answer:
    request = urllib.request.Request(service.url + path, data, {"Content-Type": "application/octet-stream"})
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read(), time.perf_counter() - started)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read(), time.perf_counter() - started)


def settings_of(environment: Mapping[str, str]) -> Settings:
    return Settings(
        model_dir=Path(environment["HELIOGRAPH_MODEL_DIR"]),
        model_mirrors=(Path(environment["HELIOGRAPH_MODEL_MIRRORS"]),),
    )


@pytest.mark.parametrize(("name", "expected"), [("cat.png", "cat"), ("coffee.png", "espresso")])
def test_samples_are_recognised(service: Service, samples: Path, name: str, expected: str) -> None:
    answer = post(service, "/classify", (samples / name).read_bytes())
    assert answer.status == 200
    assert expected in json.loads(answer.body)[0]["label"]
    assert "infer;dur=" in answer.headers["Server-Timing"]


def test_the_drawn_character_is_read(service: Service, samples: Path) -> None:
    answer = post(service, "/classify?model=kmnist", (samples / "tsu.png").read_bytes())
    best = json.loads(answer.body)[0]
    assert (best["label"], best["probability"] > 0.9) == ("つ", True)


def test_photographs_are_classified_as_well_as_by_the_reference(
    data_folder: Path, model_settings: dict[str, str]
) -> None:
    reference = json.loads((data_folder / "classifiers" / "efficientnet-lite0-reference.json").read_text())
    with load_direct("efficientnet-lite0", settings_of(model_settings)) as model:
        right = 0
        for name, row in reference["photos"].items():
            answer = model.classify((data_folder / "imagenet-sample" / name).read_bytes())
            right += answer.labels[0].label == model.spec.labels[row["class_index"]]
    assert right / len(reference["photos"]) >= 0.88


def test_cut_outs_agree_with_those_of_rembg(data_folder: Path, model_settings: dict[str, str]) -> None:
    goldens = sorted((data_folder / "matting" / "rembg").glob("*u2netp*.png"))
    assert goldens
    with load_direct("u2netp", settings_of(model_settings)) as model:
        for golden in goldens:
            source = source_of(golden)
            mask = model.cut_out(source.read_bytes(), CutoutOptions(output=CutoutOutput.MASK))
            truth = np.asarray(Image.open(golden).getchannel("A"))
            alpha = np.asarray(Image.open(io.BytesIO(mask.data)))
            assert intersection_over_union(alpha > 127, truth > 127) >= 0.96, golden.name


def source_of(golden: Path) -> Path:
    """The picture that a golden cut-out was made of."""
    stem = golden.name.removeprefix("results__").removesuffix(".u2netp.png")
    return golden.with_name(f"fixtures__{stem}.jpg")


def judged(model: DirectModel, pictures: Sequence[Path]) -> MatteScore:
    """The mean over pictures that have a mask, made by people, beside them."""
    scores = []
    for path in pictures:
        answer = model.cut_out(path.read_bytes(), CutoutOptions(output=CutoutOutput.MASK))
        alpha = np.asarray(Image.open(io.BytesIO(answer.data)))
        scores.append(score(alpha, np.asarray(Image.open(path.with_suffix(".png")).convert("L"))))
    return mean_score(scores)


def test_cut_outs_agree_with_people(data_folder: Path, model_settings: dict[str, str]) -> None:
    pictures = sorted((data_folder / "matting" / "ecssd").glob("*.jpg"))[::10]
    with load_direct("u2netp", settings_of(model_settings)) as model:
        assert judged(model, pictures).iou >= 0.83


def test_the_background_remover_that_ships_is_as_good_as_its_card_says(
    data_folder: Path, model_settings: dict[str, str]
) -> None:
    pictures = sorted((data_folder / "matting" / "ecssd").glob("*.jpg"))
    with load_direct("silhouette", settings_of(model_settings)) as model:
        said = {each.metric: each.value for each in model.spec.accuracy}
        found = judged(model, pictures)
    assert found.iou == pytest.approx(said["mean IoU at 0.5"], abs=0.003)
    assert found.boundary_f == pytest.approx(said["boundary F-measure, 3 pixels"], abs=0.003)
    assert found.mae == pytest.approx(said["MAE"], abs=0.003)
    assert found.iou >= 0.86
    assert found.boundary_f >= 0.78


def test_every_hard_file_gets_an_answer_or_a_problem(service: Service, data_folder: Path) -> None:
    files = sorted(path for path in (data_folder / "hard").rglob("*") if path.is_file())
    assert len(files) > 300
    before = service.resident_bytes()
    highest, wrong = before, []
    for path in files:
        answer = post(service, "/classify", path.read_bytes())
        highest = max(highest, service.resident_bytes())
        if answer.status not in (200, 400, 413, 415, 422) or answer.seconds > ANSWER_SECONDS:
            wrong.append((path.name, answer.status, round(answer.seconds, 2)))
        if answer.status != 200:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert json.loads(answer.body)["code"]
    assert wrong == []
    assert highest - before < MEMORY_BYTES
    with urllib.request.urlopen(service.url + "/livez", timeout=5) as alive:
        assert alive.status == 200


@pytest.mark.parametrize(
    "name", ["solid_black.png", "tiny_1x1.png", "tiny_1x5000.png", "rgba_fully_transparent.png"]
)
def test_odd_pictures_get_a_cut_out_of_their_size(service: Service, data_folder: Path, name: str) -> None:
    data = (data_folder / "hard" / "made" / name).read_bytes()
    answer = post(service, "/remove-background", data)
    assert answer.status == 200
    assert Image.open(io.BytesIO(answer.body)).size == Image.open(io.BytesIO(data)).size
