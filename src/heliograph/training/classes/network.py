"""The network: EfficientNet-Lite0 with a last layer for other classes, cut in two where training begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from heliograph.training import encoder
from heliograph.training.classes.views import SIDE


@dataclass(frozen=True, slots=True)
class Network:
    """One network, seen in four ways that share their layers."""

    whole: keras.Model
    """(n, 224, 224, 3) pictures → (n, classes) logits."""
    eye: keras.Model
    """(n, 224, 224, 3) pictures → (n, 14, 14, 112) of the lower blocks, which are never trained, and the
    (n, 1280) summary that the untrained upper ones make of it."""
    upper: keras.Model
    """(n, 14, 14, 112) → (n, classes) logits."""
    head: keras.Model
    """(n, 1280) → (n, classes) logits: the last layer alone."""


def build(classes: int, state: Mapping[str, Any], *, dropout: float) -> Network:
    """The network with the weights of ImageNet and a fresh last layer.

    Normalisation goes on by the statistics of ImageNet: a few hundred pictures would give poorer ones.
    """
    pictures = keras.Input((SIDE, SIDE, 3), name="pictures")
    taps = encoder.encode(pictures)
    summary = encoder.summarise(taps)
    drop = keras.layers.Dropout(dropout, name="dropout")
    last = keras.layers.Dense(classes, kernel_initializer="zeros", name="logits")
    logits = last(drop(summary))
    whole = keras.Model(pictures, logits)
    encoder.load(whole, state)
    for layer in keras.Model(pictures, taps.stride16).layers:
        layer.trainable = False
    for layer in whole.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    given = keras.Input(summary.shape[1:], name="summary")
    return Network(
        whole=whole,
        eye=keras.Model(pictures, [taps.stride16, summary]),
        upper=keras.Model(taps.stride16, logits),
        head=keras.Model(given, last(drop(given))),
    )
