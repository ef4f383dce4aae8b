"""An ONNX graph while it is written: nodes, weights, and in which order the axes of each value lie.

Networks of other frameworks often have their channels last, ONNX has them first. A `Tensor` keeps
the shape with channels last, and says how the graph holds it; what needs the other order asks for it,
and a transposition is written once where it cannot be avoided.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core import errors

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int | None, ...]

OPSET = 17
IR_VERSION = 8
AFFINE = "Affine"
"""A node of ours, ``x · scale + shift`` a channel: folded into its neighbours or written as two nodes."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value in the graph.

    ``shape`` begins with the batch and ends with the channels; None is an axis of free length.
    ``channels_first``: the graph holds it as (N, C, H, W), which only values with four axes may be.
    """

    name: str
    shape: Shape
    channels_first: bool = False

    @property
    def rank(self) -> int:
        """How many axes it has, the batch among them."""
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """The axis of the value in the graph that ``axis`` of ``shape`` is; negative ones count from the end.

        Raises:
            ModelInvalid: there is no such axis.
        """
        if not -self.rank <= axis < self.rank:
            raise errors.ModelInvalid(f"The model asks for axis {axis} of a value with {self.rank} axes.")
        axis %= self.rank
        return {0: 0, 1: 2, 2: 3, 3: 1}[axis] if self.channels_first else axis


@dataclass(slots=True, eq=False)
class Node:
    """One operation; it has one output."""

    kind: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


class Graph:
    """An ONNX graph that grows node by node; ``scope`` begins the names of what is added."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.weights: dict[str, Array] = {}
        self.scope = "model"
        self._names: dict[str, int] = {}
        self._other_order: dict[str, Tensor] = {}

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        """Adds a node; the name of its output."""
        output = self.unique(f"{self.scope}.{kind.lower()}")
        self.nodes.append(Node(kind, list(inputs), output, attributes))
        return output

    def weight(self, values: npt.ArrayLike, what: str = "constant") -> str:
        """Adds numbers that never change; whole ones stay 64 bits wide, others become float32 at the end."""
        array = np.asarray(values)
        name = self.unique(f"{self.scope}.{what}")
        self.weights[name] = array.astype(np.int64) if array.dtype.kind in "iu" else array.astype(np.float64)
        return name

    def number(self, value: float) -> str:
        """A constant without axes, which all that need it share."""
        name = f"number {float(value):.17g}"
        self.weights.setdefault(name, np.asarray(value, np.float64))
        return name

    def apply(
        self, kind: str, tensor: Tensor, *others: str, shape: Shape | None = None, **attributes: object
    ) -> Tensor:
        """Adds a node that leaves the order of axes alone: its output, of the input's shape by default."""
        name = self.node(kind, [tensor.name, *others], **attributes)
        return replace(tensor, name=name, shape=tensor.shape if shape is None else shape)

    def affine(self, tensor: Tensor, scale: npt.ArrayLike, shift: npt.ArrayLike) -> Tensor:
        """``tensor`` times ``scale`` plus ``shift``, each one number or one a channel."""
        channels = tensor.shape[-1]
        if channels is None:
            raise errors.ModelInvalid(f"{self.scope}: the number of channels must be known.")
        for values in (scale, shift):
            if np.size(values) not in (1, channels):
                raise errors.ModelInvalid(f"{self.scope}: there must be {channels} numbers, one a channel.")
        wide = [np.broadcast_to(np.ravel(np.asarray(v, np.float64)), (channels,)) for v in (scale, shift)]
        return self.apply(AFFINE, tensor, scale=wide[0], shift=wide[1], spatial=tensor.channels_first)

    def first(self, tensor: Tensor) -> Tensor:
        """The same value with its channels first; `ModelInvalid` unless it has four axes."""
        if tensor.rank != 4:
            raise errors.ModelInvalid(
                f"{self.scope}: a picture is wanted, not a value of {tensor.rank} axes."
            )
        return tensor if tensor.channels_first else self._transposed(tensor, [0, 3, 1, 2], True)

    def last(self, tensor: Tensor) -> Tensor:
        """The same value with its axes as ``shape`` says."""
        return self._transposed(tensor, [0, 2, 3, 1], False) if tensor.channels_first else tensor

    def unique(self, wanted: str) -> str:
        """A name like ``wanted`` that nothing else has."""
        wanted = re.sub(r"[^\w.-]", "_", wanted, flags=re.ASCII)[:200]
        count = self._names[wanted] = self._names.get(wanted, 0) + 1
        return wanted if count == 1 else self.unique(f"{wanted}.{count}")

    def _transposed(self, tensor: Tensor, order: list[int], channels_first: bool) -> Tensor:
        if tensor.name not in self._other_order:
            name = self.node("Transpose", [tensor.name], perm=order)
            self._other_order[tensor.name] = replace(tensor, name=name, channels_first=channels_first)
            self._other_order[name] = tensor
        return self._other_order[tensor.name]


def load_onnx() -> ModuleType:
    """The ``onnx`` package.

    Raises:
        ModelInvalid: it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise errors.ModelInvalid(
            "Converting a model needs the onnx package: pip install 'heliograph[convert]'."
        ) from error


def onnx_file(
    graph: Graph, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], *, metadata: Mapping[str, str]
) -> bytes:
    """The graph as an ONNX file; ``inputs`` and ``outputs`` are shapes by name, as the graph holds them.

    Raises:
        ModelInvalid: the ``onnx`` package is not installed, or finds the graph wrong.
    """
    onnx = load_onnx()
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    names = ("n", "height", "width")

    def described(values: Mapping[str, Shape]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, number, _free_axes(shape, names))
            for name, shape in values.items()
        ]

    nodes = [
        helper.make_node(node.kind, node.inputs, [node.output], name=node.output, **node.attributes)
        for node in graph.nodes
    ]
    used = {name for node in graph.nodes for name in node.inputs}
    weights = [_tensor(onnx, name, values) for name, values in graph.weights.items() if name in used]
    body = helper.make_graph(nodes, "heliograph", described(inputs), described(outputs), weights)
    model = helper.make_model(
        body,
        producer_name="heliograph",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, dict(metadata))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise errors.ModelInvalid(f"The model makes no sense: {errors.excerpt(error)}") from error
    return bytes(model.SerializeToString(deterministic=True))


def _free_axes(shape: Shape, names: Sequence[str]) -> list[int | str]:
    spare = iter([*names[1:], *(f"axis{position}" for position in range(len(shape)))])
    axes: list[int | str] = []
    for position, length in enumerate(shape):
        axes.append(length if length is not None else names[0] if position == 0 else next(spare))
    return axes


def _tensor(onnx: ModuleType, name: str, values: Array) -> object:
    kind = "<i8" if values.dtype.kind == "i" else "<f4"
    number = onnx.TensorProto.INT64 if kind == "<i8" else onnx.TensorProto.FLOAT
    data = np.ascontiguousarray(values, kind).tobytes()
    return onnx.helper.make_tensor(name, number, values.shape, data, raw=True)
