"""Files as Keras writes them, written by hand: small networks whose answers are known."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

LAYER = {"module": "keras.layers", "registered_name": None}


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {**LAYER, "class_name": kind, "config": {"name": name, "trainable": True, **config}}


def input_layer(*shape: int | None) -> dict[str, Any]:
    return layer("InputLayer", "picture", batch_shape=[None, *shape])


def sequential(*layers: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}}


def weights_file(weights: Mapping[str, Sequence[Any]]) -> bytes:
    """``model.weights.h5``: arrays by the groups of their layers."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("layers")
        for name, arrays in weights.items():
            for number, values in enumerate(arrays):
                file[f"layers/{name}/vars/{number}"] = np.asarray(values, "<f4")
    return stream.getvalue()


def write_keras(
    path: Path,
    config: Mapping[str, Any] | str,
    weights: Mapping[str, Sequence[Any]] | bytes = b"",
    *,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A ``.keras`` archive; ``config`` and ``weights`` may be text and bytes as they are."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        data = weights if isinstance(weights, bytes) and weights else weights_file(dict(weights or {}))
        archive.writestr("model.weights.h5", data)
    return path


def brightness(path: Path, *, side: int = 8) -> Path:
    """Two classes, dark and bright: a softmax of the mean, which decides at half of the range."""
    kernel = [[[[0.0, 1 / 3]], [[0.0, 1 / 3]], [[0.0, 1 / 3]]]]
    config = sequential(
        input_layer(side, side, 3),
        layer("Rescaling", "scale", scale=1 / 127.5, offset=-1),
        layer("Conv2D", "mix", filters=2, kernel_size=[1, 1], strides=[1, 1], padding="same", use_bias=True),
        layer("GlobalAveragePooling2D", "mean"),
        layer("Softmax", "shares", axis=-1),
    )
    flat = np.asarray(kernel).reshape(1, 1, 3, 2)
    return write_keras(path, config, {"conv2d": [flat, [0.0, 0.0]]})
