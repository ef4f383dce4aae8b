"""Features that were half computed when the power went, by an encoder that costs nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import drawn_classes
from heliograph.core.pictures import Float32Array, PictureLimits
from heliograph.training.classes import features, folders
from heliograph.training.classes.views import Viewer


def nothing_seen(pictures: Float32Array) -> list[Float32Array]:
    height, width, planes = features.LOWER
    shapes = ((planes, height, width), features.SUMMARY)
    return [np.zeros((len(pictures), *shape), np.float32) for shape in shapes]


@pytest.mark.parametrize("count", ["", "1", "sixteen"])
def test_what_is_computed_goes_on_whatever_its_counter_says(tmp_path: Path, count: str) -> None:
    viewer = Viewer(PictureLimits())
    examples = folders.survey(drawn_classes.write(tmp_path / "shapes", each=4), viewer.look).training

    def kept() -> list[int]:
        done: list[int] = []
        views = features.Views(1, seed=1)
        features.kept(tmp_path / "seen", examples, views, nothing_seen, viewer, progress=done.append)
        return done

    assert kept() == [len(examples)]
    assert kept() == []
    (counter,) = (tmp_path / "seen").glob("*.done")
    counter.write_text(count)
    assert kept() == [len(examples)]
    assert counter.read_text() == str(len(examples))
