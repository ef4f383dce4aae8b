"""What the network is to make small."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = Any

COARSER_WEIGHT = 0.4


def matte_loss(targets: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft intersection over union, one number a picture (n,).

    Both are (n, height, width, 1). The cross-entropy counts twice where the target is neither 0 nor 1 in its
    neighbourhood, which is where the edge is.
    """
    edge = keras.ops.max_pool(targets, 5, strides=1, padding="same") + keras.ops.max_pool(
        1.0 - targets, 5, strides=1, padding="same"
    )
    weight = keras.ops.clip(edge, 1.0, 2.0)
    crossed = keras.ops.relu(logits) - logits * targets + keras.ops.softplus(-keras.ops.abs(logits))
    entropy = keras.ops.mean(crossed * weight, axis=(1, 2, 3))
    matte = keras.ops.sigmoid(logits)
    both = keras.ops.sum(matte * targets, axis=(1, 2, 3))
    either = keras.ops.sum(matte + targets - matte * targets, axis=(1, 2, 3))
    # A picture without a subject has no union to speak of: a hundredth of its pixels stands for it.
    floor = 0.01 * keras.ops.sum(keras.ops.ones_like(targets), axis=(1, 2, 3))
    return entropy + 1.0 - (both + floor) / (either + floor)


def weights(levels: int) -> list[float]:
    """Of the mattes' losses, the finest first."""
    return [1.0] + [COARSER_WEIGHT] * (levels - 1)
