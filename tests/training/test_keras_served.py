"""A model saved by Keras, added and served, gives through HTTP the numbers that Keras gives."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from service import start_service

# Keras and TensorFlow use what NumPy and Python are about to drop.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

CLASSES = ("apple", "pear", "plum", "quince")
SIDE = 24
TOLERANCE = 1e-4


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(8, 3, padding="same", activation="swish"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(len(CLASSES), activation="softmax", kernel_initializer="random_normal"),
        ]
    )


def test_both_formats_give_keras_numbers_through_http(tmp_path: Path) -> None:
    """Of pictures of the model's own size, so that no scaling is compared."""
    net = model()
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(CLASSES) + "\n")
    environment = {**os.environ, "HELIOGRAPH_MODEL_DIR": str(tmp_path / "store")}
    for name in ("new.keras", "old.h5"):
        net.save(tmp_path / name)
        command = [
            sys.executable,
            "-m",
            "heliograph",
            "models",
            "add",
            str(tmp_path / name),
            "--labels",
            str(labels),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    pixels = np.random.default_rng(5).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    wanted = net.predict(pixels.astype(np.float32), verbose=0)
    with start_service(model_dir=tmp_path / "store", models="*", threads=1, patience=60) as service:
        for name in ("new", "old"):
            files = [("image", (f"{n}.png", png(rgb), "image/png")) for n, rgb in enumerate(pixels)]
            answer = httpx2.post(
                f"{service.url}/v1/models/{name}/predict", files=files, data={"top": "4"}, timeout=60
            )
            assert answer.status_code == 200, answer.text
            for want, result in zip(wanted, answer.json()["results"], strict=True):
                got = {row["label"]: row["probability"] for row in result["predictions"]}
                assert np.abs(want - [got[label] for label in CLASSES]).max() <= TOLERANCE


def png(rgb: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()
