"""``heliograph train`` from the command line, up to a server that answers with what was learned."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest

import drawn_classes
from service import start_service

pytestmark = pytest.mark.timeout(600)


def train(*arguments: str, store: Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command, run in ``folder``."""
    environment = {**os.environ, "HELIOGRAPH_MODEL_DIR": str(store), **settings}
    command = [sys.executable, "-m", "heliograph", "train", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_folder_of_pictures_becomes_a_model_that_is_served(tmp_path: Path) -> None:
    data, store = drawn_classes.write(tmp_path / "shapes", each=8), tmp_path / "store"
    (data / "disc" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    options = ("--data", "shapes", "--name", "shapes", "--epochs", "2")
    done = train(*options, store=store, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left out: shapes/disc/broken.jpg" in done.stderr
    said = re.search(r"shapes 1: (\d+\.\d)% of 6 held-out pictures right", done.stdout)
    assert said, done.stdout
    assert float(said[1]) >= 80
    assert "confusion matrix: shapes-training/confusion.png" in done.stdout
    assert (tmp_path / "shapes-training" / "curves.png").is_file()
    rng = np.random.default_rng(99)
    with start_service({"HELIOGRAPH_MODEL_DIR": str(store)}, models="*") as service:
        right = 0
        for label in drawn_classes.CLASSES * 4:
            file = io.BytesIO()
            drawn_classes.draw(label, rng).save(file, "PNG")
            answer = httpx2.post(
                f"{service.url}/v1/models/shapes/predict", files={"image": ("a.png", file.getvalue())}
            )
            assert answer.status_code == 200, answer.text
            right += answer.json()["results"][0]["predictions"][0]["label"] == label
        assert right >= 10
        card = httpx2.get(f"{service.url}/v1/models/shapes").json()
        assert card["accuracy"][0]["value"] == pytest.approx(float(said[1]) / 100, abs=0.001)


def test_a_folder_without_classes_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = train("--data", "empty", "--name", "food", store=tmp_path / "store", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("heliograph: Two classes or more are needed")
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "food-training").exists()


def test_without_a_backend_the_command_that_helps_is_named(tmp_path: Path) -> None:
    done = train(
        "--data", ".", "--name", "food", store=tmp_path, folder=tmp_path, KERAS_BACKEND="absent_backend"
    )
    assert done.returncode == 1
    assert "pip install 'heliograph[train]'" in done.stderr
    assert "absent_backend" in done.stderr
