"""What evaluation says of logits that are known."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.training import evaluation
from heliograph.training.characters import data, displacement


def test_accuracy_recall_and_confusion() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    logits = np.array([[9, 0], [9, 0], [0, 9], [9, 0]], np.float32)
    found = evaluation.evaluate(logits, labels)
    assert found.counts.tolist() == [[2, 0], [1, 1]]
    assert found.accuracy == 0.75
    assert found.recalls == (1.0, 0.5)
    assert found.confidence == pytest.approx(1 / (1 + np.exp(-9.0)))


def test_the_best_temperature_makes_the_confidence_the_accuracy() -> None:
    labels = np.zeros(1000, np.uint8)
    logits = np.tile(np.array([[3.0, 0.0]], np.float32), (1000, 1))
    logits[:100] = [0.0, 3.0]
    temperature = evaluation.best_temperature(logits, labels)
    cooled = evaluation.evaluate(logits / np.float32(temperature), labels)
    assert cooled.confidence == pytest.approx(0.9, abs=0.005)
    assert cooled.accuracy == 0.9


def test_displaced_characters_move_and_shrink() -> None:
    pictures = np.zeros((1, 28, 28), np.uint8)
    pictures[0, 10:18, 10:18] = 200
    one = data.Characters(pictures, np.zeros(1, np.uint8))
    moved = displacement.displaced(one, scale=1.0, down=3, right=-2).pictures
    assert np.array_equal(moved, np.roll(pictures, (3, -2), axis=(1, 2)))
    smaller = displacement.displaced(one, scale=0.5, down=0, right=0).pictures
    assert int(smaller.sum()) == pytest.approx(int(pictures.sum()) / 4, rel=0.02)
    same = displacement.displaced(one, scale=1.0, down=0, right=0).pictures
    assert np.array_equal(same, pictures)


def test_rows_and_interval_of_an_evaluation() -> None:
    found = evaluation.Evaluation(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 6]]), confidence=0.9)
    assert list(found.rows(["a", "b", "c"])) == [("a", "75.0%", "b (1)"), ("b", "", ""), ("c", "100.0%", "")]
    low, high = found.interval
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)  # as published tables have it for 9 of 10
    perfect = evaluation.Evaluation(np.eye(4, dtype=np.int64), confidence=1.0)
    assert perfect.interval == pytest.approx((0.51, 1.0), abs=0.001)
