"""The answers of a background removal, read back by another decoder."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core import errors
from heliograph.core.models import Edges
from heliograph.core.pictures import Picture, PictureHeader, PictureLimits, UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput, PictureFormat

CODEC = PictureCodec(PictureLimits())
LEFT = np.repeat([[1.0, 1.0, 0.0, 0.0]], 4, axis=0).astype(np.float32)


def picture(width: int, height: int, alpha: UInt8Array | None = None) -> Picture:
    header = PictureHeader(format="jpeg", width=width, height=height)
    return Picture(header=header, rgb=np.full((height, width, 3), (200, 100, 50), np.uint8), alpha=alpha)


def cut(
    source: Picture, options: CutoutOptions, matte: np.ndarray[tuple[int, int], np.dtype[np.float32]] = LEFT
) -> Image.Image:
    image = Image.open(BytesIO(CODEC.cut_out(source, matte, options, edges=Edges.PLAIN)))
    assert image.format == options.format.value.upper()
    assert image.size == (source.header.width, source.header.height)
    assert not {"exif", "icc_profile", "dpi", "xmp"} & image.info.keys()
    return image


def png(colour: tuple[int, ...], size: tuple[int, int], mode: str = "RGB") -> bytes:
    file = BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("wanted", PictureFormat)
def test_the_background_becomes_transparent(wanted: PictureFormat) -> None:
    image = cut(picture(80, 40), CutoutOptions(format=wanted))
    assert image.mode == "RGBA"
    pixels = np.asarray(image).astype(int)
    assert pixels[20, 5, 3] == 255
    assert np.abs(pixels[20, 5, :3] - (200, 100, 50)).max() <= 4
    assert pixels[20, 75, 3] == 0


def test_colours_under_nothing_are_black() -> None:
    assert np.asarray(cut(picture(80, 40), CutoutOptions()))[20, 75].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (1, 5000), (5000, 1), (3, 2), (1500, 1400)])
def test_the_answer_is_as_large_as_the_picture(size: tuple[int, int]) -> None:
    for options in (
        CutoutOptions(),
        CutoutOptions(output=CutoutOutput.MASK),
        CutoutOptions(background=(1, 2, 3)),
    ):
        assert cut(picture(*size), options).size == size


def test_a_mask_is_grey() -> None:
    image = cut(picture(80, 40), CutoutOptions(output=CutoutOutput.MASK))
    assert image.mode == "L"
    levels = np.asarray(image)[20]
    assert (levels[0], levels[79]) == (255, 0)
    assert np.all(np.diff(levels.astype(int)) <= 0)


def test_a_mask_may_be_webp() -> None:
    image = cut(picture(80, 40), CutoutOptions(output=CutoutOutput.MASK, format=PictureFormat.WEBP))
    levels = np.asarray(image.convert("L")).astype(int)[20]
    assert levels[0] >= 250
    assert levels[79] <= 5


@pytest.mark.parametrize("size", [(4, 4), (80, 40)])
def test_the_picture_s_own_transparency_stays(size: tuple[int, int]) -> None:
    own = np.full(size[::-1], 128, np.uint8)
    own[:, 0] = 0
    alpha = np.asarray(cut(picture(*size, own), CutoutOptions()))[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[0, 1] == 128
    assert alpha[0, -1] == 0


def test_mattes_outside_their_range_are_cut() -> None:
    matte = np.array([[np.nan, 7.0], [-3.0, np.inf]], np.float32)
    levels = np.asarray(cut(picture(2, 2), CutoutOptions(output=CutoutOutput.MASK), matte))
    assert levels.tolist() == [[0, 255], [0, 255]]


@pytest.mark.parametrize("wanted", PictureFormat)
def test_a_colour_behind(wanted: PictureFormat) -> None:
    image = cut(picture(80, 40), CutoutOptions(background=(10, 220, 30), format=wanted))
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(int)
    tolerance = 0 if wanted is PictureFormat.PNG else 6
    assert np.abs(pixels[20, 5] - (200, 100, 50)).max() <= tolerance
    assert np.abs(pixels[20, 75] - (10, 220, 30)).max() <= tolerance


def test_half_transparent_pixels_are_mixed() -> None:
    matte = np.full((4, 4), 0.5, np.float32)
    pixel = np.asarray(cut(picture(8, 8), CutoutOptions(background=(0, 0, 250)), matte))[4, 4].astype(int)
    assert np.abs(pixel - (100, 50, 150)).max() <= 1


def test_a_picture_behind_covers_and_is_centred() -> None:
    ground = Image.new("RGB", (300, 100), (0, 0, 255))
    ground.paste((0, 255, 0), (100, 0, 200, 100))
    file = BytesIO()
    ground.save(file, "PNG")
    pixels = np.asarray(
        cut(picture(50, 50), CutoutOptions(background=file.getvalue()), np.zeros((2, 2), np.float32))
    )
    assert np.all(pixels == (0, 255, 0))


def test_a_transparent_picture_behind_counts_as_white() -> None:
    options = CutoutOptions(background=png((9, 9, 9, 0), (5, 5), "RGBA"))
    assert np.asarray(cut(picture(50, 20), options))[10, 45].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "background", [b"nonsense", png((1, 2, 3), (4, 4))[:-9], png((1,), (16_385, 1), "1")]
)
def test_a_bad_picture_behind_is_refused(background: bytes) -> None:
    with pytest.raises(errors.PictureError):
        CODEC.cut_out(picture(8, 8), LEFT, CutoutOptions(background=background), edges=Edges.PLAIN)


@pytest.mark.parametrize("size", [(16_384, 1), (4_001, 4_000)])
def test_webp_has_narrower_limits(size: tuple[int, int]) -> None:
    with pytest.raises(errors.PictureTooManyPixels, match="ask for PNG"):
        CODEC.cut_out(picture(*size), LEFT, CutoutOptions(format=PictureFormat.WEBP), edges=Edges.PLAIN)


def test_png_has_none() -> None:
    assert cut(picture(16_384, 1), CutoutOptions()).size == (16_384, 1)
