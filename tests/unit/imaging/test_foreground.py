"""The subject's own colours at its edge."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.imaging.foreground import Foreground
from heliograph.core.models import Edges
from heliograph.core.pictures import Picture, PictureHeader, PictureLimits, UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput

CODEC = PictureCodec(PictureLimits())
SUBJECT, GROUND = np.array([200.0, 90, 60]), np.array([40.0, 160, 220])


def soft_disc(width: int, height: int) -> UInt8Array:
    disc = np.zeros((height, width), np.uint8)
    cv2.circle(disc, (width // 2, height // 2), min(width, height) // 3, 255, -1)
    return np.asarray(cv2.GaussianBlur(disc, (0, 0), min(width, height) / 40), np.uint8)


def mixture(alpha: UInt8Array, own: UInt8Array | None = None) -> Picture:
    share = alpha[..., None] / 255
    rgb = np.rint(SUBJECT * share + GROUND * (1 - share)).astype(np.uint8)
    height, width = alpha.shape
    return Picture(header=PictureHeader(format="png", width=width, height=height), rgb=rgb, alpha=own)


@pytest.mark.parametrize("size", [(120, 90), (500, 375), (1500, 1100)])
def test_the_old_background_leaves_the_edge(size: tuple[int, int]) -> None:
    alpha = soft_disc(*size)
    picture = mixture(alpha)
    edge = (alpha > 16) & (alpha < 240)
    seen = np.abs(picture.rgb[edge] - SUBJECT).mean()
    found = np.abs(Foreground(picture, alpha)[0 : size[1]][edge] - SUBJECT).mean()
    assert found < 0.25 * seen


def test_opaque_pixels_stay_to_the_byte() -> None:
    rng = np.random.default_rng(3)
    alpha = soft_disc(600, 400)
    rgb = rng.integers(0, 256, (400, 600, 3), dtype=np.uint8)
    picture = Picture(header=PictureHeader(format="png", width=600, height=400), rgb=rgb.copy())
    found = Foreground(picture, alpha)[0:400]
    assert np.array_equal(found[alpha == 255], rgb[alpha == 255])
    assert not np.array_equal(found, rgb)
    assert np.array_equal(picture.rgb, rgb), "the caller's pixels are not written to"


def test_bands_agree_with_the_whole() -> None:
    alpha = soft_disc(700, 500)
    colours = Foreground(mixture(alpha), alpha)
    whole = colours[0:500].astype(int)
    parts = np.vstack([colours[top : top + 37] for top in range(0, 500, 37)])
    seen = (alpha > 3) & (
        alpha < 252
    )  # what is nearer to either end is left alone where nothing else is there
    assert np.abs(whole - parts)[seen].max() <= 1


def test_colours_below_an_opacity_of_their_own_stay() -> None:
    alpha = soft_disc(200, 200)
    own = np.full((200, 200), 255, np.uint8)
    own[:, :100] = 200
    picture = mixture(alpha, own)
    found = Foreground(picture, alpha)[0:200]
    assert np.array_equal(found[:, :100], picture.rgb[:, :100])
    assert not np.array_equal(found[:, 100:], picture.rgb[:, 100:])


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 2)])
@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_thin_pictures(size: tuple[int, int], level: int) -> None:
    alpha = np.full(size[::-1], level, np.uint8)
    picture = mixture(alpha)
    assert Foreground(picture, alpha)[0 : size[1]].shape == picture.rgb.shape


@pytest.mark.parametrize("background", [None, (255, 255, 255)])
def test_a_cut_out_has_no_halo_unless_it_is_wanted(background: tuple[int, int, int] | None) -> None:
    alpha = soft_disc(400, 300)
    picture = mixture(alpha)
    edge = (alpha > 40) & (alpha < 200)
    distances = []
    for wanted in (True, False):
        options = CutoutOptions(background=background, decontaminate=wanted)
        file = CODEC.cut_out(picture, (alpha / 255).astype(np.float32), options, edges=Edges.PLAIN)
        pixels = np.asarray(Image.open(BytesIO(file)))
        share = alpha[edge][:, None] / 255
        truth = SUBJECT if background is None else SUBJECT * share + np.array(background) * (1 - share)
        distances.append(np.abs(pixels[edge][:, :3] - truth).mean())
    assert distances[0] < 0.3 * distances[1]


def test_masks_have_no_colours() -> None:
    alpha = soft_disc(100, 80)
    files = {
        CODEC.cut_out(
            mixture(alpha),
            (alpha / 255).astype(np.float32),
            CutoutOptions(output=CutoutOutput.MASK, decontaminate=wanted),
            edges=Edges.PLAIN,
        )
        for wanted in (True, False)
    }
    assert len(files) == 1
