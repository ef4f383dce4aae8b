"""Single operations of Keras' graphs (``x * 0.5``, ``keras.ops.mean``) in ONNX.

Keras 3 writes them with their class and arguments; Keras 2 writes the name of a TensorFlow function,
which `named` translates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from heliograph.adapters.models import keras_activations
from heliograph.adapters.models.keras_arithmetic import concatenated, joined_shape, together
from heliograph.adapters.models.keras_layers import Layer
from heliograph.adapters.models.keras_shapes import reordered, reshaped, resized, sliced
from heliograph.adapters.models.onnx_graph import Graph, Tensor
from heliograph.core import errors

Argument: TypeAlias = Any
"""A value of the graph, numbers, or a list of them; what it is must be looked at."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation and what it is called with; ``layer`` has its kind and settings."""

    graph: Graph
    layer: Layer
    arguments: Sequence[Any]
    named: Mapping[str, Any]

    def given(self, position: int, name: str, default: object = None) -> Argument:
        """An argument by its place, its name, or as a setting of the operation."""
        if position < len(self.arguments):
            return self.arguments[position]
        return self.named.get(name, self.layer.config.get(name, default))

    def tensor(self, position: int = 0, name: str = "x") -> Tensor:
        """An argument that is a value of the graph."""
        value = self.given(position, name)
        return value if isinstance(value, Tensor) else self.layer.fail("has an argument that is not a value")

    def whole_numbers(self, value: object) -> list[int]:
        """A whole number or several, as a list."""
        values = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in values):
            self.layer.fail("has an argument that is not whole numbers")
        return list(values)


Operation: TypeAlias = Callable[[Call], Tensor]


def _binary(kind: str, *names: str) -> Operation:
    """An operation on two values, one of which may be numbers."""
    first_name, second_name = names or ("x1", "x2")

    def write(call: Call) -> Tensor:
        one, two = call.given(0, first_name), call.given(1, second_name)
        if isinstance(one, Tensor) and isinstance(two, Tensor):
            return _of_values(call, kind, one, two)
        if isinstance(one, Tensor):
            tensor, constant = _with_numbers(call, one, two)
            return call.graph.apply(kind, tensor, constant)
        if isinstance(two, Tensor):
            tensor, constant = _with_numbers(call, two, one)
            return replace(tensor, name=call.graph.node(kind, [constant, tensor.name]))
        return call.layer.fail("has no argument that is a value")

    return write


def _of_values(call: Call, kind: str, one: Tensor, two: Tensor) -> Tensor:
    one, two = together(call.graph, [one, two])
    rank = max(one.rank, two.rank)
    shapes = [(*[1] * (rank - tensor.rank), *tensor.shape) for tensor in (one, two)]
    shape = joined_shape(call.layer, shapes)
    longer = one if one.rank == rank else two
    return replace(longer, name=call.graph.node(kind, [one.name, two.name]), shape=shape)


def _with_numbers(call: Call, tensor: Tensor, value: object) -> tuple[Tensor, str]:
    """The value, and the constant that stands for numbers, which may be one or one a channel."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        call.layer.fail("has an argument that is not numbers")
    if numbers.ndim == 0:
        return tensor, call.graph.number(float(numbers))
    tensor = call.graph.last(tensor)
    joined = np.broadcast_shapes(numbers.shape, (1,) * tensor.rank)
    if len(joined) > tensor.rank or numbers.shape[-1] not in (1, tensor.shape[-1]) or numbers.size > 1 << 24:
        call.layer.fail("has numbers that do not fit the value")
    return tensor, call.graph.weight(numbers)


def _unary(kind: str) -> Operation:
    return lambda call: call.graph.apply(kind, call.tensor())


def _activation(name: str) -> Operation:
    """An activation, with the operation's settings and arguments."""

    def write(call: Call) -> Tensor:
        tensor = call.tensor()
        settings = {**call.layer.config, **call.named}
        layer = replace(call.layer, kind=name, config=settings)
        return keras_activations.apply_activation(call.graph, layer, tensor)

    return write


def _reduced(kind: str) -> Operation:
    """A mean, sum or extreme along axes."""

    def write(call: Call) -> Tensor:
        tensor = call.tensor()
        axis = call.given(1, "axis")
        if axis is None:
            call.layer.fail("reduces the batch, which cannot be converted")
        axes = [each % tensor.rank for each in call.whole_numbers(axis) if -tensor.rank <= each < tensor.rank]
        if not axes or 0 in axes:
            call.layer.fail("reduces the batch, which cannot be converted")
        keep = bool(call.given(2, "keepdims", False))
        tensor = tensor if keep else call.graph.last(tensor)
        places = sorted(tensor.axis(each) for each in axes)
        shape = tuple(1 if at in axes else length for at, length in enumerate(tensor.shape))
        if not keep:
            shape = tuple(length for at, length in enumerate(tensor.shape) if at not in axes)
        if kind == "ReduceSum":
            where = call.graph.weight(places, "axes")
            return call.graph.apply(kind, tensor, where, shape=shape, keepdims=int(keep))
        return call.graph.apply(kind, tensor, shape=shape, axes=places, keepdims=int(keep))

    return write


