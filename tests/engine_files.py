"""ONNX files for tests of engines, built node by node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heliograph.core.models import InputSpec, Meaning, ModelSpec, OutputSpec, Task, VariantSpec
from heliograph.core.ports import ModelFile

SIDE = 16
CLASSES = 5


def model_file(
    path: Path, *, side: int = SIDE, classes: int = CLASSES, output: str | None = None
) -> ModelFile:
    spec = ModelSpec(
        name="tried",
        version="1",
        task=Task.CLASSIFICATION,
        title="",
        description="",
        licence="",
        homepage="",
        input=InputSpec(width=side, height=side, mean=(0.0,) * 3, std=(1.0,) * 3),
        output=OutputSpec(meaning=Meaning.LOGITS, name=output),
        variants=(),
        labels=tuple(str(number) for number in range(classes)),
    )
    variant = VariantSpec(precision="fp32", file=path.name, sha256="", size_bytes=0)
    return ModelFile(spec=spec, variant=variant, path=path)


def network(*, batch: int | str = "n", element: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Convolution, ReLU (output ``features``), average and a dense layer (output ``scores``, the first)."""
    source = np.random.default_rng(11)
    kind = helper.tensor_dtype_to_np_dtype(element)
    weights = {
        "kernel": source.standard_normal((8, 3, 3, 3)).astype(kind),
        "dense": source.standard_normal((8, CLASSES)).astype(kind),
        "bias": source.standard_normal(CLASSES).astype(kind),
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["mixed"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["scores"]),
    ]
    outputs = [
        helper.make_tensor_value_info("scores", element, [batch, CLASSES]),
        helper.make_tensor_value_info("features", element, [batch, 8, SIDE, SIDE]),
    ]
    return graph(nodes, outputs, weights=weights, takes=(batch, 3, SIDE, SIDE), element=element)


def graph(
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    weights: dict[str, np.ndarray] | None = None,
    takes: Sequence[int | str] = ("n", 3, SIDE, SIDE),
    element: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model with one input, ``pixels``, which ``takes`` this shape."""
    entry = helper.make_tensor_value_info("pixels", element, takes)
    held = [numpy_helper.from_array(values, name) for name, values in (weights or {}).items()]
    made = helper.make_graph(nodes, "made", [entry], outputs, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(*shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("answer", TensorProto.FLOAT, shape)
