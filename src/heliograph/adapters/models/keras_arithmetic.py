"""Keras' layers that reckon with whole values: sums and products of several, scales, what only training needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from heliograph.adapters.models.keras_layers import Layer, one_value
from heliograph.adapters.models.onnx_graph import Graph, Shape, Tensor

EPSILON = 1e-7
"""Keras' smallest divisor."""

ONLY_IN_TRAINING = (
    "ActivityRegularization", "AlphaDropout", "CutMix", "Dropout", "GaussianDropout",
    "GaussianNoise", "Identity", "InputLayer", "MixUp", "AugMix", "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom", "SpatialDropout2D", "StochasticDepth",
)  # fmt: skip


def joined_shape(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """The shape of what is computed element by element of values with the same number of axes."""
    axes: list[int | None] = []
    for lengths in zip(*shapes, strict=True):
        longer = {length for length in lengths if length != 1} or {1}
        known = longer - {None}
        if len(known) > 1:
            layer.fail(f"joins values of lengths {sorted(length for length in known if length)}")
        axes.append(next(iter(known)) if known else None)
    return tuple(axes)


def together(graph: Graph, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The values with their axes in one order: as most of them are, for a transposition costs."""
    if len({tensor.channels_first for tensor in tensors}) == 1:
        return list(tensors)
    if all(tensor.rank == 4 for tensor in tensors):
        return [graph.first(tensor) for tensor in tensors]
    return [graph.last(tensor) for tensor in tensors]


def _merged(kind: str) -> Callable[[Graph, Layer, Sequence[Tensor]], Tensor]:
    def merge(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
        if not inputs:
            layer.fail("has no inputs")
        values = together(graph, _same_rank(graph, inputs))
        shape = joined_shape(layer, [value.shape for value in values])
        result = replace(values[0], shape=shape)
        for value in values[1:]:
            result = replace(result, name=graph.node(kind, [result.name, value.name]))
        return result

    return merge


def _same_rank(graph: Graph, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Shorter shapes get axes of length one behind the batch, as Keras' merging layers do it."""
    rank = max(tensor.rank for tensor in tensors)
    made = []
    for tensor in tensors:
        missing = rank - tensor.rank
        if missing:
            axes = graph.weight(list(range(1, 1 + missing)), "axes")
            name = graph.node("Unsqueeze", [graph.last(tensor).name, axes])
            made.append(Tensor(name, (tensor.shape[0], *[1] * missing, *tensor.shape[1:])))
        else:
            made.append(tensor)
    return made


def average(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Average``."""
    total = _merged("Add")(graph, layer, inputs)
    return graph.apply("Mul", total, graph.number(1 / len(inputs)))


def subtract(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Subtract``."""
    if len(inputs) != 2:
        layer.fail("subtracts other than two values")
    return _merged("Sub")(graph, layer, inputs)


def concatenate(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Concatenate``."""
    return concatenated(graph, layer, inputs, layer.whole("axis", -1))


def concatenated(graph: Graph, layer: Layer, inputs: Sequence[Tensor], axis: int) -> Tensor:
    """Values behind each other along an axis."""
    if not inputs or len({tensor.rank for tensor in inputs}) != 1:
        layer.fail("joins values with different numbers of axes")
    values = together(graph, inputs)
    place = values[0].axis(axis)
    lengths = [value.shape[axis] for value in values]
    known = [length for length in lengths if length is not None]
    shape = list(values[0].shape)
    shape[axis] = sum(known) if len(known) == len(lengths) else None
    name = graph.node("Concat", [value.name for value in values], axis=place)
    return replace(values[0], name=name, shape=tuple(shape))


def rescaling(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Rescaling``."""
    return graph.affine(one_value(layer, inputs), layer.numbers("scale"), layer.numbers("offset", 0.0))


def normalization(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Normalization``, with numbers from the settings or learned ones."""
    tensor = one_value(layer, inputs)
    if "axis" in layer.config and layer.config["axis"] is not None:
        axes = layer.axes(tensor.rank)
        if axes not in ([], [tensor.rank - 1]):
            layer.fail("normalises another axis than the last one")
    if layer.config.get("mean") is not None:
        mean, variance = layer.numbers("mean"), layer.numbers("variance")
    else:
        sizes = [None] * (layer.weights[0].ndim if layer.weights else 1)
        mean, variance = layer.weight(0, *sizes), layer.weight(1, *sizes)
    if np.any(variance < 0):
        layer.fail("has a negative variance")
    deviation = np.maximum(np.sqrt(variance), EPSILON)
    if layer.flag("invert", default=False):
        return graph.affine(tensor, deviation, mean)
    return graph.affine(tensor, 1 / deviation, -mean / deviation)


def layer_scale(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``LayerScale`` of ConvNeXt: a learned factor a channel."""
    return graph.affine(one_value(layer, inputs), layer.weight(0, None), 0.0)


def unchanged(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """What does something only while a model is trained."""
    return one_value(layer, inputs)


WRITERS: Mapping[str, Callable[[Graph, Layer, Sequence[Tensor]], Tensor]] = {
    "Add": _merged("Add"),
    "Multiply": _merged("Mul"),
    "Maximum": _merged("Max"),
    "Minimum": _merged("Min"),
    "Average": average,
    "Subtract": subtract,
    "Concatenate": concatenate,
    "Rescaling": rescaling,
    "Normalization": normalization,
    "LayerScale": layer_scale,
    **dict.fromkeys(ONLY_IN_TRAINING, unchanged),
}
