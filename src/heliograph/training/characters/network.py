"""The network: a small residual one, 28 × 28 × 1 in, ten logits out."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = Any


def build(widths: tuple[int, int, int] = (32, 48, 88), classes: int = 10) -> keras.Model:
    """The network, with fresh weights: 234,000 for the default widths, so less than 1 MB.

    Three resolutions (28, 14, 7 pixels a side) of ``widths`` channels; of layers that the reader of Keras files knows.
    """
    small, middle, large = widths
    inputs = keras.Input((28, 28, 1))
    # One wide convolution at full resolution: a second one would cost as much as all the rest.
    x = convolution(inputs, small, size=5)
    x = keras.layers.MaxPooling2D(2)(x)
    x = convolution(x, middle)
    x = residual(x, middle)
    x = keras.layers.MaxPooling2D(2)(x)
    x = convolution(x, large)
    x = residual(x, large)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def residual(x: Tensor, width: int) -> Tensor:
    """``x`` and what two convolutions make of it, added."""
    y = convolution(x, width)
    y = convolution(y, width, relu=False)
    return keras.layers.ReLU()(keras.layers.Add()([x, y]))


def convolution(x: Tensor, width: int, *, size: int = 3, relu: bool = True) -> Tensor:
    """``size`` × ``size`` to ``width`` channels, normalised."""
    x = keras.layers.Conv2D(width, size, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = keras.layers.BatchNormalization(momentum=0.95)(x)
    return keras.layers.ReLU()(x) if relu else x
