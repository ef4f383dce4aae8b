"""The background remover's training: it learns, goes on where it stopped, and ends with a package that is served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

import drawn_subjects
from heliograph.adapters.models.manifest import read_package
from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from heliograph.training import encoder, exporting, runs
from heliograph.training.background_removal import (
    averaging,
    beginning,
    evaluate,
    losses,
    network,
    photographs,
    train,
)
from heliograph.training.background_removal.__main__ import loaded
from heliograph.training.progress import Meter

pytestmark = pytest.mark.timeout(600)  # most of it is TensorFlow tracing a network

SPEC = FolderStore(Path("nowhere")).spec("efficientnet-lite0")
FROZEN = 14
"""Blocks of the encoder that stay: to trace the steps of all 16 takes a minute more, and is the same code."""
RECIPE = train.Recipe(
    sides=(64,), epochs=8, batch=5, warm_up_steps=2, decoder_learning_rate=0.05, average=0.5, averaged_after=(0.5, 1.0)
)  # fmt: skip


class PowerCut(Exception):
    """What ends a training in these tests."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[photographs.Photograph]:
    folder = tmp_path_factory.mktemp("photographs")
    return photographs.find([drawn_subjects.write(folder / "drawn", 10)], folder / "labels")


class Timer(Meter):
    """A meter at which the power fails when a line begins so."""

    def __init__(self, fails_at: str | None = None) -> None:
        super().__init__("training", 1, Console(stderr=True), None)
        self._fails_at = fails_at

    def say(self, line: str) -> None:
        if self._fails_at is not None and line.startswith(self._fails_at):
            raise PowerCut


def tiny(side: int) -> keras.Model:
    """A network of two layers, for what does not depend on the network."""
    pictures = keras.Input((side, side, 3), name="pictures")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="seen")(pictures)
    x = keras.layers.BatchNormalization(name="seen_norm")(x)
    return keras.Model(pictures, [keras.layers.Conv2D(1, 3, padding="same", name="matte_stride1")(x)])


TINY = beginning.Beginning(name="nothing", side=None, build=tiny)


def learn(
    folder: Path, drawn: list[photographs.Photograph], meter: Meter
) -> tuple[keras.Model, list[dict[str, float]]]:
    """The network and the history of the run in ``folder``."""
    with runs.opened(folder, training="drawn", recipe=RECIPE, data={}) as run:
        model = train.train(drawn, drawn[:2], RECIPE, run, begin=TINY, threads=2, meter=meter)
        return model, run.history()


def test_the_loss_falls_and_a_training_goes_on_where_it_stopped(
    drawn: list[photographs.Photograph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = runs.Run.save.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "every_seconds", 0.0)
    with pytest.raises(PowerCut):
        learn(tmp_path, drawn, Timer("epoch 5 of 8"))
    model, history = learn(tmp_path, drawn, Timer())
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert train.mean_iou(model, train.plain_examples(drawn, 64), 5) > 0.2


def test_a_network_of_another_side_takes_over_all_that_was_learned() -> None:
    small, large = (train.compiled(RECIPE, steps=2, begin=TINY, side=side) for side in (64, 96))
    small.optimizer.iterations.assign(7)
    small.set_weights([weight + 1 for weight in small.get_weights()])
    other = train.carried_over(small, large)
    assert other.input_shape == (None, 96, 96, 3)
    assert int(other.optimizer.iterations) == 7
    for ours, theirs in zip(other.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_examples_grow_in_equal_parts_of_the_training() -> None:
    recipe = train.Recipe(sides=(64, 96, 128), epochs=7)
    assert [recipe.side(epoch) for epoch in range(7)] == [64, 64, 64, 96, 96, 128, 128]


def test_what_comes_out_is_the_mean_of_the_averages_after_some_epochs(tmp_path: Path) -> None:
    recipe = train.Recipe(epochs=12, averaged_after=(0.5, 1.0))
    assert [epoch for epoch in range(12) if recipe.is_averaged(epoch)] == [5, 11]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0, use_ema=True, ema_momentum=0.5), loss="mse")
    model.optimizer.build(model.trainable_variables)
    seen, averages = np.ones((1, 1), np.float32), averaging.Averages()
    for weight in (2.0, 4.0):
        model.set_weights([np.full((1, 1), weight)])
        model.train_on_batch(seen, seen)
        averages.take(model)
        assert model.get_weights()[0].item() == weight
        averages.write(tmp_path)
        averages = averaging.Averages()
        averages.read(tmp_path)
    averages.put(model)
    # The moving average starts at 2 and is (2 + 4) / 2 after the second step.
    assert model.get_weights()[0].item() == pytest.approx((2 + 3) / 2)


def test_too_few_photographs_are_refused(drawn: list[photographs.Photograph], tmp_path: Path) -> None:
    with pytest.raises(runs.TrainingRefused, match="fewer than one batch"):
        learn(tmp_path, drawn[:3], Timer())


