"""Characters are learned, the same way each time, from where a training stopped, and exported as they were learned."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.adapters.models.manifest import read_package
from heliograph.core import errors
from heliograph.training import exporting, runs
from heliograph.training.characters import __main__ as program
from heliograph.training.characters import data, drawn, package
from heliograph.training.characters.train import Epoch, Recipe, prepare, train

pytestmark = pytest.mark.timeout(600)  # most of it is TensorFlow tracing a network

TEN = drawn.draw(10)
RECIPE = Recipe(epochs=12, batch=10)


class PowerCut(Exception):
    """What ends a training in these tests."""


def trained(
    folder: Path, recipe: Recipe = RECIPE, *, stop_after: int | None = None
) -> tuple[list[Epoch], str]:
    """The epochs of a training on ten characters, and a digest of the weights that come out."""
    epochs = []

    def report(epoch: Epoch) -> None:
        epochs.append(epoch)
        if epoch.number == stop_after:
            raise PowerCut

    facts = {"characters": len(TEN)}
    with runs.opened(folder, training="characters", recipe=recipe, data=facts) as run:
        model = train(TEN, recipe, run, report=report)
    weights = b"".join(np.asarray(weight).tobytes() for weight in model.weights)
    return epochs, hashlib.sha256(weights).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], str]:
    """A training that nothing interrupted."""
    return trained(tmp_path_factory.mktemp("whole"))


def test_the_loss_falls_on_ten_characters(whole: tuple[list[Epoch], str]) -> None:
    epochs, _ = whole
    assert [epoch.number for epoch in epochs] == list(range(1, 13))
    assert np.mean([e.loss for e in epochs[-3:]]) < 0.9 * np.mean([e.loss for e in epochs[:3]])


def test_the_same_seed_and_characters_give_the_same_model(
    whole: tuple[list[Epoch], str], tmp_path: Path
) -> None:
    assert trained(tmp_path)[1] == whole[1]


def test_another_seed_shows_other_pictures() -> None:
    (first,), (again,), (other,) = (prepare(TEN, replace(RECIPE, seed=seed), 0) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_an_interrupted_training_goes_on(
    whole: tuple[list[Epoch], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(PowerCut):
        trained(tmp_path, stop_after=5)
    # The report of the fifth epoch came before its checkpoint.
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-0004"]
    epochs, _ = trained(tmp_path)
    assert [epoch.number for epoch in epochs] == list(range(5, 13))
    assert epochs[0].loss == pytest.approx(whole[0][4].loss, rel=0.2), "only its dropout is another"


def test_a_short_training_ends_with_the_weights_that_it_learned() -> None:
    assert Recipe().average_over(4_578) == 0.998, "the model that ships"
    assert Recipe().average_over(24) == pytest.approx(19 / 24)
    assert Recipe().average_over(1) == 0


def test_fewer_characters_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(runs.TrainingRefused, match="fewer than one batch"):
        trained(tmp_path, Recipe(epochs=1, batch=11))


def test_a_short_training_leaves_a_package_that_serving_reads(tmp_path: Path) -> None:
    folder = tmp_path / "kmnist"
    found = program.make(drawn.draw(400), drawn.draw(100, seed=2), out=folder, recipe=Recipe(epochs=4))
    assert found.accuracy > 0.5, "ten drawings are not told apart"
    spec = read_package(folder)
    assert (spec.labels, spec.accuracy[0].value) == (data.LABELS, round(found.accuracy, 4))
    assert {"confusion.png", "curves.png", "history.csv", "README.md"} <= {p.name for p in folder.iterdir()}
    assert json.loads((folder / "run.json").read_text())["results"]["accuracy"] == found.accuracy
    described = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    weights = (folder / package.WEIGHTS).read_bytes()
    assert described["variants"][0]["sha256"] == hashlib.sha256(weights).hexdigest()


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path) -> None:
    import keras

    given = keras.Input((28, 28, 1))
    model = keras.Model(given, keras.layers.Dense(2)(keras.layers.Flatten()(given)))
    probes = data.normalise(TEN.pictures)[..., None]
    exporting.export(model, tmp_path / "right.onnx", probes=probes, temperature=0.5)
    (logits,) = exporting.runner(tmp_path / "right.onnx")(probes)
    assert logits == pytest.approx(2 * np.asarray(model(probes)), abs=1e-4)
    with pytest.raises(exporting.ExportFailed, match="differ from the network's by nan"):
        exporting.export(model, tmp_path / "wrong.onnx", probes=probes * np.float32(np.nan))
    assert not (tmp_path / "wrong.onnx").exists()


def test_a_network_that_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    import keras

    given = keras.Input((28, 28, 1))
    model = keras.Model(given, keras.layers.Lambda(lambda x: x)(given))
    with pytest.raises(errors.ModelInvalid, match="Lambda"):
        exporting.export(model, tmp_path / "a.onnx", probes=np.zeros((1, 28, 28, 1), np.float32))
