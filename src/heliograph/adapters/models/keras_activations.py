"""Keras' activations in ONNX: as layers, and as settings of other layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from heliograph.adapters.models.keras_layers import Layer, one_value
from heliograph.adapters.models.onnx_graph import Graph, Tensor

Activation: TypeAlias = Callable[[Graph, Layer, Tensor], Tensor]


def activate(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """``tensor`` behind the activation that the layer's settings name."""
    kind, config = named_activation(layer)
    return apply_activation(graph, replace(layer, kind=kind, config=config), tensor)


def named_activation(layer: Layer) -> tuple[str, Mapping[str, Any]]:
    """What the layer's setting ``activation`` is called, and that activation's own settings."""
    value = layer.config.get("activation")
    if value is None:
        return "linear", {}
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping):
        kind, config = value.get("class_name"), value.get("config")
        if kind == "function" and isinstance(config, str):
            return config, {}
        if isinstance(kind, str) and isinstance(config, Mapping):
            return kind, config
    return layer.fail("has an activation that cannot be read")


def apply_activation(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """``tensor`` behind the activation ``layer.kind``."""
    writer = ACTIVATIONS.get(layer.kind)
    if writer is None:
        layer.fail("has an activation that is not known; export the model to ONNX and add that file")
    return writer(graph, layer, tensor)


def relu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """Zero below zero; with a ceiling, a slope below and a threshold where the settings say so."""
    slope = layer.number("negative_slope", layer.number("alpha", 0.0))
    threshold = layer.number("threshold", 0.0)
    if threshold != 0 or (slope != 0 and layer.config.get("max_value") is not None):
        layer.fail("has a threshold, or a slope and a ceiling, which cannot be converted")
    if slope != 0:
        return graph.apply("LeakyRelu", tensor, alpha=slope)
    if layer.config.get("max_value") is None:
        return graph.apply("Relu", tensor)
    return clipped(graph, tensor, 0.0, layer.number("max_value"))


def clipped(graph: Graph, tensor: Tensor, low: float, high: float) -> Tensor:
    """``tensor`` between two numbers."""
    return graph.apply("Clip", tensor, graph.number(low), graph.number(high))


def softmax(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """Shares of one along an axis."""
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        layer.fail("has several axes")
    return graph.apply("Softmax", tensor, axis=tensor.axis(axis))


def gelu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """Gaussian error linear unit, exact or by its approximation."""
    if layer.flag("approximate", default=False):
        cube = graph.node("Mul", [graph.node("Mul", [tensor.name, tensor.name]), tensor.name])
        inner = graph.node("Add", [tensor.name, graph.node("Mul", [cube, graph.number(0.044715)])])
        share = graph.node("Tanh", [graph.node("Mul", [inner, graph.number(math.sqrt(2 / math.pi))])])
    else:
        share = graph.node("Erf", [graph.node("Mul", [tensor.name, graph.number(math.sqrt(0.5))])])
    half = graph.node("Mul", [tensor.name, graph.number(0.5)])
    return replace(tensor, name=graph.node("Mul", [half, graph.node("Add", [share, graph.number(1.0)])]))


def silu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """A value times its own sigmoid; also called swish."""
    return graph.apply("Mul", tensor, graph.node("Sigmoid", [tensor.name]))


def mish(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """A value times the hyperbolic tangent of its softplus."""
    return graph.apply("Mul", tensor, graph.node("Tanh", [graph.node("Softplus", [tensor.name])]))


def hard_sigmoid(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """Three straight lines; steeper in Keras 2."""
    alpha = 1 / 6 if layer.version >= 3 else 0.2
    return graph.apply("HardSigmoid", tensor, alpha=alpha, beta=0.5)


def leaky_relu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """A slope below zero."""
    default = 0.3 if layer.kind == "LeakyReLU" else 0.2
    slope = layer.number("negative_slope", layer.number("alpha", default))
    return graph.apply("LeakyRelu", tensor, alpha=slope)


def elu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """An exponential below zero."""
    return graph.apply("Elu", tensor, alpha=layer.number("alpha", 1.0))


def parametric_relu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    """A learned slope below zero, of each channel or each place."""
    slope = layer.weight(0, *([None] * (tensor.rank - 1)))
    slope = slope.transpose(2, 0, 1) if tensor.channels_first else slope
    return graph.apply("PRelu", tensor, graph.weight(slope, "slope"))


def _plain(kind: str) -> Activation:
    return lambda graph, layer, tensor: graph.apply(kind, tensor)


def _selu(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    return graph.apply("Selu", tensor, alpha=1.6732632423543772, gamma=1.0507009873554805)


def _unchanged(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    return tensor


def _relu6(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    return clipped(graph, tensor, 0.0, 6.0)


def _log_softmax(graph: Graph, layer: Layer, tensor: Tensor) -> Tensor:
    return graph.apply("LogSoftmax", tensor, axis=tensor.axis(-1))


ACTIVATIONS: Mapping[str, Activation] = {
    "linear": _unchanged,
    "relu": relu,
    "ReLU": relu,
    "relu6": _relu6,
    "sigmoid": _plain("Sigmoid"),
    "softmax": softmax,
    "Softmax": softmax,
    "log_softmax": _log_softmax,
    "tanh": _plain("Tanh"),
    "gelu": gelu,
    "silu": silu,
    "swish": silu,
    "mish": mish,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": _plain("HardSwish"),
    "hard_swish": _plain("HardSwish"),
    "leaky_relu": leaky_relu,
    "LeakyReLU": leaky_relu,
    "elu": elu,
    "ELU": elu,
    "selu": _selu,
    "softplus": _plain("Softplus"),
    "softsign": _plain("Softsign"),
    "exponential": _plain("Exp"),
    "PReLU": parametric_relu,
}


def _as_layer(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    return apply_activation(graph, layer, one_value(layer, inputs))


def _activation(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    return activate(graph, layer, one_value(layer, inputs))


WRITERS: Mapping[str, Callable[[Graph, Layer, Sequence[Tensor]], Tensor]] = {
    "Activation": _activation,
    **dict.fromkeys(("ReLU", "Softmax", "LeakyReLU", "ELU", "PReLU"), _as_layer),
}
