"""Pictures become the numbers that a network wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core.models import Channels, Fit, InputSpec, Interpolation, Layout, Polarity
from heliograph.core.pictures import Float32Array, Picture, PictureHeader, PictureLimits, UInt8Array

CODEC = PictureCodec(PictureLimits())
PLAIN = InputSpec(width=8, height=6, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
GREY = replace(PLAIN, channels=Channels.LUMINANCE, mean=(0.0,), std=(1.0,))
NOISE = np.random.default_rng(3).integers(0, 256, (60, 100, 3), dtype=np.uint8)


def picture(rgb: npt.NDArray[Any], alpha: UInt8Array | None = None) -> Picture:
    height, width = rgb.shape[:2]
    header = PictureHeader(format="png", width=width, height=height)
    return Picture(header=header, rgb=rgb.astype(np.uint8), alpha=alpha)


def grey(levels: npt.NDArray[Any]) -> Picture:
    return picture(np.repeat(levels[..., None], 3, axis=-1))


def prepared(source: Picture, spec: InputSpec) -> Float32Array:
    tensor = CODEC.prepare(source, spec)
    assert tensor.shape == spec.shape
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    return tensor


def test_mean_and_std_are_a_channel_each() -> None:
    spec = replace(PLAIN, mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
    tensor = prepared(picture(np.full((6, 8, 3), (110, 120, 130))), spec)
    assert tensor[:, 0, 0].tolist() == [100, 50, 25]


@pytest.mark.parametrize(("channels", "wanted"), [(Channels.RGB, [1, 2, 3]), (Channels.BGR, [3, 2, 1])])
@pytest.mark.parametrize("layout", Layout)
def test_channels_and_layout(channels: Channels, wanted: list[int], layout: Layout) -> None:
    tensor = prepared(
        picture(np.full((6, 8, 3), (1, 2, 3))), replace(PLAIN, channels=channels, layout=layout)
    )
    pixel = tensor[:, 5, 7] if layout is Layout.NCHW else tensor[5, 7]
    assert pixel.tolist() == wanted


def test_luminance_weighs_colours() -> None:
    tensor = prepared(picture(np.full((6, 8, 3), (255, 0, 0))), GREY)
    assert tensor[0, 0, 0] == pytest.approx(0.299 * 255, abs=0.6)


def test_crop_takes_the_centre() -> None:
    rgb = np.zeros((60, 100, 3))
    rgb[15:45, 30:70] = 200
    spec = replace(PLAIN, fit=Fit.CROP, crop=0.5)
    assert prepared(picture(rgb), spec).min() == 200
    assert prepared(picture(rgb), replace(spec, crop=0.6)).min() == 0


def test_stretch_sees_everything() -> None:
    tensor = prepared(picture(NOISE), replace(PLAIN, width=200, height=30))
    wanted = cv2.resize(NOISE, (200, 30), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(tensor.transpose(1, 2, 0), wanted)


def test_pad_keeps_the_shape_on_the_picture_s_ground() -> None:
    rgb = np.full((10, 20, 3), (10, 20, 30))
    rgb[3:7, 5:15] = 250
    tensor = prepared(picture(rgb), replace(PLAIN, width=20, height=20, fit=Fit.PAD))
    assert tensor[:, 0, 0].tolist() == [10, 20, 30]
    assert np.array_equal(tensor[:, 5:15].transpose(1, 2, 0), rgb)


def test_lanczos_is_pillow_s() -> None:
    spec = replace(PLAIN, width=28, height=28, interpolation=Interpolation.LANCZOS)
    wanted = Image.fromarray(NOISE).resize((28, 28), Image.Resampling.LANCZOS)
    assert np.array_equal(prepared(picture(NOISE), spec).transpose(1, 2, 0), np.asarray(wanted))


def test_area_averages() -> None:
    spec = replace(PLAIN, width=2, height=2, interpolation=Interpolation.AREA)
    checks = np.indices((60, 100)).sum(axis=0) % 2 * 200
    assert np.unique(prepared(grey(checks), spec)).tolist() == [100]


def test_signs_become_light_on_dark() -> None:
    spec = replace(GREY, polarity=Polarity.LIGHT_ON_DARK)
    levels = np.full((6, 8), 250)
    levels[2:4, 3:5] = 5
    tensor = prepared(grey(levels), spec)[0]
    assert (tensor[0, 0], tensor[3, 4]) == (5, 250)
    assert np.array_equal(prepared(grey(255 - levels), spec)[0], tensor)
    assert np.array_equal(prepared(grey(levels), GREY)[0], levels)


def test_full_range_lifts_the_brightest_and_leaves_black() -> None:
    spec = replace(GREY, full_range=True)
    levels = np.zeros((6, 8))
    levels[0, 0], levels[1, 1] = 50, 100
    tensor = prepared(grey(levels), spec)[0]
    assert (tensor[0, 0], tensor[1, 1], tensor[2, 2]) == (127.5, 255, 0)
    assert not prepared(grey(np.zeros((6, 8))), spec).any()


def test_transparent_pixels_count_as_white() -> None:
    alpha = np.zeros((6, 8), np.uint8)
    alpha[0, 0], alpha[1, 1] = 255, 51
    tensor = prepared(picture(np.full((6, 8, 3), 100), alpha), PLAIN)
    assert tensor[0, 0, 0] == 100
    assert tensor[0, 1, 1] == 224
    assert tensor[0, 5, 5] == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_degenerate_pictures(
    shape: tuple[int, int], fit: Fit, interpolation: Interpolation, with_alpha: bool
) -> None:
    alpha = np.full(shape, 255, np.uint8) if with_alpha else None
    source = picture(np.full((*shape, 3), 77), alpha)
    for spec in (PLAIN, replace(GREY, polarity=Polarity.LIGHT_ON_DARK, full_range=False)):
        tensor = prepared(source, replace(spec, fit=fit, crop=0.875, interpolation=interpolation))
        assert np.unique(tensor).tolist() == [77]


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size", [(4000, 3000), (300, 2000), (100, 100), (5000, 5)])
def test_a_scaled_decode_still_fills_the_input(fit: Fit, size: tuple[int, int]) -> None:
    spec = replace(PLAIN, width=224, height=160, fit=fit, crop=0.875)
    header = PictureHeader(format="jpeg", width=size[0], height=size[1])
    across, down = (
        wanted / whole for wanted, whole in zip(CODEC.decode_size(header, spec), size, strict=True)
    )
    ratio = min(size[0] / 224, size[1] / 160)
    seen = {Fit.STRETCH: size, Fit.PAD: size, Fit.CROP: (224 * ratio * 0.875, 160 * ratio * 0.875)}[fit]
    assert max(seen[0] * across / 224, seen[1] * down / 160) >= 0.99
    if fit is not Fit.PAD:
        assert min(seen[0] * across / 224, seen[1] * down / 160) >= 0.99
