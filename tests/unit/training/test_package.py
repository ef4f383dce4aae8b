"""The model package that a training leaves, and what it takes to look at one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from heliograph.core.pictures import PictureLimits
from heliograph.training import evaluation, packages
from heliograph.training.characters import data, package
from heliograph.training.classes import making
from heliograph.training.classes import package as class_package
from heliograph.training.runs import TrainingRefused
from tiny_packages import write_package

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


def test_a_package_takes_the_place_of_the_one_before_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / ".adding-of-a-killed-process").mkdir()
    for weights in (b"first", b"second"):
        with packages.placed(tmp_path, "tiny") as folder:
            (write_package(folder / "made", weights=weights) / "model.toml").rename(folder / "model.toml")
            shutil.rmtree(folder / "made")
    with pytest.raises(errors.ModelInvalid), packages.placed(tmp_path, "tiny") as folder:
        (folder / "model.toml").write_text("broken")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".adding.lock", "tiny"]
    told = packages.installed(tmp_path, "tiny")
    assert told is not None
    assert told.variants[0].sha256 == hashlib.sha256(b"second").hexdigest()


def test_a_model_that_was_not_trained_is_replaced_only_where_that_is_said(tmp_path: Path) -> None:
    order = making.Order(
        data=tmp_path / "absent", name="tiny", out=tmp_path / "run", store=tmp_path / "store",
        encoder=FolderStore(tmp_path).spec("efficientnet-lite0"), limits=PictureLimits(),
    )  # fmt: skip
    made = write_package(order.store)
    with pytest.raises(TrainingRefused, match=r"has a model tiny that .* did not make: --replace"):
        making.make(order)
    with pytest.raises(TrainingRefused, match="is not a folder"):
        making.make(replace(order, replace=True))
    (made / "README.md").write_text((class_package.TEMPLATES / "README.md").read_text(encoding="utf-8"))
    with pytest.raises(TrainingRefused, match="is not a folder"):
        making.make(order)


def test_reading_and_evaluating_need_no_training_library() -> None:
    program = (
        "import sys\n"
        "from heliograph.training.characters import __main__, augmentation, data, displacement, package\n"
        "print(sorted({'keras', 'matplotlib', 'onnx', 'onnxruntime', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
