"""The files in which Keras keeps models, read without Keras, so that nothing in them ever runs.

``.keras`` is a zip archive with the model's description (``config.json``) and its weights
(``model.weights.h5``); ``.h5`` is one HDF5 file with both, as Keras 2 wrote it and Keras 3 still does.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from heliograph.adapters.models.hdf5 import Hdf5File
from heliograph.adapters.models.keras_layers import Address
from heliograph.adapters.models.keras_weights import ArchiveWeights, LegacyWeights
from heliograph.adapters.models.onnx_graph import Array
from heliograph.core import errors

CONFIG_BYTES = 64_000_000
WEIGHTS_BYTES = 2_000_000_000
RATIO = 50
"""Weights hardly compress; an archive that unpacks to much more is a bomb."""

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
ZIP_START, HDF5_START = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


class Weights(Protocol):
    """Where the numbers of each layer are."""

    def of(self, address: Address) -> list[Array]:
        """A layer's weights in the order in which Keras keeps them; empty if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model as it was saved: ``config`` is its class name and configuration, ``version`` Keras' major number."""

    config: Mapping[str, Any]
    weights: Weights
    version: int


@contextmanager
def open_keras(path: Path) -> Iterator[SavedModel]:
    """What a ``.keras`` or ``.h5`` file says; its weights are read while the block runs.

    Raises:
        ModelInvalid: it is neither, is damaged, or is not a whole model.
    """
    with ExitStack() as stack:
        try:
            saved = _open(path, stack)
        except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
            raise errors.ModelInvalid(f"{path.name} is damaged: {errors.excerpt(error)}") from error
        yield saved


def _open(path: Path, stack: ExitStack) -> SavedModel:
    with path.open("rb") as stream:
        start = stream.read(len(HDF5_START))
    if start.startswith(ZIP_START):
        with zipfile.ZipFile(path) as archive:
            return _from_archive(archive, stack)
    if start == HDF5_START:
        return _from_hdf5(stack.enter_context(Hdf5File(path)))
    raise errors.ModelInvalid(
        f"{path.name} was not saved by Keras: it is neither a .keras archive nor an HDF5 file."
    )


def _from_archive(archive: zipfile.ZipFile, stack: ExitStack) -> SavedModel:
    missing = {CONFIG, WEIGHTS} - set(archive.namelist())
    if missing:
        raise errors.ModelInvalid(
            f"The archive has no {min(missing)}: save the whole model, model.save('name.keras')."
        )
    config = _json(_member(archive, CONFIG, most=CONFIG_BYTES), CONFIG)
    told = {}
    if METADATA in archive.namelist():
        told = _json(_member(archive, METADATA, most=CONFIG_BYTES), METADATA)
    weights = io.BytesIO(_member(archive, WEIGHTS, most=WEIGHTS_BYTES))
    file = stack.enter_context(Hdf5File(weights))
    return SavedModel(config, ArchiveWeights(file), _major(told.get("keras_version", "3")))


def _from_hdf5(file: Hdf5File) -> SavedModel:
    text = file.text("", "model_config")
    if text is None:
        raise errors.ModelInvalid(
            "The file holds weights without their model: save the whole model, model.save('name.keras')."
        )
    version = file.text("", "keras_version") or file.text("model_weights", "keras_version") or "2"
    return SavedModel(_json(text.encode(), "model_config"), LegacyWeights(file), _major(version))


def _member(archive: zipfile.ZipFile, name: str, *, most: int) -> bytes:
    """A member, however large the archive says that it is."""
    info = archive.getinfo(name)
    most = min(most, RATIO * info.compress_size + 1_000_000)
    if info.flag_bits & 1:
        raise errors.ModelInvalid("The archive is encrypted.")
    with archive.open(info) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise errors.ModelInvalid(f"{name} in the archive unpacks to far more than a model needs.")
    return data


def _json(data: bytes, name: str) -> dict[str, Any]:
    if len(data) > CONFIG_BYTES:
        raise errors.ModelInvalid(f"{name} has more than {CONFIG_BYTES:,} bytes.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.ModelInvalid(f"{name} is not JSON that can be read: {errors.excerpt(error)}") from error
    if not isinstance(value, dict):
        raise errors.ModelInvalid(f"{name} does not describe a model.")
    return value


def _major(version: object) -> int:
    """3 of "3.15.1"; what cannot be read counts as 3."""
    first = str(version).partition(".")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 4 else 3
