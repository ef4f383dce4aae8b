"""Keras' layers that pool, pad, cut, scale and reorder values, in ONNX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from heliograph.adapters.models.keras_convolutions import Window
from heliograph.adapters.models.keras_layers import Layer, one_picture, one_value
from heliograph.adapters.models.onnx_graph import Graph, Shape, Tensor

CUBIC = -0.5
"""TensorFlow's coefficient of bicubic interpolation, which it rounds by a table: answers differ by 1/1000."""


def _pooling(kind: str) -> Callable[[Graph, Layer, Sequence[Tensor]], Tensor]:
    def pool(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
        tensor = one_picture(graph, layer, inputs)
        window = Window.of(layer, kernel="pool_size")
        shape = (tensor.shape[0], *window.out(tensor), tensor.shape[3])
        return graph.apply(kind, tensor, shape=shape, **window.attributes(tensor))

    return pool


def _global_pooling(kind: str) -> Callable[[Graph, Layer, Sequence[Tensor]], Tensor]:
    def pool(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
        tensor = one_picture(graph, layer, inputs)
        batch, channels = tensor.shape[0], tensor.shape[3]
        pooled = graph.apply(kind, tensor, shape=(batch, 1, 1, channels))
        if layer.flag("keepdims", default=False):
            return pooled
        return Tensor(graph.node("Flatten", [pooled.name]), (batch, channels))

    return pool


def zero_padding(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``ZeroPadding2D``."""
    return bordered(graph, one_picture(graph, layer, inputs), layer.borders("padding"))


def bordered(graph: Graph, tensor: Tensor, border: Sequence[int]) -> Tensor:
    """A picture with zeros around it: at the top, left, bottom and right."""
    top, left, bottom, right = border
    pads = graph.weight([0, 0, top, left, 0, 0, bottom, right], "border")
    shape = _resized(tensor, lambda height: height + top + bottom, lambda width: width + left + right)
    return graph.apply("Pad", tensor, pads, shape=shape, mode="constant")


def _resized(tensor: Tensor, height: Callable[[int], int], width: Callable[[int], int]) -> Shape:
    batch, rows, columns, channels = tensor.shape
    return (
        batch,
        None if rows is None else height(rows),
        None if columns is None else width(columns),
        channels,
    )


def cropping(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Cropping2D``."""
    tensor = one_picture(graph, layer, inputs)
    top, left, bottom, right = layer.borders("cropping")
    shape = _resized(tensor, lambda height: height - top - bottom, lambda width: width - left - right)
    if min(length for length in (*shape[1:3], 1) if length is not None) < 1:
        layer.fail("crops more than there is")
    ends = [-bottom if bottom else _FAR, -right if right else _FAR]
    return sliced(graph, tensor, starts=[top, left], ends=ends, axes=[1, 2], shape=shape)


_FAR = (1 << 62) - 1


def sliced(
    graph: Graph,
    tensor: Tensor,
    *,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    shape: Shape,
    steps: Sequence[int] | None = None,
) -> Tensor:
    """A part of a value; ``axes`` are those of its shape."""
    ordered = [tensor.axis(axis) for axis in axes]
    extra = [] if steps is None else [graph.weight(list(steps), "steps")]
    others = [
        graph.weight(list(values), what)
        for values, what in ((starts, "starts"), (ends, "ends"), (ordered, "axes"))
    ]
    return graph.apply("Slice", tensor, *others, *extra, shape=shape)


def centre_crop(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``CenterCrop`` of pictures that are at least as large."""
    tensor = one_picture(graph, layer, inputs)
    height, width = layer.whole("height"), layer.whole("width")
    rows, columns = tensor.shape[1:3]
    if rows is None or columns is None or rows < height or columns < width:
        layer.fail("crops pictures that may be smaller than the crop")
    top, left = (rows - height) // 2, (columns - width) // 2
    shape = (tensor.shape[0], height, width, tensor.shape[3])
    return sliced(
        graph, tensor, starts=[top, left], ends=[top + height, left + width], axes=[1, 2], shape=shape
    )


def up_sampling(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``UpSampling2D``."""
    tensor = one_picture(graph, layer, inputs)
    rows, columns = layer.pair("size", 2)
    scales = graph.weight([1.0, 1.0, float(rows), float(columns)], "scales")
    shape = _resized(tensor, lambda height: height * rows, lambda width: width * columns)
    mode = layer.text("interpolation", "nearest")
    return graph.apply("Resize", tensor, "", scales, shape=shape, **_interpolation(layer, mode))


def resizing(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Resizing``, without anti-aliasing and without regard for the shape, as is Keras' default."""
    tensor = one_picture(graph, layer, inputs)
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        layer.expect(key, False)
    mode = layer.text("interpolation", "bilinear")
    return resized(graph, layer, tensor, (layer.whole("height"), layer.whole("width")), mode)


def resized(graph: Graph, layer: Layer, tensor: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """A picture of this height and width."""
    if min(size) < 1:
        layer.fail("asks for a picture without pixels")
    kept = graph.node(
        "Slice",
        [
            graph.node("Shape", [tensor.name]),
            graph.weight([0], "starts"),
            graph.weight([2], "ends"),
        ],
    )
    sizes = graph.node("Concat", [kept, graph.weight(list(size), "size")], axis=0)
    shape = (tensor.shape[0], *size, tensor.shape[3])
    return graph.apply("Resize", tensor, "", "", sizes, shape=shape, **_interpolation(layer, mode))


def _interpolation(layer: Layer, mode: str) -> dict[str, object]:
    """TensorFlow's pixels have their centres at halves."""
    if mode == "bilinear":
        return {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if mode == "bicubic":
        centres = {"coordinate_transformation_mode": "half_pixel", "exclude_outside": 1}
        return {"mode": "cubic", "cubic_coeff_a": CUBIC, **centres}
    if mode == "nearest":
        centres = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
        return {"mode": "nearest", **centres}
    return layer.fail(f"scales by {mode!r}, which cannot be converted; bilinear, nearest and bicubic can")


def flatten(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Flatten``."""
    layer.expect("data_format", "channels_last")
    tensor = one_value(layer, inputs)
    if tensor.shape[1:3] != (1, 1):
        tensor = graph.last(tensor)
    lengths = tensor.shape[1:]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        layer.fail("flattens a picture of free size; give the model's input a height and a width")
    return Tensor(graph.node("Flatten", [tensor.name]), (tensor.shape[0], math.prod(known)))


def reshape(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Reshape``."""
    target = layer.config.get("target_shape")
    if not isinstance(target, list | tuple) or not all(isinstance(length, int) for length in target):
        layer.fail("has no target_shape")
    return reshaped(graph, layer, one_value(layer, inputs), target)


def reshaped(graph: Graph, layer: Layer, tensor: Tensor, target: Sequence[int]) -> Tensor:
    """A value with other axes behind the batch; one of them may be -1."""
    lengths = tensor.shape[1:]
    known = [length for length in lengths if length is not None]
    given = [length for length in target if length != -1]
    if len(target) - len(given) > 1 or min(given, default=1) < 1:
        layer.fail("has a shape that makes no sense")
    if len(known) == len(lengths):
        total, rest = math.prod(known), math.prod(given)
        if total % rest or (len(given) == len(target) and total != rest):
            layer.fail(f"cannot bring {total} numbers into the shape {tuple(target)}")
        target = [total // rest if length == -1 else length for length in target]
    shape = (tensor.shape[0], *(None if length == -1 else length for length in target))
    one_pixel = len(target) == 3 and target[0] == target[1] == 1
    if not one_pixel or tensor.rank == 4:
        tensor = graph.last(tensor)
    if one_pixel:  # in a squeeze-and-excitation block: channels first without a transposition
        order = [0, target[2], 1, 1]
        return Tensor(graph.node("Reshape", [tensor.name, graph.weight(order, "shape")]), shape, True)
    return Tensor(graph.node("Reshape", [tensor.name, graph.weight([0, *target], "shape")]), shape)


def permute(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``Permute``."""
    dims = layer.config.get("dims")
    if not isinstance(dims, list | tuple):
        layer.fail("has no dims")
    return reordered(graph, layer, one_value(layer, inputs), [0, *dims])


def reordered(graph: Graph, layer: Layer, tensor: Tensor, order: Sequence[int]) -> Tensor:
    """A value with its axes in another order."""
    tensor = graph.last(tensor)
    if sorted(order) != list(range(tensor.rank)) or order[0] != 0:
        layer.fail("reorders the axes in a way that cannot be converted")
    name = graph.node("Transpose", [tensor.name], perm=list(order))
    return replace(tensor, name=name, shape=tuple(tensor.shape[axis] for axis in order))


def repeat_vector(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """``RepeatVector``."""
    tensor, count = one_value(layer, inputs), layer.whole("n")
    if tensor.rank != 2 or count < 1:
        layer.fail("repeats something that is not a vector")
    wide = graph.node("Unsqueeze", [tensor.name, graph.weight([1], "axes")])
    name = graph.node("Tile", [wide, graph.weight([1, count, 1], "repeats")])
    return Tensor(name, (tensor.shape[0], count, tensor.shape[1]))


WRITERS: Mapping[str, Callable[[Graph, Layer, Sequence[Tensor]], Tensor]] = {
    "MaxPooling2D": _pooling("MaxPool"),
    "AveragePooling2D": _pooling("AveragePool"),
    "GlobalAveragePooling2D": _global_pooling("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pooling("GlobalMaxPool"),
    "ZeroPadding2D": zero_padding,
    "Cropping2D": cropping,
    "CenterCrop": centre_crop,
    "UpSampling2D": up_sampling,
    "Resizing": resizing,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": repeat_vector,
}