def test_the_encoder_is_the_classifier(tmp_path: Path) -> None:
    """Its features, put through the classifier's last layer, are the logits of the model that is served."""
    store = FolderStore(tmp_path)
    state = encoder.imagenet_state(SPEC)
    pictures = keras.Input((224, 224, 3))
    whole = keras.Model(pictures, encoder.summarise(encoder.encode(pictures)))
    encoder.load(whole, state)
    seen = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
    logits = whole.predict(seen, verbose=0) @ state["_fc.weight"].T + state["_fc.bias"]
    (expected,) = exporting.runner(store.find("efficientnet-lite0").path)(seen)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_blocks_can_be_frozen() -> None:
    model = network.build()
    encoder.freeze(model, blocks=3)
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert {"encoder_conv_stem", "encoder_bn0", "encoder_blocks_2_project_conv"} <= frozen
    assert not any(name.startswith(("encoder_blocks_3_", "encoder_conv_head", "stride")) for name in frozen)


def test_a_network_that_ships_can_be_taken_up_again() -> None:
    """Without its normalisations and from half precision it still computes what its file computes."""
    file = FolderStore(Path("nowhere")).find("silhouette")
    begin = beginning.from_package(file)
    assert begin.side == 320
    seen = np.random.default_rng(0).normal(size=(1, 320, 320, 3)).astype(np.float32)
    found = network.answering(begin.build(64), 320)(seen).numpy()[..., 0]
    (expected,) = exporting.runner(file.path)(seen)
    np.testing.assert_allclose(found, expected[:, 0], atol=1e-4)


def test_a_network_of_another_kind_cannot_be_taken_up() -> None:
    with pytest.raises(errors.ModelInvalid, match="another network: its encoder_conv_stem does not fit"):
        beginning.from_package(FolderStore(Path("nowhere")).find("kmnist"))


def test_what_is_no_package_is_not_mistaken_for_the_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "silhouette").mkdir()
    command = [
        sys.executable, "-m", "heliograph.training.background_removal", "--photographs", str(tmp_path),
        "--out", str(tmp_path / "out"), "--start-from", str(tmp_path / "silhouette"),
    ]  # fmt: skip
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1].endswith("silhouette' is not a model name.")
    assert not (tmp_path / "out" / "run.json").exists()


def test_the_loss_knows_right_from_wrong_and_bears_an_empty_label() -> None:
    target = np.zeros((2, 16, 16, 1), np.float32)
    target[0, 4:12, 4:12] = 1
    right, wrong = 12 * (2 * target - 1), 12 * (1 - 2 * target)
    good, bad = (
        keras.ops.convert_to_numpy(losses.MatteLoss(edge_weight=2.0).call(target, logits))
        for logits in (right, wrong)
    )
    assert (good < 0.01).all()
    assert (bad > 2).all()


def losses_of(folder: Path) -> list[float]:
    """Of each epoch."""
    return [row["loss"] for row in runs.Run(folder).history()]


def test_the_command_makes_a_package_that_is_served(tmp_path: Path) -> None:
    folder = drawn_subjects.write(tmp_path / "drawn", 10)
    (folder / "3.mask.png").unlink()
    judge = drawn_subjects.write(tmp_path / "judge", 3)
    command = [
        sys.executable, "-m", "heliograph.training.background_removal", "--photographs", str(folder),
        "--out", str(tmp_path / "out"), "--judge", str(judge), "--epochs", "6", "--batch", "4", "--sides", "64",
        "--frozen-blocks", str(FROZEN),
    ]  # fmt: skip
    refused = subprocess.run([*command, "--teacher"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1].endswith("3.png has no mask, and no --teacher is named.")
    (folder / "3.png").unlink()
    done = subprocess.run([*command, "--teacher"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert {"curves.png", "worst.png", "history.csv", "run.json"} <= {path.name for path in out.iterdir()}
    assert losses_of(out)[-1] < 0.8 * losses_of(out)[0]
    spec = read_package(out / "silhouette")
    assert spec.accuracy[0].metric == "mean IoU at 0.5"
    assert (out / "silhouette" / spec.variants[0].file).stat().st_size < 10_000_000
    further = tmp_path / "further"
    options = [
        "--teacher",
        "--start-from",
        "silhouette",
        "--sides",
        "96",
        "--epochs",
        "1",
        "--out",
        str(further),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_package(further / "silhouette").input.width == 320
    assert [row["held_out_iou"] > 0.5 for row in runs.Run(further).history()] == [True]
    with loaded(FolderStore(out), "silhouette", threads=1) as model:
        rgb, mask = drawn_subjects.draw(1)
        alpha = evaluate.opacity(model, (judge / "1.png").read_bytes())
        assert alpha.shape == mask.shape == rgb.shape[:2]