def clip(call: Call) -> Tensor:
    """Values between two numbers."""
    low, high = call.given(1, "x_min"), call.given(2, "x_max")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        call.layer.fail("clips to something that is not numbers")
    return keras_activations.clipped(call.graph, call.tensor(), float(low), float(high))


def reshape(call: Call) -> Tensor:
    """Other axes; the batch must stay the first one."""
    tensor = call.tensor()
    shape = call.whole_numbers(call.given(1, "newshape"))
    if not shape or shape[0] not in (-1, 0):
        call.layer.fail("changes the batch, which cannot be converted")
    return reshaped(call.graph, call.layer, tensor, shape[1:])


def transpose(call: Call) -> Tensor:
    """Axes in another order; the batch must stay the first one."""
    tensor = call.tensor()
    order = [axis % tensor.rank for axis in call.whole_numbers(call.given(1, "axes"))]
    return reordered(call.graph, call.layer, tensor, order)


def concatenate(call: Call) -> Tensor:
    """Values behind each other."""
    values = call.given(0, "xs")
    if not isinstance(values, list | tuple) or not all(isinstance(value, Tensor) for value in values):
        call.layer.fail("joins something that is not values")
    return concatenated(call.graph, call.layer, values, call.whole_numbers(call.given(1, "axis", -1))[0])


def squeeze(call: Call) -> Tensor:
    """Without some axes of length one."""
    tensor = call.graph.last(call.tensor())
    axes = [axis % tensor.rank for axis in call.whole_numbers(call.given(1, "axis"))]
    if any(tensor.shape[axis] != 1 for axis in axes):
        call.layer.fail("removes axes that are not of length one")
    shape = tuple(length for axis, length in enumerate(tensor.shape) if axis not in axes)
    return call.graph.apply("Squeeze", tensor, call.graph.weight(axes, "axes"), shape=shape)


def expand_dims(call: Call) -> Tensor:
    """With one more axis."""
    tensor = call.graph.last(call.tensor())
    axis = call.whole_numbers(call.given(1, "axis"))[0] % (tensor.rank + 1)
    shape = (*tensor.shape[:axis], 1, *tensor.shape[axis:])
    return call.graph.apply("Unsqueeze", tensor, call.graph.weight([axis], "axes"), shape=shape)


def pad(call: Call) -> Tensor:
    """With a border of zeros."""
    tensor = call.graph.last(call.tensor())
    widths = call.given(1, "pad_width")
    if call.given(2, "mode", "constant") != "constant" or call.named.get("constant_values"):
        call.layer.fail("pads with something other than zeros")
    if not isinstance(widths, list | tuple) or len(widths) != tensor.rank:
        call.layer.fail("has a pad_width that does not fit")
    pairs = [call.whole_numbers(pair) for pair in widths]
    if any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        call.layer.fail("has a pad_width that does not fit")
    shape = tuple(None if n is None else n + sum(pair) for n, pair in zip(tensor.shape, pairs, strict=True))
    border = call.graph.weight([pair[0] for pair in pairs] + [pair[1] for pair in pairs], "border")
    return call.graph.apply("Pad", tensor, border, shape=shape, mode="constant")


def resize(call: Call) -> Tensor:
    """A picture of another size."""
    for key in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        call.layer.expect(key, False)
    size = call.whole_numbers(call.given(1, "size"))
    if len(size) != 2:
        call.layer.fail("has a size that is not two numbers")
    mode = str(call.given(2, "interpolation", "bilinear"))
    return resized(call.graph, call.layer, call.graph.first(call.tensor()), (size[0], size[1]), mode)


def get_item(call: Call) -> Tensor:
    """A part of a value, by slices and by single places."""
    tensor = call.tensor()
    keys = call.given(1, "key")
    keys = list(keys) if isinstance(keys, list | tuple) else [keys]
    cuts: list[tuple[int, int, int, int]] = []
    gone: list[int] = []
    shape = list(tensor.shape)
    if len(keys) > tensor.rank:
        call.layer.fail("cuts along an axis that is not there")
    for axis, key in enumerate(keys):
        if isinstance(key, int) and not isinstance(key, bool) and axis > 0:
            cut, length = slice(key, key + 1 or None, 1), tensor.shape[axis]
            gone.append(axis)
        elif isinstance(key, slice):
            cut, length = key, tensor.shape[axis]
        else:
            call.layer.fail("cuts in a way that cannot be converted")
        if cut == slice(None):
            continue
        step = cut.step or 1
        if axis == 0 or step < 1 or length is None:
            call.layer.fail("cuts in a way that cannot be converted")
        start, end, _ = cut.indices(length)
        shape[axis] = len(range(start, end, step))
        cuts.append((start, end, step, axis))
    if not cuts:
        return tensor
    if min(length for length in shape if length is not None) < 1:
        call.layer.fail("cuts everything away")
    starts, ends, steps, axes = zip(*cuts, strict=True)
    cut_out = sliced(call.graph, tensor, starts=starts, ends=ends, axes=axes, steps=steps, shape=tuple(shape))
    if not gone:
        return cut_out
    return squeeze(replace(call, arguments=[cut_out, gone], named={}))


ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax",
    "Silu": "silu", "Gelu": "gelu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
    "LeakyRelu": "leaky_relu", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "LogSoftmax": "log_softmax", "Mish": "mish",
}  # fmt: skip

