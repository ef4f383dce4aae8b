"""Pictures by number, each with an answer of its own; broken ones; and one that kills whoever computes it."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from integration.tiny_models import LABELS, SIDE, colour_picture, write_models
from tiny_packages import BUNDLED, CLASSIFIER, write_package

FRAGILE, BUSY = "fragile-colours", "busy-colours"
MODELS = (FRAGILE, BUSY)
CAN_KILL = platform.machine() in ("x86_64", "AMD64")
"""Other processors know no division that ends a process."""
DIFFERENT = 256 * 256
TOLERANCE = 1e-5


@cache
def picture(number: int) -> bytes:
    """One of `DIFFERENT` pictures."""
    return colour_picture((number % 256, number // 256 % 256, 0))


def answer(number: int) -> Mapping[str, float]:
    """The probability of each label of a picture; no other has the same."""
    scores = [math.exp(value / 255) for value in (number % 256, number // 256 % 256, 0)]
    return {label: score / sum(scores) for label, score in zip(LABELS, scores, strict=True)}


def is_right(found: Any, number: int) -> bool:
    """Whether a result is the answer of this picture."""
    given = {row["label"]: row["probability"] for row in found}
    right = answer(number)
    return given.keys() == right.keys() and all(
        abs(given[label] - right[label]) < TOLERANCE for label in right
    )


@cache
def broken(number: int) -> bytes:
    """A picture whose header is in order and whose rest is not."""
    whole = picture(number)
    return whole[:45] + bytes(255 - byte for byte in whole[45:-12]) + whole[-12:]


POISON = colour_picture((0, 0, 255))


def write_store(folder: Path) -> Path:
    """A model store with `MODELS`; the fragile one dies of `POISON`, where a processor can."""
    write_models(folder)
    data = _fragile().SerializeToString()
    package = write_package(
        folder, CLASSIFIER.replace("= 8\n", f"= {SIDE}\n"), name=FRAGILE, weights=data, more=BUNDLED
    )
    (package / "tiny.onnx").write_bytes(data)
    (package / "README.md").write_text(f"# {FRAGILE}\n")
    (package / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return folder


def _fragile() -> onnx.ModelProto:
    """The mean of each channel. Where blue is bright the least whole number is divided by -1, which has no answer:
    x86 processors stop the process."""
    constants = {
        "limits": np.array([2, 2, 0.9], dtype=np.float32),
        "least": np.full(3, np.iinfo(np.int32).min, dtype=np.int32),
        "good": np.array(1, dtype=np.int32),
        "bad": np.array(-1, dtype=np.int32),
        "zero": np.array(0, dtype=np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Less", ["means", "limits"], ["is_dark"]),
        helper.make_node("Where", ["is_dark", "good", "bad"], ["divisor"]),
        helper.make_node("Div", ["least", "divisor"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "zero"], ["nothing"]),
        helper.make_node("Add", ["means", "nothing"], ["scores"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "fragile", [given], [scores], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
