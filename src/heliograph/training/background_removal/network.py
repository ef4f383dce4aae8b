"""The network: the classifier's encoder, and a light decoder that ends at the picture's own resolution."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

from heliograph.training import encoder

Tensor: TypeAlias = Any

SIDE_PIXELS = 320
DEEPEST_FILTERS = 128
FILTERS = (96, 48, 32, 24)
"""Of the decoder at strides 16, 8, 4 and 2: twelve filters at stride 1 took two fifths of the network's time."""
LEVELS = 5
"""How many mattes it gives while it trains: at strides 1, 2, 4, 8 and 16, the finest first."""


def build(side: int = SIDE_PIXELS) -> keras.Model:
    """The network, with fresh weights: (n, side, side, 3) pictures in, `LEVELS` mattes of logits out.

    The first output (n, side, side, 1) is the answer; the others are only for learning.
    ``side`` is a multiple of 32; pictures are ``(value - encoder.MEAN) / encoder.STD``.
    """
    pictures = keras.Input((side, side, 3), name="pictures")
    taps = encoder.encode(pictures)
    x = _pointwise(taps.stride32, DEEPEST_FILTERS, "deepest")
    # What the whole picture is about, known everywhere.
    whole = keras.layers.GlobalAveragePooling2D(keepdims=True, name="whole")(x)
    whole = keras.layers.Conv2D(DEEPEST_FILTERS, 1, activation="relu", name="whole_filter")(whole)
    x = keras.layers.Add(name="deepest_and_whole")([x, whole])
    mattes = []
    laterals = (taps.stride16, taps.stride8, taps.stride4, taps.stride2)
    for stride, filters, lateral in zip((16, 8, 4, 2), FILTERS, laterals, strict=True):
        name = f"stride{stride}"
        x = _upsampled(_pointwise(x, filters, f"{name}_narrow", active=False), name)
        x = keras.layers.Add(name=f"{name}_add")(
            [x, _pointwise(lateral, filters, f"{name}_lateral", active=False)]
        )
        if stride == 2:
            # The edges are in the pixels themselves, of which the encoder keeps what tells classes apart.
            x = keras.layers.Add(name="pixels_add")([x, _pixels(pictures, filters)])
        x = keras.layers.ReLU(6.0, name=f"{name}_relu6")(x)
        x = _separable(x, filters, f"{name}_a")
        x = _separable(x, filters, f"{name}_b")
        mattes.append(keras.layers.Conv2D(1, 3, padding="same", name=f"matte_{name}")(x))
    finest = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="matte_stride1")(x)
    mattes.append(finest)
    return keras.Model(pictures, mattes[::-1], name="silhouette")


def answering(model: keras.Model, side: int) -> keras.Model:
    """The network with its answer alone: (n, side, side, 1) mattes from 0 to 1."""
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((side, side, 3), name="pictures"))
    fixed.set_weights(model.get_weights())
    matte = keras.layers.Activation("sigmoid", name="matte")(fixed.outputs[0])
    return keras.Model(fixed.input, matte, name="silhouette")


def _upsampled(x: Tensor, name: str) -> Tensor:
    return keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_upsampled")(x)


def _pointwise(x: Tensor, filters: int, name: str, *, active: bool = True) -> Tensor:
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x) if active else x


def _pixels(pictures: Tensor, filters: int) -> Tensor:
    """The pictures at stride 2: each place is made of 3 × 3 pixels, nothing in between."""
    x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name="pixels")(pictures)
    return keras.layers.BatchNormalization(name="pixels_norm")(x)


def _separable(x: Tensor, filters: int, name: str) -> Tensor:
    """3 × 3 on each channel, then 1 × 1 over them, normalised."""
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = keras.layers.BatchNormalization(name=f"{name}_depthwise_norm")(x)
    return _pointwise(x, filters, f"{name}_pointwise")
