"""How good a model is, counted from answers."""

from __future__ import annotations

import pytest

from heliograph.core.scores import MatteScore
from heliograph.serving.checking import LabelCheck, MatteCheck


def test_labels_are_counted() -> None:
    check = LabelCheck(("cat", "dog", "cow"))
    assert check.confusion.accuracy == 0
    for truth, answer in ((0, "cat"), (0, "dog"), (0, "dog"), (1, "dog")):
        check.add(truth, answer)
    assert check.confusion.accuracy == 0.5
    assert check.rows() == [("cat", 3, 1 / 3, 1.0, "dog (2)"), ("dog", 1, 1.0, 1 / 3, "")]
    assert check.facts()["confusion"] == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_a_label_that_a_model_has_twice_is_one() -> None:
    check = LabelCheck(("crane", "cow", "crane"))
    for truth, answer in ((0, "crane"), (2, "crane"), (2, "cow")):
        check.add(truth, answer)
    assert check.rows() == [("crane", 3, 2 / 3, 1.0, "cow (1)")]


def test_mattes_have_means_and_worst_pictures() -> None:
    check = MatteCheck()
    assert check.mean == MatteScore(iou=0, mae=0, boundary_f=0)
    for name, value in (("good", 1.0), ("bad", 0.25), ("fair", 0.5)):
        check.scores.append((name, MatteScore(iou=value, mae=1 - value, boundary_f=value / 2)))
    assert [name for name, _ in check.worst(2)] == ["bad", "fair"]
    facts = check.facts()
    assert facts["mean_iou"] == pytest.approx(1.75 / 3)
    assert facts["mae"] == pytest.approx(1.25 / 3)
    assert facts["boundary_f"] == pytest.approx(1.75 / 6)
    assert facts["scores"][1] == {"name": "bad", "iou": 0.25, "mae": 0.75, "boundary_f": 0.125}
