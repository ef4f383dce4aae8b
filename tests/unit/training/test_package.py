"""The model package that a training leaves, and what it takes to look at one."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np

from heliograph.training import evaluation
from heliograph.training.characters import data, package

TRAINING = package.Training(trained=70, epochs=3, seed=1, minutes=0.4, parameters=1234)


def an_evaluation() -> evaluation.Evaluation:
    confusion = np.eye(10, dtype=np.int64) * 10
    confusion[5, 3], confusion[5, 5] = 2, 8
    return evaluation.Evaluation(confusion, confidence=0.97)


def test_a_written_package_describes_its_weights(tmp_path: Path) -> None:
    (tmp_path / "kmnist.onnx").write_bytes(b"weights")
    package.write(tmp_path, TRAINING, an_evaluation(), displaced={"moved": an_evaluation()})
    described = tomllib.loads((tmp_path / "model.toml").read_text(encoding="utf-8"))
    (variant,) = described["variants"]
    assert variant["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert variant["size_bytes"] == len(b"weights")
    assert described["accuracy"][0]["value"] == 0.98
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8").split() == list(data.LABELS)


def test_the_card_tells_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "kmnist.onnx").write_bytes(b"weights")
    package.write(tmp_path, TRAINING, an_evaluation(), displaced={"moved": an_evaluation()})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| は | 80.0% | つ (2) |" in card
    assert "| お | 100.0% |  |" in card
    assert "| moved | 98.0% |" in card
    assert "$" not in card, "a place of the template was left open"


def test_reading_and_evaluating_need_no_training_library() -> None:
    program = (
        "import sys\n"
        "from heliograph.training.characters import __main__, augmentation, data, displacement, package\n"
        "print(sorted({'keras', 'matplotlib', 'onnx', 'onnxruntime', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
