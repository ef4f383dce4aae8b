"""Model packages of a few kilobytes whose right answers are known."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tiny_packages import BUNDLED, CLASSIFIER, MODEL, write_package

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
    _write(folder, "colours", _classifier(layers=0), CLASSIFIER)
    _write(folder, "busy-colours", _classifier(layers=1), CLASSIFIER)
    _write(folder, "slow-colours", _classifier(layers=SLOW_LAYERS), CLASSIFIER)
    _write(folder, "brightness", _remover(), MODEL)
    _write(folder, "absent", _classifier(layers=0), CLASSIFIER)
    (folder / "absent" / "tiny.onnx").unlink()
    return folder


def write_slowest(folder: Path) -> Path:
    """A store with `slowest-colours` alone: a classifier that takes some 2 s a picture."""
    _write(folder, "slowest-colours", _classifier(layers=10 * SLOW_LAYERS), CLASSIFIER)
    return folder


def put(package: Path, store: Path) -> None:
    """A package in the store, whole, as `models add` does it."""
    part = store / f".adding-{package.name}"
    shutil.copytree(package, part)
    part.rename(store / package.name)


def _classifier(*, layers: int) -> onnx.ModelProto:
    """The mean of each channel; ``layers`` convolutions that change nothing take time.

    Each of them is a mean, so that numbers keep their size: with ever smaller ones they would become denormal, which
    takes a processor fifty times as long, and only where the picture is not black.
    """
    kernel = numpy_helper.from_array(np.full((96, 96, 3, 3), 1 / (96 * 9), dtype=np.float32), "kernel")
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


def _write(store: Path, name: str, model: onnx.ModelProto, text: str) -> None:
    data = model.SerializeToString()
    sized = text.replace("= 8\n", f"= {SIDE}\n")
    package = write_package(store, sized, name=name, weights=data, more=BUNDLED)
    (package / "tiny.onnx").write_bytes(data)
    (package / "README.md").write_text(f"# {name}\n")
    if text == CLASSIFIER:
        (package / "labels.txt").write_text("\n".join(LABELS) + "\n")
