"""Every file of the hard set: a picture or a refusal, in time, and the known ones as they must be."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core import errors
from heliograph.core.pictures import Picture, PictureLimits, UInt8Array

CODEC = PictureCodec(PictureLimits())
SECONDS = 3.0
NOT_PICTURES = {".md", ".csv", ".license", ".readme"}
REFUSED_SIGNATURES = ("xs1", "xs2", "xs4", "xs7", "xcr", "xlf")

KNOWN = {
    "billion_laughs.svg": "picture-format-unknown",
    "bomb_bmp_header_60000x60000.bmp": "picture-too-many-pixels",
    "bomb_gif_canvas_65535.gif": "picture-too-many-pixels",
    "bomb_jpeg_65500x65500_patched.jpg": "picture-too-many-pixels",
    "bomb_png_30000x30000_1bit.png": "picture-too-many-pixels",
    "bomb_png_iccp_64MB.png": "ok",
    "bomb_png_idat_128MB_for_8x8.png": "ok",
    "bomb_png_ztxt_64MB.png": "ok",
    "cmyk.tif": "ok",
    "empty.jpg": "picture-missing",
    "exif_orientation_200_invalid.jpg": "ok",
    "f32.tif": "ok",
    "gray16.png": "ok",
    "html.png": "picture-format-unknown",
    "jpeg_as_base64.jpg": "picture-format-unknown",
    "jpeg_in_zip.zip": "picture-format-unknown",
    "jpeg_named.png": "ok",
    "jpeg_zip_polyglot.jpg": "ok",
    "la.png": "ok",
    "lab.tif": "ok",
    "palette_trns.png": "ok",
    "png_bad_crc.png": "picture-broken",
    "png_named.jpg": "ok",
    "png_no_idat.png": "picture-broken",
    "png_zero_width.png": "picture-broken",
    "random_4k.jpg": "picture-format-unknown",
    "rgba_fully_transparent.png": "ok",
    "script.svg": "picture-format-unknown",
    "soi_eoi.jpg": "picture-broken",
    "soi_only.jpg": "picture-format-unknown",
    "tiny_1x1.gif": "ok",
    "tiny_1x1.jpg": "ok",
    "tiny_1x5000.png": "ok",
    "tiny_5000x1.png": "ok",
    "xxe.svg": "picture-format-unknown",
}


def answer(data: bytes) -> Picture | str:
    """The picture, or the code of the refusal."""
    try:
        header = CODEC.inspect(data)
        picture = CODEC.decode(data, header)
    except (errors.PictureError, errors.PictureMissing) as refusal:
        return refusal.code
    assert picture.rgb.shape == (header.height, header.width, 3)
    assert picture.alpha is None or picture.alpha.shape == (header.height, header.width)
    return picture


def outcome(path: Path) -> str:
    answered = answer(path.read_bytes())
    return answered if isinstance(answered, str) else "ok"


def rgb(path: Path) -> UInt8Array:
    answered = answer(path.read_bytes())
    assert isinstance(answered, Picture)
    return answered.rgb


def hard_files(data_folder: Path) -> list[Path]:
    files = sorted(path for path in (data_folder / "hard").rglob("*") if path.is_file())
    return [path for path in files if path.suffix.lower() not in NOT_PICTURES]


def test_every_file_gets_an_answer_in_time(data_folder: Path) -> None:
    files = hard_files(data_folder)
    assert files
    late = []
    for path in files:
        data = path.read_bytes()
        started = time.process_time()
        answer(data)
        if time.process_time() - started > SECONDS:
            late.append(path.name)
    assert late == []


def test_known_files_are_answered_as_they_must_be(data_folder: Path) -> None:
    here = [path for path in (data_folder / "hard" / "made").iterdir() if path.name in KNOWN]
    assert here
    assert {path.name: outcome(path) for path in here} == {path.name: KNOWN[path.name] for path in here}


def test_truncated_files_are_broken(data_folder: Path) -> None:
    outcomes = {path.name: outcome(path) for path in (data_folder / "hard" / "made").glob("trunc*")}
    assert outcomes
    assert set(outcomes.values()) <= {"picture-broken", "picture-format-unknown"}, outcomes


def test_whole_files_and_files_with_a_tail_are_read(data_folder: Path) -> None:
    made = data_folder / "hard" / "made"
    outcomes = {path.name: outcome(path) for start in ("ok_*", "trail_*") for path in made.glob(start)}
    assert set(outcomes.values()) == {"ok"}, outcomes


def test_png_suite(data_folder: Path) -> None:
    outcomes = {
        path.stem.split("__")[-1]: outcome(path) for path in (data_folder / "hard" / "pngsuite").glob("*.png")
    }
    assert outcomes
    for name, got in outcomes.items():
        wanted = "picture-broken" if name.startswith("x") else "ok"
        assert got == ("picture-format-unknown" if name.startswith(REFUSED_SIGNATURES) else wanted), name


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_orientations_are_applied(data_folder: Path, suffix: str) -> None:
    files = sorted((data_folder / "hard" / "made").glob(f"exif_orientation_[1-8].{suffix}"))
    assert files
    for path in files:
        with Image.open(path) as stored:
            shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"), int)
        assert np.abs(rgb(path) - shown).mean() < 1, path.name
