"""What evaluation says of logits that are known."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.training.characters import data, evaluate


def test_accuracy_recall_and_confusion() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    logits = np.array([[9, 0], [9, 0], [0, 9], [9, 0]], np.float32)
    found = evaluate.evaluate(logits, labels)
    assert found.confusion.tolist() == [[2, 0], [1, 1]]
    assert found.accuracy == 0.75
    assert found.recalls == (1.0, 0.5)
    assert found.confidence == pytest.approx(1 / (1 + np.exp(-9.0)))


def test_the_best_temperature_makes_the_confidence_the_accuracy() -> None:
    labels = np.zeros(1000, np.uint8)
    logits = np.tile(np.array([[3.0, 0.0]], np.float32), (1000, 1))
    logits[:100] = [0.0, 3.0]
    temperature = evaluate.best_temperature(logits, labels)
    cooled = evaluate.evaluate(logits / np.float32(temperature), labels)
    assert cooled.confidence == pytest.approx(0.9, abs=0.005)
    assert cooled.accuracy == 0.9


def test_displaced_characters_move_and_shrink() -> None:
    pictures = np.zeros((1, 28, 28), np.uint8)
    pictures[0, 10:18, 10:18] = 200
    one = data.Characters(pictures, np.zeros(1, np.uint8))
    moved = evaluate.displaced(one, scale=1.0, down=3, right=-2).pictures
    assert np.array_equal(moved, np.roll(pictures, (3, -2), axis=(1, 2)))
    smaller = evaluate.displaced(one, scale=0.5, down=0, right=0).pictures
    assert int(smaller.sum()) == pytest.approx(int(pictures.sum()) / 4, rel=0.02)
    same = evaluate.displaced(one, scale=1.0, down=0, right=0).pictures
    assert np.array_equal(same, pictures)
