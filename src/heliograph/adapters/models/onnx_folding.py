"""Makes a graph smaller without changing what it computes: normalisations and paddings go into convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from heliograph.adapters.models.onnx_graph import AFFINE, Graph, Node


def fold(graph: Graph, outputs: Iterable[str]) -> None:
    """Folds what can be folded exactly, and writes what is left of `AFFINE` as nodes of ONNX.

    Args:
        graph: what is folded.
        outputs: the names of values that are answers, which must stay.
    """
    wanted = set(outputs)
    _prune(graph, wanted)
    _Folding(graph, wanted).run()


def _prune(graph: Graph, outputs: set[str]) -> None:
    """Drops nodes that no answer needs."""
    needed, kept = set(outputs), []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    graph.nodes = kept[::-1]


class _Folding:
    """One pass over a graph; ``_made`` is the node that makes a value."""

    def __init__(self, graph: Graph, outputs: set[str]) -> None:
        self._graph = graph
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._uses.update(outputs)
        self._made: dict[str, Node] = {}
        self._kept: list[Node] = []

    def run(self) -> None:
        for node in self._graph.nodes:
            if node.kind == AFFINE and self._into_previous(node):
                continue
            if node.kind == "Conv":
                self._take_padding(node)
                self._take_affine(node)
            self._kept.append(node)
            self._made[node.output] = node
        self._graph.nodes = [part for node in self._kept for part in self._lowered(node)]

    def _previous(self, node: Node, *kinds: str) -> Node | None:
        """The node before, if it is of one of these kinds and nothing else needs its output."""
        before = self._made.get(node.inputs[0])
        if before is None or before.kind not in kinds or self._uses[before.output] != 1:
            return None
        return before

    def _into_previous(self, node: Node) -> bool:
        """Whether the affine node went into the one before it, whose output then has its name."""
        before = self._previous(node, "Conv", "ConvTranspose", "Gemm", AFFINE)
        if before is None:
            return False
        scale, shift = node.attributes["scale"], node.attributes["shift"]
        if before.kind == AFFINE:
            before.attributes["scale"] = before.attributes["scale"] * scale
            before.attributes["shift"] = before.attributes["shift"] * scale + shift
        else:
            weights = self._graph.weights
            weight, bias = self._own(before)
            axis = 0 if before.kind == "Conv" else 1
            wide = [1] * weights[weight].ndim
            wide[axis] = -1
            weights[weight] = weights[weight] * scale.reshape(wide)
            weights[bias] = weights[bias] * scale + shift
        del self._made[before.output]
        before.output = node.output
        self._made[node.output] = before
        return True

    def _own(self, node: Node) -> tuple[str, str]:
        """Names of a convolution's weight and bias that no other node shares, as layers used twice do."""
        names = []
        for position in (1, 2):
            name = node.inputs[position]
            if self._uses[name] > 1:
                self._uses[name] -= 1
                name = self._graph.unique(name)
                self._graph.weights[name] = self._graph.weights[node.inputs[position]]
                self._uses[name] = 1
                node.inputs[position] = name
            names.append(name)
        return names[0], names[1]

    def _take_padding(self, node: Node) -> None:
        """A border of zeros is the convolution's own padding."""
        before = self._previous(node, "Pad")
        if before is None or "pads" not in node.attributes or before.attributes.get("mode") != "constant":
            return
        border = self._graph.weights[before.inputs[1]].tolist()
        if border[:2] != [0, 0] or border[4:6] != [0, 0] or min(border) < 0:
            return
        border = border[2:4] + border[6:8]
        node.attributes["pads"] = [a + b for a, b in zip(node.attributes["pads"], border, strict=True)]
        self._drop(before, node)

    def _take_affine(self, node: Node) -> None:
        """An affine node before: exact where the convolution's padding is none, or zero stays zero."""
        before = self._previous(node, AFFINE)
        if before is None:
            return
        scale, shift = before.attributes["scale"], before.attributes["shift"]
        if np.any(shift) and ("pads" not in node.attributes or any(node.attributes["pads"])):
            return
        weight, bias = self._own(node)
        values = self._graph.weights[weight]
        groups = node.attributes.get("group", 1)
        each = values.shape[0] // groups
        by_group = values.reshape(groups, each, *values.shape[1:])
        wide = (groups, 1, values.shape[1], 1, 1)
        shifts = (by_group * shift.reshape(wide)).sum(axis=(2, 3, 4)).reshape(-1)
        self._graph.weights[weight] = (by_group * scale.reshape(wide)).reshape(values.shape)
        self._graph.weights[bias] = self._graph.weights[bias] + shifts
        self._drop(before, node)

    def _drop(self, before: Node, node: Node) -> None:
        node.inputs[0] = before.inputs[0]
        self._kept.remove(before)
        del self._made[before.output]

    def _lowered(self, node: Node) -> list[Node]:
        """An affine node that is left as a multiplication and an addition."""
        if node.kind != AFFINE:
            return [node]
        (name,) = node.inputs
        parts = []
        for kind, key, neutral in (("Mul", "scale", 1.0), ("Add", "shift", 0.0)):
            values = node.attributes[key]
            if np.all(values == neutral):
                continue
            values = values.reshape(-1, 1, 1) if node.attributes["spatial"] else values
            constant = self._graph.unique(f"{node.output}.{key}")
            self._graph.weights[constant] = values
            output = self._graph.unique(f"{node.output}.{kind.lower()}")
            parts.append(Node(kind, [name, constant], output))
            name = output
        if not parts:
            parts.append(Node("Identity", [name], node.output))
        parts[-1].output = node.output
        return parts
