"""An ONNX file that answers with one number, yes or no, becomes one that answers with two classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from heliograph.adapters.models.endings import ending
from heliograph.adapters.models.onnx_graph import Node, load_onnx

SUFFIX = ".one"


def two_classes(data: bytes, name: str, *, batch: int | None) -> tuple[bytes, str]:
    """The file with no and yes in the place of its output ``name`` of shape (``batch``, 1), and what they come out of.

    Out of a sigmoid they are probabilities ("softmax"), out of sums of products logits ("linear"). What comes out
    of anything else stays one number, of which nothing is known ("unknown").

    Raises:
        ModelInvalid: the ``onnx`` package is not installed.
    """
    onnx = load_onnx()
    model = onnx.load_model_from_string(data)
    activation = _activation(model.graph.node, model.graph.initializer, name)
    if activation not in ("sigmoid", "linear"):
        return data, "unknown"
    one = name + SUFFIX
    for node in model.graph.node:
        node.input[:] = [one if each == name else each for each in node.input]
        node.output[:] = [one if each == name else each for each in node.output]
    made = onnx.helper.make_node
    if activation == "sigmoid":
        number = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [], [1.0])
        added = [
            made("Constant", [], [f"{name}.whole"], value=number),
            made("Sub", [f"{name}.whole", one], [f"{name}.no"]),
        ]
    else:
        added = [made("Sub", [one, one], [f"{name}.no"])]
    both = made("Concat", [f"{name}.no", one], [name], axis=1)
    model.graph.node.extend([*added, both])
    shape = ["n" if batch is None else batch, 2]
    for output in model.graph.output:
        if output.name == name:
            output.CopyFrom(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return bytes(model.SerializeToString()), "softmax" if activation == "sigmoid" else "linear"


def _activation(given: Iterable[Any], weights: Iterable[Any], name: str) -> str:
    nodes = [
        Node(node.op_type, list(node.input), node.output[0])
        for node in given
        if node.domain in ("", "ai.onnx") and node.output
    ]
    constants = {weight.name for weight in weights}
    constants.update(node.output for node in nodes if node.kind == "Constant")
    return ending(nodes, constants, name).activation
