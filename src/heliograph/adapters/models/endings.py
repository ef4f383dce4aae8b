"""What the answer of a network comes out of, as the nodes before it tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from heliograph.adapters.models.onnx_graph import AFFINE, Graph, Node

ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
SUMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
SHIFTS = ("Add", AFFINE)
SHAPES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Nodes that leave the numbers as they are."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a network: its activation, the node that computes it, and nodes behind that change shapes alone.

    ``activation`` is "softmax", "sigmoid", "linear" where sums of products come out as they are, or "unknown".
    ``after`` begins with the last node. ``node`` is None where nothing is computed.
    """

    activation: str
    node: Node | None
    after: tuple[Node, ...]


def ending(nodes: Iterable[Node], constants: Collection[str], name: str) -> Ending:
    """What the value ``name`` comes out of; ``constants`` are the names of values that never change."""
    made = {node.output: node for node in nodes}
    after: list[Node] = []
    node = made.get(name)
    while node is not None and node.kind in SHAPES:
        after.append(node)
        node = made.get(node.inputs[0])
    activation = ACTIVATIONS.get(node.kind) if node is not None else None
    if activation is None:
        activation = "linear" if _is_sum(made, constants, node) else "unknown"
    return Ending(activation, node, tuple(after))


def without_activation(graph: Graph, end: Ending, name: str) -> str:
    """The name of what goes into the softmax or sigmoid at the end, in the shape that came out; else ``name``."""
    if end.node is None or end.node.kind not in ACTIVATIONS:
        return name
    name = end.node.inputs[0]
    for node in reversed(end.after):
        name = graph.node(node.kind, [name, *node.inputs[1:]], **node.attributes)
    return name


def _is_sum(made: dict[str, Node], constants: Collection[str], node: Node | None) -> bool:
    """Whether it is a sum of products, or one that constants were added to; a value may be in another shape."""
    while node is not None and node.kind in (*SHIFTS, *SHAPES):
        inputs = [each for each in node.inputs if each not in constants]
        if len(inputs) != 1:
            return False
        node = made.get(inputs[0])
    return node is not None and node.kind in SUMS
