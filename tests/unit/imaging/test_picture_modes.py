"""Pictures of every mode that files come in decode to the sRGB that they show."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core.pictures import Picture, PictureLimits

CODEC = PictureCodec(PictureLimits())


def photo(width: int = 40, height: int = 30) -> Image.Image:
    """A smooth picture of many colours, which lossy formats keep well."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    rgb = np.stack([across, down, 255 - (across + down) / 2], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> Picture:
    return CODEC.decode(data, CODEC.inspect(data))


def opacity(data: bytes) -> Any:
    alpha = decoded(data).alpha
    return None if alpha is None else alpha.tolist()


def distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    assert first.shape == second.shape
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 2.0),
        ("JPEG", {"quality": 95, "progressive": True}, 2.0),
        ("PNG", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 95}, 3.0),
        ("GIF", {}, 8.0),
        ("BMP", {}, 0.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0.0),
        ("TIFF", {"compression": "jpeg", "quality": 95}, 3.0),
        ("TIFF", {"big_tiff": True}, 0.0),
        ("AVIF", {"quality": 95}, 3.0),
    ],
)
def test_each_format_shows_its_picture(kind: str, options: dict[str, Any], tolerance: float) -> None:
    data = saved(photo(), kind, **options)
    header = CODEC.inspect(data)
    assert (header.format, header.width, header.height) == (kind.lower(), 40, 30)
    picture = CODEC.decode(data, header)
    assert picture.alpha is None
    assert picture.rgb.flags.c_contiguous
    assert distance(picture.rgb, np.asarray(photo())) <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_grey_pictures_have_three_equal_channels(kind: str) -> None:
    rgb = decoded(saved(photo().convert("L"), kind, **({"lossless": True} if kind == "WEBP" else {}))).rgb
    assert distance(rgb, np.asarray(photo().convert("L").convert("RGB"))) < 1.5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_is_kept_apart_and_colours_are_not_multiplied(kind: str) -> None:
    image = photo()
    alpha = np.tile(np.linspace(1, 255, 40).astype(np.uint8), (30, 1))
    image.putalpha(Image.fromarray(alpha))
    every: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    picture = decoded(saved(image, kind, **every.get(kind, {})))
    assert picture.alpha is not None
    assert distance(picture.alpha, alpha) <= 1
    assert distance(picture.rgb, np.asarray(photo())) <= 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_png_modes(mode: str) -> None:
    image = photo().convert(mode)
    picture = decoded(saved(image, "PNG"))
    assert distance(picture.rgb, np.asarray(image.convert("RGB"))) == 0
    assert (picture.alpha is not None) == (mode in {"LA", "RGBA"})


def test_transparent_colours_become_alpha() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF"):
        picture = decoded(saved(palette, kind, transparency=1))
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[255, 0]]
        assert picture.rgb[0, 0].tolist() == [255, 0, 0]
    grey = saved(Image.fromarray(np.array([[10, 20]], np.uint8)), "PNG", transparency=20)
    assert opacity(grey) == [[255, 0]]
    rgb = saved(Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)), "PNG", transparency=(1, 2, 3))
    assert opacity(rgb) == [[0, 255]]


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_16_bits_are_scaled_and_not_clipped(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (8, 1))
    wanted = np.repeat((ramp / 257)[..., None], 3, axis=-1)
    grey = cv2.imencode(kind, ramp)[1].tobytes()
    assert distance(decoded(grey).rgb, wanted.round()) <= 0.5
    colour = cv2.imencode(kind, np.repeat(ramp[..., None], 3, axis=-1))[1].tobytes()
    assert distance(decoded(colour).rgb, wanted.round()) <= 1


def test_16_bit_grey_with_white_as_zero_is_not_a_negative() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    ramp = Image.fromarray(np.array([[0, 65535]], np.uint16))
    data = bytearray(saved(ramp, "TIFF"))
    at = data.find(struct.pack("<HHI", 262, 3, 1))
    data[at + 8 : at + 10] = b"\0\0"
    assert decoded(bytes(data)).rgb[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 65535.0, 32767.5], [0, 255, 128]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([float("nan"), 1.0, float("inf")], [0, 255, 0]),
    ],
)
def test_float_tiffs_are_scaled_by_their_range(numbers: list[float], wanted: list[int]) -> None:
    data = saved(Image.fromarray(np.array([numbers], np.float32)), "TIFF")
    assert decoded(data).rgb[0, :, 1].tolist() == wanted


def test_cmyk_without_profile() -> None:
    image = photo().convert("CMYK")
    wanted = np.asarray(image.convert("RGB"))
    assert distance(decoded(saved(image, "TIFF")).rgb, wanted) == 0
    assert distance(decoded(saved(image, "JPEG", quality=95)).rgb, wanted) < 3


def test_lab_tiff() -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    assert distance(decoded(saved(to_lab.apply(photo()), "TIFF")).rgb, np.asarray(photo())) < 3


def swapped_profile() -> bytes:
    """An ICC profile whose red and green are exchanged: no viewer can miss it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_profiles_are_applied(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.new("RGB", (16, 16), (200, 30, 30)), kind, icc_profile=swapped_profile(), **options)
    red, green, blue = decoded(data).rgb[8, 8].astype(int)
    assert green > 150
    assert max(red, blue) < 80


@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 200, swapped_profile()[:300]])
def test_broken_profiles_are_ignored(profile: bytes) -> None:
    for kind in ("JPEG", "PNG"):
        picture = decoded(saved(photo(), kind, icc_profile=profile))
        assert distance(picture.rgb, np.asarray(photo())) < 3


def test_srgb_profiles_change_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(saved(photo(), "PNG", icc_profile=profile)).rgb, np.asarray(photo()))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_only_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    picture = decoded(data)
    assert picture.rgb.shape == (10, 20, 3)
    assert distance(picture.rgb, np.asarray(frames[0])) < 3


def test_a_small_first_frame_lies_on_a_transparent_canvas() -> None:
    still = saved(Image.new("RGB", (4, 2), "red"), "WEBP", lossless=True)[12:]
    frame = b"".join(n.to_bytes(3, "little") for n in (1, 2, 3, 1, 100)) + b"\0" + still
    anim = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + (9).to_bytes(3, "little") * 2
    body = b"WEBP" + canvas + anim + b"ANMF" + struct.pack("<I", len(frame)) + frame
    picture = decoded(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert picture.alpha is not None
    assert picture.rgb.shape == (10, 10, 3)
    covered = np.zeros((10, 10), np.uint8)
    covered[4:6, 2:6] = 255
    assert np.array_equal(picture.alpha, covered)
    assert picture.rgb[4, 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("at_least", "height"), [((200, 150), 150), ((201, 150), 300), ((50, 50), 75), ((9, 9), 38)]
)
def test_jpegs_are_scaled_while_decoding_only_as_far_as_allowed(
    at_least: tuple[int, int], height: int
) -> None:
    data = saved(photo(400, 300), "JPEG", quality=95)
    header = CODEC.inspect(data)
    picture = CODEC.decode(data, header, at_least=at_least)
    assert picture.rgb.shape[0] == height
    assert picture.header == header
    small = cv2.resize(np.asarray(photo(400, 300)), picture.rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert distance(picture.rgb, small) < 3


def test_an_outline_costs_little_and_names_lie() -> None:
    data = saved(photo(), "PNG")
    assert CODEC.inspect(data).format == "png"
    assert CODEC.inspect(data + b"trailing garbage").format == "png"
    assert np.array_equal(decoded(data + b"trailing garbage").rgb, np.asarray(photo()))
