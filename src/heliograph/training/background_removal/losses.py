"""What the network is to make small."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = Any

COARSER_WEIGHT = 0.4


@keras.saving.register_keras_serializable("heliograph")
class MatteLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """Cross-entropy plus one minus the soft intersection over union.

    Args:
        edge_weight: how often the cross-entropy counts where the target is neither 0 nor 1 in its neighbourhood,
            which is where the edge is.
    """

    def __init__(self, *, edge_weight: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.edge_weight = edge_weight

    def call(self, targets: Tensor, logits: Tensor) -> Tensor:
        """One number a picture (n,); both are (n, height, width, 1)."""
        edge = keras.ops.max_pool(targets, 5, strides=1, padding="same") + keras.ops.max_pool(
            1.0 - targets, 5, strides=1, padding="same"
        )
        weight = 1.0 + (self.edge_weight - 1.0) * keras.ops.clip(edge - 1.0, 0.0, 1.0)
        crossed = keras.ops.relu(logits) - logits * targets + keras.ops.softplus(-keras.ops.abs(logits))
        entropy = keras.ops.mean(crossed * weight, axis=(1, 2, 3))
        matte = keras.ops.sigmoid(logits)
        both = keras.ops.sum(matte * targets, axis=(1, 2, 3))
        either = keras.ops.sum(matte + targets - matte * targets, axis=(1, 2, 3))
        # A picture without a subject has no union to speak of: a hundredth of its pixels stands for it.
        floor = 0.01 * keras.ops.sum(keras.ops.ones_like(targets), axis=(1, 2, 3))
        return entropy + 1.0 - (both + floor) / (either + floor)

    def get_config(self) -> dict[str, Any]:
        """What a checkpoint needs to build it again."""
        return {**super().get_config(), "edge_weight": self.edge_weight}


def weights(levels: int) -> list[float]:
    """Of the mattes' losses, the finest first."""
    return [1.0] + [COARSER_WEIGHT] * (levels - 1)
