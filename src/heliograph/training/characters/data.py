"""The characters on disk (IDX or NPZ files) and how they are divided."""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from heliograph.core import errors
from heliograph.core.pictures import Float32Array, UInt8Array

SIDE = 28
LABELS = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
MAX_ITEMS = 1_000_000

IDX_IMAGES = "images-idx3-ubyte"
IDX_LABELS = "labels-idx1-ubyte"
NPZ_IMAGES = "-imgs.npz"
NPZ_LABELS = "-labels.npz"

MEAN = 47.0
STD = 87.0
"""Of the grey values (0 to 255) of KMNIST."""


class Stream(Protocol):
    """An open file, packed or not."""

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes, fewer at the end."""


class DataInvalid(ValueError):
    """The files are not what they should be; the message names the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """Pictures (n, 28, 28), light signs on black, and the index of each one's label (n,)."""

    pictures: UInt8Array
    labels: UInt8Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.typing.NDArray[np.intp]) -> Characters:
        """Those at ``indices``, in that order."""
        return Characters(self.pictures[indices], self.labels[indices])


def load(folder: Path) -> Characters:
    """Every character in the folder: all IDX pairs (plain or .gz), or else all NPZ pairs, pooled by name.

    Raises:
        DataInvalid: there are none, or a file is not what its name and header say.
    """
    pairs = list(_pairs(folder))
    if not pairs:
        raise DataInvalid(
            f"{folder} has neither *{IDX_IMAGES}[.gz] with *{IDX_LABELS}[.gz] nor *{NPZ_IMAGES} with *{NPZ_LABELS}."
        )
    parts = [_read_pair(images, labels) for images, labels in pairs]
    return Characters(
        np.concatenate([part.pictures for part in parts]), np.concatenate([part.labels for part in parts])
    )


def split(characters: Characters, *, held_out: int = 1000, seed: int = 2024) -> tuple[Characters, Characters]:
    """The characters to train on and ``held_out`` others, every label in proportion; same seed, same split.

    Both parts are grouped by label.
    """
    if not 0 < held_out < len(characters):
        raise ValueError(f"held_out must be between 1 and {len(characters) - 1}, not {held_out}")
    shuffled = np.random.default_rng(seed).permutation(len(characters))
    by_label = shuffled[np.argsort(characters.labels[shuffled], kind="stable")]
    held = np.arange(held_out) * len(characters) // held_out
    return characters.take(np.delete(by_label, held)), characters.take(by_label[held])


def normalise(pictures: UInt8Array | Float32Array) -> Float32Array:
    """What the network is given: full range (the brightest value becomes 255), then ``(value - mean) / std``."""
    values = pictures.astype(np.float32)
    brightest = values.max(axis=(1, 2), keepdims=True)
    values *= np.divide(255.0, brightest, out=np.ones_like(brightest), where=brightest > 0)
    return (values - np.float32(MEAN)) / np.float32(STD)


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    # A file that lies there both plain and packed counts once: a picture that is in the data twice
    # could be trained on and held out at the same time.
    idx = {name.removesuffix(".gz"): path for name, path in files.items()}
    for names, images, labels in ((idx, IDX_IMAGES, IDX_LABELS), (files, NPZ_IMAGES, NPZ_LABELS)):
        found = [name for name in names if name.endswith(images)]
        for name in found:
            partner = name.removesuffix(images) + labels
            if partner not in names:
                raise DataInvalid(f"{names[name]} has no {partner} beside it.")
            yield names[name], names[partner]
        if found:
            return


def _read_pair(images: Path, labels: Path) -> Characters:
    read = _read_npz if images.suffix == ".npz" else _read_idx
    pair = Characters(read(images, 3), read(labels, 1))
    if pair.pictures.shape[1:] != (SIDE, SIDE):
        raise DataInvalid(f"{images} has pictures of {pair.pictures.shape[1:]}, not {SIDE} × {SIDE}.")
    if len(pair.pictures) != len(pair.labels):
        raise DataInvalid(
            f"{images} has {len(pair.pictures)} pictures and {labels} {len(pair.labels)} labels."
        )
    if pair.labels.max(initial=0) >= len(LABELS):
        raise DataInvalid(f"{labels} has label {pair.labels.max()}; there are {len(LABELS)}.")
    return pair


def _read_idx(path: Path, dimensions: int) -> UInt8Array:
    with _readable(path), path.open("rb") as raw:
        stream: Stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        magic, *shape = struct.unpack(f">{1 + dimensions}I", _read_exactly(stream, 4 + 4 * dimensions, path))
        if magic != 0x0800 + dimensions:
            raise DataInvalid(f"{path} is no IDX file of bytes with {dimensions} dimensions.")
        return _read_array(stream, tuple(shape), path)


def _read_npz(path: Path, dimensions: int) -> UInt8Array:
    with _readable(path), zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as stream:
        # The header is read by hand: numpy.load would first make room for whatever it claims.
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise DataInvalid(f"{path} has an arr_0 of version {version}; we read (1, 0).")
        shape, column_major, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype != np.uint8 or column_major or len(shape) != dimensions:
            raise DataInvalid(f"{path}: arr_0 is no row-major array of bytes with {dimensions} dimensions.")
        return _read_array(stream, shape, path)


def _read_array(stream: Stream, shape: tuple[int, ...], path: Path) -> UInt8Array:
    """The bytes that ``shape`` promises, no fewer and no more."""
    if not 0 < shape[0] <= MAX_ITEMS or any(side != SIDE for side in shape[1:]):
        raise DataInvalid(f"{path} claims the shape {errors.excerpt(shape)}.")
    values = np.frombuffer(_read_exactly(stream, math.prod(shape), path), np.uint8).reshape(shape)
    if stream.read(1):
        raise DataInvalid(f"{path} goes on after the {shape[0]} items that it claims.")
    return values


def _read_exactly(stream: Stream, size: int, path: Path) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise DataInvalid(f"{path} ends too early.")
    return data


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what the readers raise at broken files into `DataInvalid`."""
    try:
        yield
    except DataInvalid:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise DataInvalid(f"{path} cannot be read: {errors.excerpt(error)}") from error
