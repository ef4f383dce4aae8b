"""The kmnist model that ships: its files agree, and it is as good as its card says."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import heliograph
from heliograph.training import evaluation
from heliograph.training.characters import data, displacement

PACKAGE = Path(heliograph.__file__).parent / "catalogue" / "kmnist"
WEIGHTS = PACKAGE / "kmnist.onnx"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return tomllib.loads((PACKAGE / "model.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(WEIGHTS, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def held_out(data_folder: Path) -> data.Characters:
    return data.split(data.load(data_folder / "kmnist" / "split"))[1]


def logits_of(session: onnxruntime.InferenceSession, characters: data.Characters) -> Any:
    return session.run(None, {"pictures": data.normalise(characters.pictures)[:, None]})[0]


def test_the_weights_are_those_of_the_description(described: dict[str, Any]) -> None:
    (variant,) = described["variants"]
    weights = (PACKAGE / variant["file"]).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == variant["sha256"]
    assert len(weights) == variant["size_bytes"] < 1_000_000


def test_description_and_training_agree_on_input_and_labels(described: dict[str, Any]) -> None:
    given = described["input"]
    assert (given["width"], given["height"], given["channels"], given["layout"]) == (28, 28, "L", "NCHW")
    assert given["full_range"]
    assert (given["mean"], given["std"]) == ([data.MEAN], [data.STD])
    labels = (PACKAGE / described["labels"]).read_text(encoding="utf-8").splitlines()
    assert tuple(labels) == data.LABELS


def test_the_card_names_what_the_licences_ask_for(described: dict[str, Any]) -> None:
    card = (PACKAGE / "README.md").read_text(encoding="utf-8")
    for needed in ("CODH", "NIJL", "10.20676/00000341", "CC BY-SA 4.0", described["licence"]):
        assert needed in card
    assert f"{described['accuracy'][0]['value']:.1%}" in card


def test_the_batch_axis_is_free(session: onnxruntime.InferenceSession) -> None:
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape[1:], answer.shape[1:]) == ("pictures", [1, 28, 28], [10])
    pictures = np.random.default_rng(0).normal(size=(7, 1, 28, 28)).astype(np.float32)
    together = session.run(None, {"pictures": pictures})[0]
    alone = np.concatenate([session.run(None, {"pictures": pictures[i : i + 1]})[0] for i in range(7)])
    assert together.shape == (7, 10)
    assert together == pytest.approx(alone, abs=1e-4)


def test_it_is_right_on_characters_it_was_not_trained_on(
    session: onnxruntime.InferenceSession, held_out: data.Characters, described: dict[str, Any]
) -> None:
    found = evaluation.evaluate(logits_of(session, held_out), held_out.labels)
    assert found.total == 1000
    assert found.accuracy >= 0.965
    assert found.accuracy == pytest.approx(described["accuracy"][0]["value"], abs=0.001)
    assert min(found.recalls) >= 0.93
    assert found.confidence == pytest.approx(found.accuracy, abs=0.02), "probabilities cannot be believed"


@pytest.mark.parametrize(
    ("scale", "down", "right"),
    [(1.0, 2, 0), (1.0, -2, 0), (1.0, 0, 2), (1.0, 0, -2), (0.8, 0, 0), (0.75, 2, -2)],
)
def test_it_stays_right_where_characters_are_not_in_the_middle(
    session: onnxruntime.InferenceSession, held_out: data.Characters, scale: float, down: float, right: float
) -> None:
    moved = displacement.displaced(held_out, scale=scale, down=down, right=right)
    assert evaluation.evaluate(logits_of(session, moved), held_out.labels).accuracy >= 0.95


def test_no_picture_of_the_data_looks_like_dark_on_light(data_folder: Path) -> None:
    pictures = data.load(data_folder / "kmnist" / "split").pictures
    border = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    assert np.median(border, axis=1).max() <= 127
    assert border.mean(axis=1).max() <= 100
