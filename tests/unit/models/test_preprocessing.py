"""How pixels are scaled is known by a network's name only where networks of that name are trained alike."""

from __future__ import annotations

import pytest

from heliograph.adapters.models.preprocessing import by_family


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("mobilenetv2_1.00_224", "signed"),
        ("mobilenet_1.00_224", "signed"),
        ("resnet50v2", "signed"),
        ("resnet50", "caffe"),
        ("densenet121", "imagenet"),
        ("MobileNetV3Small", None),
        ("MobilenetV3large", None),
        ("mobilenet_v3", None),
        ("efficientnetb0", None),
        ("efficientnetv2-b0", None),
        ("convnext_tiny", None),
        ("my_net", None),
    ],
)
def test_families(name: str, preset: str | None) -> None:
    assert by_family(name) == preset
