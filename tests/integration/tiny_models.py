"""Model packages of a few kilobytes whose right answers are known."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

LABELS = ("red", "green", "blue")
SIDE = 32
SLOW_LAYERS = 8


def colour_picture(colour: str | tuple[int, int, int], side: int = 40, kind: str = "PNG") -> bytes:
    """A picture of one colour; the classifiers below name it."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


def write_models(folder: Path) -> Path:
    """A store with `colours` (a classifier), `busy-colours` and `slow-colours` (the same, some 0.02 s and
    0.2 s a picture), `brightness` (a background remover: the bright is the subject) and `absent` (whose weights
    are nowhere)."""
    _write(folder, "colours", _classifier(layers=0), task="classification")
    _write(folder, "busy-colours", _classifier(layers=1), task="classification")
    _write(folder, "slow-colours", _classifier(layers=SLOW_LAYERS), task="classification")
    _write(folder, "brightness", _remover(), task="background-removal")
    _write(folder, "absent", _classifier(layers=0), task="classification")
    (folder / "absent" / "model.onnx").unlink()
    return folder


def _classifier(*, layers: int) -> onnx.ModelProto:
    """The mean of each channel; ``layers`` convolutions that change nothing take time."""
    kernel = numpy_helper.from_array(np.full((96, 96, 3, 3), 1e-9, dtype=np.float32), "kernel")
    first = numpy_helper.from_array(np.full((96, 3, 3, 3), 1e-9, dtype=np.float32), "first")
    last = numpy_helper.from_array(np.full((3, 96, 3, 3), 1e-9, dtype=np.float32), "last")
    scale = numpy_helper.from_array(np.array([1, 1, 4, 4], dtype=np.int64), "scale")
    nodes, name = [], "input"
    if layers:
        nodes.append(helper.make_node("Tile", ["input", "scale"], ["large"]))
        nodes.append(helper.make_node("Conv", ["large", "first"], ["x0"], pads=[1] * 4))
        nodes += [
            helper.make_node("Conv", [f"x{layer}", "kernel"], [f"x{layer + 1}"], pads=[1] * 4)
            for layer in range(layers)
        ]
        nodes.append(helper.make_node("Conv", [f"x{layers}", "last"], ["nothing"], pads=[1] * 4))
        nodes.append(helper.make_node("Add", ["large", "nothing"], ["sum"]))
        name = "sum"
    nodes.append(helper.make_node("ReduceMean", [name], ["scores"], axes=[2, 3], keepdims=0))
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    return _model(nodes, output, [kernel, first, last, scale] if layers else [])


def _remover() -> onnx.ModelProto:
    node = helper.make_node("ReduceMean", ["input"], ["matte"], axes=[1], keepdims=1)
    return _model([node], helper.make_tensor_value_info("matte", TensorProto.FLOAT, ["n", 1, SIDE, SIDE]), [])


def _model(
    nodes: list[onnx.NodeProto], output: onnx.ValueInfoProto, weights: list[onnx.TensorProto]
) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "tiny", [given], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _write(store: Path, name: str, model: onnx.ModelProto, *, task: str) -> None:
    data = model.SerializeToString()
    folder = store / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    classifies = task == "classification"
    if classifies:
        (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "README.md").write_text(f"# {name}\n")
    (folder / "model.toml").write_text(
        f"""\
format = 1
name = "{name}"
version = "1"
task = "{task}"
title = "{name}"
description = "For tests."
licence = "Apache-2.0"
homepage = "https://example.org/"
{'labels = "labels.txt"' if classifies else ""}
max_batch = 4

[input]
width = {SIDE}
height = {SIDE}
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]

[output]
meaning = "{"logits" if classifies else "matte"}"

[[variants]]
precision = "fp32"
file = "model.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
size_bytes = {len(data)}

[[variants.sources]]
kind = "bundled"
"""
    )
