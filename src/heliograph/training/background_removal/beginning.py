"""What a training begins with: the encoder's weights of ImageNet, or a network that has learned already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from heliograph.core import errors
from heliograph.core.ports import ModelFile
from heliograph.training import encoder
from heliograph.training.background_removal import network
from heliograph.training.exporting import weights_of

SMALLEST_SIDE = 32

State: TypeAlias = Mapping[str, npt.NDArray[Any]]
Tensor: TypeAlias = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A network before the first step."""

    name: str
    """Whose weights it has, in words, and which ones these are."""
    side: int | None
    """Of the pictures that the network takes once it is served, in pixels; None for those that it learns last from."""
    build: Callable[[int], keras.Model]
    """Makes the network for pictures of a side, with these weights."""


def from_imagenet(state: State) -> Beginning:
    """`network.build` with the weights of ImageNet in its encoder, see `encoder.load`, and fresh ones elsewhere."""

    def build(side: int) -> keras.Model:
        model = network.build(side)
        encoder.load(model, state)
        return model

    return Beginning(name="ImageNet", side=None, build=build)


def from_package(file: ModelFile) -> Beginning:
    """`folded` with the weights of a package that was made of this network.

    Raises:
        ModelInvalid: it was made of another one.
    """
    spec = file.spec

    def build(side: int) -> keras.Model:
        model = folded(side)
        restore(model, file.path)
        return model

    build(SMALLEST_SIDE)  # a package that does not fit is told before anything is labelled or written
    name = f"{spec.title} ({file.variant.sha256[:8]})"
    return Beginning(name=name, side=spec.input.width, build=build)


def folded(side: int = network.SIDE_PIXELS) -> keras.Model:
    """`network.build` with its finest matte alone and each normalisation as a part of the filters before it.

    It computes the same and learns twice as fast; with fresh weights it would hardly learn.
    """
    whole = network.build(side)
    finest = keras.Model(whole.input, whole.outputs[:1], name=whole.name)
    return keras.models.clone_model(finest, clone_function=_biased, call_function=_past_normalisations)


def restore(model: keras.Model, file: Path) -> None:
    """Puts the weights of an ONNX file that was made of this network into a `folded` one.

    Raises:
        ModelInvalid: it is no ONNX file, or a layer's weights are missing or have another shape.
    """
    try:
        state = weights_of(file)
    except Exception as error:  # onnx raises what protobuf raises, which has no types
        raise errors.ModelInvalid(f"{file} is no ONNX file: {errors.excerpt(error)}.") from error
    for layer in model.layers:
        if not layer.weights:
            continue
        # ONNX: (out, in / groups, height, width). Keras: (height, width, in, out), or (…, in, 1) a channel; where a
        # convolution is transposed, out and in have changed places in both.
        order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
        try:
            kernel, bias = (state[f"{layer.name}.{part}"] for part in ("kernel", "bias"))
            layer.set_weights([np.ascontiguousarray(kernel.transpose(order)), bias])
        except (KeyError, ValueError) as error:
            raise errors.ModelInvalid(
                f"{file} holds another network: its {layer.name} does not fit ({errors.excerpt(error)})."
            ) from error


def _biased(layer: keras.Layer) -> keras.Layer:
    config = layer.get_config()
    if "use_bias" in config:
        config["use_bias"] = True
    return type(layer).from_config(config)


def _past_normalisations(layer: keras.Layer, x: Tensor, **options: object) -> Tensor:
    return x if isinstance(layer, keras.layers.BatchNormalization) else layer(x, **options)
