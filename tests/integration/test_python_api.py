"""Heliograph as a library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import heliograph
from heliograph.core import errors
from heliograph.core.pictures import UInt8Array


@pytest.fixture(scope="module")
def store(model_settings: dict[str, str]) -> str:
    return model_settings["HELIOGRAPH_MODEL_DIR"]


@pytest.fixture(scope="module")
def lite(store: str) -> Iterator[heliograph.Model]:
    with heliograph.load("efficientnet-lite0", threads=2, model_dir=store) as model:
        yield model


@pytest.fixture(scope="module")
def remover(store: str, data_folder: Path) -> Iterator[heliograph.Model]:
    mirrors = [data_folder / "u2net"]
    with heliograph.load("u2netp", threads=2, model_dir=store, model_mirrors=mirrors) as model:
        yield model


def decoded(data: bytes) -> UInt8Array:
    """Pixels as OpenCV orders them: blue, green, red, and alpha if there is one."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.uint8)


def test_importing_it_is_light() -> None:
    code = "import sys, heliograph; sys.exit({'numpy', 'cv2', 'pydantic'} & set(sys.modules) and 1 or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(heliograph.__all__) <= set(dir(heliograph))
    with pytest.raises(AttributeError, match="nosuch"):
        _ = heliograph.nosuch


def test_a_path_bytes_and_pixels_get_the_same_labels(lite: heliograph.Model, samples: Path) -> None:
    path = samples / "coffee.png"
    pixels = decoded(path.read_bytes())[:, :, ::-1]
    expected = lite.predict(str(path))
    assert isinstance(expected, tuple)
    assert isinstance(expected[0], heliograph.Label)
    assert expected[0].label == "espresso"
    assert expected[0].probability > 0.9
    data = path.read_bytes()
    for same in (path, data, bytearray(data), memoryview(data), pixels):
        assert lite.predict(same) == expected


def test_grey_and_transparent_pixels_are_pictures_too(lite: heliograph.Model) -> None:
    grey = np.full((40, 50), 255, np.uint8)
    clear = np.zeros((40, 50, 4), np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    assert lite.classify(grey) == lite.classify(rgb)
    assert lite.classify(clear) == lite.classify(rgb)  # what is transparent counts as white
    assert lite.classify(rgb[::-1, ::-1]) == lite.classify(rgb)


def test_top_says_how_many(lite: heliograph.Model) -> None:
    labels = lite.classify(np.zeros((8, 8), np.uint8), top=2000)
    assert len(labels) == 1000
    assert sum(row.probability for row in labels) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="top"):
        lite.classify(np.zeros((8, 8), np.uint8), top=0)


def test_threads_may_share_a_model(lite: heliograph.Model, samples: Path) -> None:
    expected = lite.classify(samples / "cat.png")
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lite.classify, 8 * [samples / "cat.png"])) == 8 * [expected]


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.zeros((4, 4)), TypeError),
        (np.zeros((4, 4, 2), np.uint8), ValueError),
        (np.zeros((0, 4), np.uint8), ValueError),
        (np.zeros(4, np.uint8), ValueError),
        (3, TypeError),
    ],
)
def test_what_is_no_picture_is_refused(lite: heliograph.Model, pixels: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"numpy|Pixels"):
        lite.classify(pixels)


def test_files_that_cannot_be_read_are_said(lite: heliograph.Model, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lite.predict(tmp_path / "missing.png")
    with pytest.raises(errors.PictureFormatUnknown):
        lite.predict(b"not a picture")
    with pytest.raises(errors.PictureMissing):
        lite.predict(b"")


def test_a_model_does_its_own_task_only_and_nothing_once_closed(store: str) -> None:
    model = heliograph.load("kmnist", model_dir=store)
    assert "kmnist" in repr(model)
    assert model.spec.labels
    with pytest.raises(errors.ModelTaskMismatch):
        model.cut_out(np.zeros((8, 8), np.uint8))
    model.close()
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.predict(np.zeros((8, 8), np.uint8))


def test_a_cut_out_is_a_file_as_large_as_its_picture(
    remover: heliograph.Model, samples: Path, tmp_path: Path
) -> None:
    cutout = remover.predict(samples / "coffee.png")
    assert isinstance(cutout, heliograph.Cutout)
    assert (cutout.width, cutout.height, cutout.media_type) == (600, 400, "image/png")
    cutout.save(tmp_path / "cutout.png")
    written = decoded((tmp_path / "cutout.png").read_bytes())
    assert written.shape == (400, 600, 4)
    assert (int(written[200, 300, 3]), int(written[5, 5, 3])) == (255, 0)  # the cup, the table


def test_options_of_a_cut_out(remover: heliograph.Model, samples: Path) -> None:
    picture = samples / "coffee.png"
    mask = remover.cut_out(picture, output="mask", file_format="webp")
    assert mask.media_type == "image/webp"
    red = remover.cut_out(picture, background=(255, 0, 0))
    assert decoded(red.data)[5, 5, :3].tolist() == [0, 0, 255]  # blue, green, red
    with pytest.raises(errors.ParameterInvalid):
        remover.cut_out(picture, background=(0, 0, 256))


def test_models_and_settings_that_are_wrong_are_said(store: str, tmp_path: Path) -> None:
    with pytest.raises(errors.ModelUnknown):
        heliograph.load("nosuch", model_dir=store)
    with pytest.raises(errors.ModelUnavailable, match="heliograph models pull u2net"):
        heliograph.load("u2net", model_dir=tmp_path)
    with pytest.raises(heliograph.HeliographError, match="THREADS"):
        heliograph.load("kmnist", threads=0)
