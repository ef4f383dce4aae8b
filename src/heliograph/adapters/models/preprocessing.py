"""What is done to the colours before a network sees them: the usual ways by name, and by which network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.core.models import Channels


@dataclass(frozen=True, slots=True)
class Colours:
    """The order of the colours, and ``(value - mean) / std`` of values from 0 to 255."""

    channels: Channels
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def for_depth(self, depth: int) -> Colours:
        """The same for pictures without colours, where ``depth`` is 1."""
        if depth != 1:
            return self
        mean, std = sum(self.mean) / len(self.mean), sum(self.std) / len(self.std)
        return Colours(Channels.LUMINANCE, (mean,), (std,))


def _grey(channels: Channels, mean: float, std: float) -> Colours:
    return Colours(channels, (mean,) * 3, (std,) * 3)


PRESETS: Mapping[str, tuple[Colours, str]] = {
    "none": (_grey(Channels.RGB, 0.0, 1.0), "values from 0 to 255, for a network that scales them itself"),
    "unit": (_grey(Channels.RGB, 0.0, 255.0), "values from 0 to 1"),
    "signed": (
        _grey(Channels.RGB, 127.5, 127.5),
        "values from -1 to 1: Keras' MobileNet, Inception, Xception, NASNet, ResNetV2",
    ),
    "imagenet": (
        Colours(Channels.RGB, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        "ImageNet's mean and deviation: PyTorch's models, Keras' DenseNet",
    ),
    "caffe": (
        Colours(Channels.BGR, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
        "BGR less ImageNet's mean: Keras' ResNet and VGG",
    ),
}

FAMILIES = (
    (re.compile(r"mobilenet(?!_?v3)|inception|xception|nasnet|resnet\d+_?v2", re.IGNORECASE), "signed"),
    (re.compile(r"densenet", re.IGNORECASE), "imagenet"),
    (re.compile(r"^(resnet|vgg)\d+", re.IGNORECASE), "caffe"),
)
"""Keras' applications, by the names that they give to their models.

MobileNetV3, EfficientNet and ConvNeXt are not among them: they scale their pixels in layers of their own, so one
without such layers was trained in a way that its name does not tell.
"""


def by_family(name: str) -> str | None:
    """The preset that a network of this name was trained with, or None."""
    return next((preset for pattern, preset in FAMILIES if pattern.search(name)), None)
