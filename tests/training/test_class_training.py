"""A classifier of one's own pictures: learned, the same way each time, from where a training stopped."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import drawn_classes
from heliograph.adapters.models.manifest import read_package
from heliograph.adapters.models.store import FolderStore
from heliograph.core.pictures import PictureLimits
from heliograph.training import encoder, exporting, runs
from heliograph.training.classes import features, folders, making, network, train
from heliograph.training.classes.network import Network
from heliograph.training.classes.views import Viewer

pytestmark = pytest.mark.timeout(600)  # most of it is TensorFlow tracing a network

SPEC = FolderStore(Path("nowhere")).spec("efficientnet-lite0")
RECIPE = train.Recipe(epochs=4, views=2, batch=4, head_steps=2)
"""The last layer learns next to nothing on its own, so that the loss has where to fall from."""


class PowerCut(Exception):
    """What ends a training in these tests."""


class Lesson:
    """Drawn pictures that the encoder has seen once."""

    def __init__(self, folder: Path) -> None:
        self.viewer = Viewer(PictureLimits())
        self.collection = folders.survey(drawn_classes.write(folder / "shapes", each=4), self.viewer.look)
        self.state = encoder.imagenet_state(SPEC)
        self.see = exporting.runner(exporting.converted(self.network().eye))
        self.seen = self.kept(folder / "seen", self.collection.training, 2)
        self.held_out = self.kept(folder / "held-out", self.collection.held_out, 1)

    def network(self) -> Network:
        """A fresh one."""
        return network.build(3, self.state, dropout=RECIPE.dropout)

    def kept(self, folder: Path, examples: tuple[folders.Example, ...], views: int) -> features.Seen:
        chosen = features.Views(views, seed=1)
        return features.kept(folder, examples, chosen, self.see, self.viewer, progress=lambda done: None)

    def train(self, folder: Path, *, stop_after: int | None = None) -> tuple[list[train.Epoch], Network]:
        """The epochs of a training, and the network that comes out."""
        epochs, net = [], self.network()

        def report(epoch: train.Epoch) -> None:
            epochs.append(epoch)
            if epoch.number == stop_after:
                raise PowerCut

        with runs.opened(folder, training="shapes", recipe=RECIPE, data={}) as run:
            train.train_head(net, self.seen, RECIPE)
            train.fine_tune(net, self.seen, self.held_out, RECIPE, run, report=report)
        return epochs, net


def digest(net: Network) -> str:
    """Another one for other weights."""
    return hashlib.sha256(b"".join(np.asarray(weight).tobytes() for weight in net.whole.weights)).hexdigest()


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return Lesson(tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def whole(lesson: Lesson, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[train.Epoch], Network]:
    """A training that nothing interrupted."""
    return lesson.train(tmp_path_factory.mktemp("whole"))


def test_the_loss_falls_on_ten_pictures(lesson: Lesson, whole: tuple[list[train.Epoch], Network]) -> None:
    assert len(lesson.seen) == 9
    epochs, _ = whole
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].loss < 0.8 * epochs[0].loss


def test_the_same_seed_and_pictures_give_the_same_model_and_an_interruption_changes_nothing(
    lesson: Lesson,
    whole: tuple[list[train.Epoch], Network],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(PowerCut):
        lesson.train(tmp_path, stop_after=3)
    epochs, resumed = lesson.train(tmp_path)
    assert [epoch.number for epoch in epochs] == [3, 4], "the third was reported and not yet kept"
    assert digest(resumed) == digest(whole[1]) != digest(lesson.network())


def test_the_lower_blocks_and_the_statistics_stay_those_of_imagenet(
    lesson: Lesson, whole: tuple[list[train.Epoch], Network]
) -> None:
    changed = {
        after.path
        for before, after in zip(lesson.network().whole.weights, whole[1].whole.weights, strict=True)
        if not np.array_equal(np.asarray(before), np.asarray(after))
    }
    assert any("logits" in path for path in changed)
    assert any("blocks_15" in path for path in changed)
    assert not [path for path in changed if "blocks_10_" in path or "moving" in path or "_bn" in path]


def test_features_are_computed_once_and_an_interrupted_computation_goes_on(
    lesson: Lesson, tmp_path: Path
) -> None:
    calls = 0
    examples = lesson.collection.training

    def counted(pictures: np.ndarray) -> list[np.ndarray]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise PowerCut
        return lesson.see(pictures)

    def kept() -> features.Seen:
        return features.kept(
            tmp_path, examples, features.Views(8, 1), counted, lesson.viewer, progress=lambda done: None
        )

    with pytest.raises(PowerCut):
        kept()
    whole = kept()
    assert calls == 6, "two pictures with eight views each at a time, the second time twice"
    again = kept()
    assert calls == 6
    assert np.array_equal(whole.lower, again.lower)
    assert np.array_equal(whole.labels, [example.label for example in examples])
    (planes, summary) = lesson.see(lesson.viewer.plain(examples[0].read())[None])
    assert np.asarray(whole.lower[0, 0]) == pytest.approx(planes[0].transpose(1, 2, 0), abs=0.02)
    assert np.asarray(whole.summary[0, 0]) == pytest.approx(summary[0], abs=0.01)
    assert np.abs(np.asarray(whole.summary[0, 1]) - summary[0]).max() > 0.1, "a view is the plain picture"


def test_rare_classes_count_more() -> None:
    weights = train.class_weights(np.array([0] * 8 + [1] * 2), 2)
    assert weights.tolist() == pytest.approx([10 / 16, 10 / 4])
    assert features.affordable(10) == 8
    assert features.affordable(1_000_000) == 1


def test_a_name_that_cannot_be_used_is_refused_before_anything_else(tmp_path: Path) -> None:
    for name, message in (("Food", "cannot name a model"), ("kmnist", "ships with Heliograph")):
        order = making.Order(
            data=tmp_path / "absent", name=name, out=tmp_path / "run", store=tmp_path / "store", encoder=SPEC,
            limits=PictureLimits(),
        )  # fmt: skip
        with pytest.raises(runs.TrainingRefused, match=message):
            making.make(order)
    assert list(tmp_path.iterdir()) == []


def test_names_that_mean_something_to_toml_and_markdown_are_kept(tmp_path: Path) -> None:
    odd = ('a "quoted" $name', "pipe | and \\ slash", "zebra é 漢字")
    data = tmp_path / "it's"
    drawn_classes.write(data, each=2)
    for old, new in zip(drawn_classes.CLASSES, odd, strict=True):
        (data / old).rename(data / new)
    order = making.Order(
        data=data, name="odd", out=tmp_path / "run", store=tmp_path / "store", encoder=SPEC,
        limits=PictureLimits(), epochs=0, licence='"mine"',
    )  # fmt: skip
    made = making.make(order)
    spec = read_package(made.package)
    assert spec.labels == odd
    assert spec.licence == '"mine"'
    assert 'a "quoted" $name' in spec.card
    assert (made.package / "confusion.png").read_bytes() == made.confusion.read_bytes()
