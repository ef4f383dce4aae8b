"""How good a model is, counted from answers."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.core import errors
from heliograph.serving.checking import LabelCheck, MatteCheck


def test_labels_are_counted() -> None:
    check = LabelCheck(("cat", "dog", "cow"))
    assert check.accuracy == 0
    for truth, answer in ((0, "cat"), (0, "dog"), (0, "dog"), (1, "dog")):
        check.add(truth, answer)
    assert check.accuracy == 0.5
    assert check.rows() == [("cat", 3, 1 / 3, 1.0, "dog (2)"), ("dog", 1, 1.0, 1 / 3, "")]
    assert check.facts()["confusion"] == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_mattes_are_compared_with_masks() -> None:
    check = MatteCheck()
    mask = np.zeros((4, 4), np.float32)
    mask[:2] = 1
    check.add("same", mask, mask)
    check.add("none of both", np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32))
    matte = np.zeros((4, 4), np.float32)
    matte[:1] = 1
    check.add("half", matte, mask)
    assert [score[1] for score in check.scores] == [1.0, 1.0, 0.5]
    assert check.mean_iou == pytest.approx(2.5 / 3)
    assert check.mean_error == pytest.approx(0.25 / 3)
    with pytest.raises(errors.PictureBroken, match="4 × 4, the picture 3 × 3"):
        check.add("odd", np.zeros((3, 3), np.float32), mask)
