"""Keras' convolutions, dense layers and normalisations in ONNX, with TensorFlow's "same" padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from heliograph.adapters.models.keras_activations import activate
from heliograph.adapters.models.keras_layers import Layer, one_picture, one_value
from heliograph.adapters.models.onnx_graph import Array, Graph, Tensor

Writer: TypeAlias = Callable[[Graph, Layer, Sequence[Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves over a picture."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)
    same: bool = False

    @classmethod
    def of(cls, layer: Layer, *, kernel: str = "kernel_size") -> Window:
        """The window of a layer; ``kernel`` is the setting with its size."""
        layer.expect("padding", "same", "valid")
        size = layer.pair(kernel)
        strides = layer.pair("strides", 1) if kernel == "kernel_size" else _pool_strides(layer, size)
        window = cls(size, strides, layer.pair("dilation_rate", 1), layer.config.get("padding") == "same")
        if min(*size, *strides, *window.dilations) < 1:
            layer.fail("has a kernel, strides or a dilation below 1")
        return window

    def padding(self, tensor: Tensor) -> dict[str, object]:
        """The attributes for the padding: pixels where they can be told, else the rule itself."""
        if not self.same:
            return {"pads": [0, 0, 0, 0]}
        totals = [self._total(axis, tensor.shape[1 + axis]) for axis in (0, 1)]
        if any(total is None for total in totals):
            return {"auto_pad": "SAME_UPPER"}
        known = [total or 0 for total in totals]
        before = [total // 2 for total in known]
        return {"pads": [*before, *(total - first for total, first in zip(known, before, strict=True))]}

    def out(self, tensor: Tensor) -> tuple[int | None, int | None]:
        """Height and width of what comes out."""
        height, width = (self._out(axis, tensor.shape[1 + axis]) for axis in (0, 1))
        return height, width

    def attributes(self, tensor: Tensor) -> dict[str, object]:
        """The attributes of a node of ONNX."""
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            **({"dilations": list(self.dilations)} if self.dilations != (1, 1) else {}),
            **self.padding(tensor),
        }

    def reach(self, axis: int) -> int:
        """How many pixels the kernel spans, the gaps among them."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def _total(self, axis: int, length: int | None) -> int | None:
        """How many pixels are padded along an axis; None if that depends on a length that is free."""
        stride, reach = self.strides[axis], self.reach(axis)
        if stride == 1:
            return reach - 1
        return None if length is None else max((-(-length // stride) - 1) * stride + reach - length, 0)

    def _out(self, axis: int, length: int | None) -> int | None:
        if length is None:
            return None
        return -(-(length if self.same else length - self.reach(axis) + 1) // self.strides[axis])


def _pool_strides(layer: Layer, size: tuple[int, int]) -> tuple[int, int]:
    return size if layer.config.get("strides") is None else layer.pair("strides")


def _shared(graph: Graph, layer: Layer, what: str, values: Array) -> str:
    """A weight in the graph, the same one for each call of the layer."""
    if what not in layer.shared:
        layer.shared[what] = graph.weight(values, what)
    return layer.shared[what]


def _channels(layer: Layer, tensor: Tensor) -> int:
    channels = tensor.shape[-1]
    if channels is None:
        layer.fail("gets an unknown number of channels")
    return channels


def _bias(layer: Layer, position: int, filters: int) -> Array:
    return layer.weight(position, filters) if layer.flag("use_bias", default=True) else np.zeros(filters)


def _convolve(
    graph: Graph, layer: Layer, tensor: Tensor, window: Window, kernel: Array, bias: Array, *, part: str = ""
) -> Tensor:
    """A convolution with ``kernel`` as ONNX has it: (filters, channels of a group, height, width)."""
    group = _channels(layer, tensor) // kernel.shape[1]
    weights = (_shared(graph, layer, f"{part}kernel", kernel), _shared(graph, layer, f"{part}bias", bias))
    shape = (tensor.shape[0], *window.out(tensor), kernel.shape[0])
    more = {"group": group} if group != 1 else {}
    return graph.apply("Conv", tensor, *weights, shape=shape, **window.attributes(tensor), **more)


def convolution(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Conv2D``, also in groups."""
    tensor = one_picture(graph, layer, inputs)
    window, groups, filters = Window.of(layer), layer.whole("groups", 1), layer.whole("filters")
    channels = _channels(layer, tensor)
    if groups < 1 or channels % groups:
        layer.fail(f"cannot divide {channels} channels into {groups} groups")
    kernel = layer.weight(0, *window.kernel, channels // groups, filters)
    made = _convolve(graph, layer, tensor, window, kernel.transpose(3, 2, 0, 1), _bias(layer, 1, filters))
    return activate(graph, layer, made)


def _depthwise_kernel(layer: Layer, window: Window, channels: int) -> Array:
    multiplier = layer.whole("depth_multiplier", 1)
    kernel = layer.weight(0, *window.kernel, channels, multiplier)
    return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, *window.kernel)


def depthwise(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``DepthwiseConv2D``."""
    tensor = one_picture(graph, layer, inputs)
    window = Window.of(layer)
    kernel = _depthwise_kernel(layer, window, _channels(layer, tensor))
    made = _convolve(graph, layer, tensor, window, kernel, _bias(layer, 1, kernel.shape[0]))
    return activate(graph, layer, made)


def separable(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``SeparableConv2D``: each channel on its own, then all of them together."""
    tensor = one_picture(graph, layer, inputs)
    window, filters = Window.of(layer), layer.whole("filters")
    kernel = _depthwise_kernel(layer, window, _channels(layer, tensor))
    wide = kernel.shape[0]
    made = _convolve(graph, layer, tensor, window, kernel, np.zeros(wide), part="depthwise_")
    pointwise = layer.weight(1, 1, 1, wide, filters).transpose(3, 2, 0, 1)
    made = _convolve(graph, layer, made, Window((1, 1), (1, 1)), pointwise, _bias(layer, 2, filters))
    return activate(graph, layer, made)


def transposed(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Conv2DTranspose``."""
    tensor = one_picture(graph, layer, inputs)
    window, filters = Window.of(layer), layer.whole("filters")
    if layer.config.get("output_padding") is not None or layer.whole("groups", 1) != 1:
        layer.fail("has output_padding or groups, which cannot be converted")
    kernel = layer.weight(0, *window.kernel, filters, _channels(layer, tensor))
    pads, more, shape = [], [], []
    for axis in (0, 1):
        length, stride, surplus = tensor.shape[1 + axis], window.strides[axis], 0
        surplus = window.reach(axis) - stride
        pads.append(max(surplus, 0) if window.same else 0)
        more.append(max(-surplus, 0))
        grown = 0 if window.same else max(surplus, 0)
        shape.append(None if length is None else length * stride + grown)
    before = [total // 2 for total in pads]
    made = graph.apply(
        "ConvTranspose",
        tensor,
        _shared(graph, layer, "kernel", kernel.transpose(3, 2, 0, 1)),
        _shared(graph, layer, "bias", _bias(layer, 1, filters)),
        shape=(tensor.shape[0], *shape, filters),
        kernel_shape=list(window.kernel),
        strides=list(window.strides),
        dilations=list(window.dilations),
        pads=[*before, *(total - first for total, first in zip(pads, before, strict=True))],
        output_padding=more,
    )
    return activate(graph, layer, made)


def dense(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Dense``, over the last axis; of a picture with its channels first that is a convolution of one pixel."""
    tensor = one_value(layer, inputs)
    units, channels = layer.whole("units"), _channels(layer, tensor)
    kernel, bias = layer.weight(0, channels, units), _bias(layer, 1, units)
    if tensor.channels_first:
        pixel = Window((1, 1), (1, 1))
        made = _convolve(graph, layer, tensor, pixel, kernel.T[:, :, None, None], bias)
        return activate(graph, layer, made)
    weight, shift = _shared(graph, layer, "kernel", kernel), _shared(graph, layer, "bias", bias)
    shape = (*tensor.shape[:-1], units)
    if tensor.rank == 2:
        return activate(graph, layer, graph.apply("Gemm", tensor, weight, shift, shape=shape))
    made = graph.apply("MatMul", tensor, weight, shape=shape)
    return activate(graph, layer, graph.apply("Add", made, shift))


def batch_normalization(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``BatchNormalization`` over the channels, as one factor and one summand a channel."""
    tensor = one_value(layer, inputs)
    if layer.axes(tensor.rank) != [tensor.rank - 1]:
        layer.fail("normalises another axis than the last one")
    channels = _channels(layer, tensor)
    scaled, centred = layer.flag("scale", default=True), layer.flag("center", default=True)
    gamma = layer.weight(0, channels) if scaled else np.ones(channels)
    beta = layer.weight(int(scaled), channels) if centred else np.zeros(channels)
    mean = layer.weight(scaled + centred, channels)
    variance = layer.weight(scaled + centred + 1, channels)
    if variance.min() < 0:
        layer.fail("has a negative variance")
    scale = gamma / np.sqrt(variance + layer.number("epsilon", 1e-3))
    return graph.affine(tensor, scale, beta - mean * scale)


def layer_normalization(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``LayerNormalization`` over the last axis."""
    tensor = graph.last(one_value(layer, inputs))
    if layer.axes(tensor.rank) != [tensor.rank - 1] or layer.flag("rms_scaling", default=False):
        layer.fail("normalises in a way that cannot be converted")
    channels = _channels(layer, tensor)
    scaled, centred = layer.flag("scale", default=True), layer.flag("center", default=True)
    gamma = layer.weight(0, channels) if scaled else np.ones(channels)
    beta = layer.weight(int(scaled), channels) if centred else np.zeros(channels)
    weights = (_shared(graph, layer, "gamma", gamma), _shared(graph, layer, "beta", beta))
    epsilon = layer.number("epsilon", 1e-3)
    return graph.apply("LayerNormalization", tensor, *weights, axis=-1, epsilon=epsilon)


WRITERS: Mapping[str, Writer] = {
    "Conv2D": convolution,
    "DepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "Conv2DTranspose": transposed,
    "Dense": dense,
    "BatchNormalization": batch_normalization,
    "BatchNormalizationV1": batch_normalization,
    "SyncBatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
}