OPERATIONS: Mapping[str, Operation] = {
    "Add": _binary("Add"),
    "Subtract": _binary("Sub"),
    "Multiply": _binary("Mul"),
    "Divide": _binary("Div"),
    "TrueDivide": _binary("Div"),
    "Power": _binary("Pow"),
    "Maximum": _binary("Max"),
    "Minimum": _binary("Min"),
    "Absolute": _unary("Abs"),
    "Negative": _unary("Neg"),
    "Exp": _unary("Exp"),
    "Log": _unary("Log"),
    "Sqrt": _unary("Sqrt"),
    "Square": lambda call: call.graph.apply("Mul", call.tensor(), call.tensor().name),
    "Mean": _reduced("ReduceMean"),
    "Sum": _reduced("ReduceSum"),
    "Max": _reduced("ReduceMax"),
    "Min": _reduced("ReduceMin"),
    "Clip": clip,
    "Reshape": reshape,
    "Transpose": transpose,
    "Concatenate": concatenate,
    "Squeeze": squeeze,
    "ExpandDims": expand_dims,
    "Pad": pad,
    "Resize": resize,
    "GetItem": get_item,
    "Identity": lambda call: call.tensor(),
    "Cast": lambda call: call.tensor(),
    "StopGradient": lambda call: call.tensor(),
    **{kind: _activation(name) for kind, name in ACTIVATIONS.items()},
}

FUNCTIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    **dict.fromkeys(("math.add", "__operators__.add"), ("Add", {"x": "x1", "y": "x2"})),
    **dict.fromkeys(("math.subtract", "__operators__.sub"), ("Subtract", {"x": "x1", "y": "x2"})),
    **dict.fromkeys(("math.multiply", "__operators__.mul"), ("Multiply", {"x": "x1", "y": "x2"})),
    **dict.fromkeys(
        ("math.divide", "math.truediv", "__operators__.truediv"), ("TrueDivide", {"x": "x1", "y": "x2"})
    ),
    "math.pow": ("Power", {"x": "x1", "y": "x2"}),
    "math.maximum": ("Maximum", {"x": "x1", "y": "x2"}),
    "math.minimum": ("Minimum", {"x": "x1", "y": "x2"}),
    "nn.relu": ("Relu", {"features": "x"}),
    "nn.relu6": ("Relu6", {"features": "x"}),
    "nn.silu": ("Silu", {"features": "x"}),
    "nn.gelu": ("Gelu", {"features": "x"}),
    "nn.softmax": ("Softmax", {"logits": "x"}),
    "math.sigmoid": ("Sigmoid", {}),
    "math.tanh": ("Tanh", {}),
    "math.reduce_mean": ("Mean", {"input_tensor": "x"}),
    "math.reduce_max": ("Max", {"input_tensor": "x"}),
    "math.reduce_sum": ("Sum", {"input_tensor": "x"}),
    "reshape": ("Reshape", {"tensor": "x", "shape": "newshape"}),
    "concat": ("Concatenate", {"values": "xs"}),
    "expand_dims": ("ExpandDims", {"input": "x"}),
    "squeeze": ("Squeeze", {"input": "x"}),
    "clip_by_value": ("Clip", {"t": "x", "clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "cast": ("Cast", {}),
}


def write(call: Call) -> Tensor:
    """What the operation makes of its arguments.

    Raises:
        ModelInvalid: it is not known, or its arguments cannot be converted.
    """
    operation = OPERATIONS.get(call.layer.kind)
    if operation is None:
        call.layer.fail("is an operation that is not known; export the model to ONNX and add that file")
    return operation(call)


def named(call: Call) -> Call:
    """A call of a TensorFlow function, as Keras 2 writes it, as the operation that does the same.

    Raises:
        ModelInvalid: it is not known.
    """
    function = call.layer.config.get("function")
    known = FUNCTIONS.get(function) if isinstance(function, str) else None
    if known is None:
        raise errors.ModelInvalid(
            f"Layer {errors.excerpt(call.layer.name)} calls {errors.excerpt(function)}, which is not known; "
            "export the model to ONNX and add that file."
        )
    kind, names = known
    arguments = {
        names.get(name, name): value
        for name, value in call.named.items()
        if name != "name" and value is not None
    }
    return replace(call, layer=replace(call.layer, kind=kind, config={}), named=arguments)
