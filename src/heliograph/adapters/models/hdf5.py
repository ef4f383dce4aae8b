"""HDF5 files with plain numbers in them.

What else the format can do is refused: links to other files, numbers kept elsewhere, virtual and
compressed ones, and sizes that the file does not have.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from heliograph.adapters.models.onnx_graph import Array
from heliograph.core import errors

DIMENSIONS = 8
Place: TypeAlias = Any
"""A group or a dataset of h5py, which has no types."""

NAMES = 100_000
NUMBERS = ("<f2", "<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1", "|i1", "<u2", "<i2")


class Hdf5File:
    """One file, open for reading.

    Raises:
        ModelInvalid: the ``h5py`` package is not installed.
        OSError: the file is damaged.
    """

    def __init__(self, source: Path | io.BytesIO) -> None:
        self._h5py = _load_h5py()
        if isinstance(source, Path):
            self._left = source.stat().st_size
            self._file = self._h5py.File(source, "r", locking=False)
        else:
            self._left = source.getbuffer().nbytes
            self._file = self._h5py.File(source, "r")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def has(self, path: str) -> bool:
        """Whether there is something at ``path``."""
        return self._find(path) is not None

    def names(self, path: str) -> list[str]:
        """What the group at ``path`` holds; empty if there is none."""
        group = self._find(path)
        if group is None or not isinstance(group, self._h5py.Group):
            return []
        if len(group) > NAMES:
            raise errors.ModelInvalid("The HDF5 file has too many entries in one group.")
        return list(group)

    def text(self, path: str, attribute: str) -> str | None:
        """An attribute that is one text, or None."""
        value = self._attribute(path, attribute)
        if value is None:
            return None
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def texts(self, path: str, attribute: str) -> list[str]:
        """An attribute that is a list of texts, also where Keras split it into several; empty if it is missing."""
        found = self._attribute(path, attribute)
        parts = [] if found is None else [found]
        while (part := self._attribute(path, f"{attribute}{len(parts)}")) is not None and found is None:
            parts.append(part)
        return [
            each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
            for part in parts
            for each in np.ravel(part)
        ]

    def numbers(self, path: str) -> Array:
        """The numbers of the dataset at ``path``.

        Raises:
            ModelInvalid: there is none, or its numbers do not lie in this file as they are.
        """
        data = self._find(path)
        if not isinstance(data, self._h5py.Dataset):
            raise errors.ModelInvalid(f"The HDF5 file has no numbers at {errors.excerpt(path)}.")
        with _damages(path):
            self._check(data, path)
            return np.asarray(data[()])

    def _check(self, data: Place, path: str) -> None:
        """Raises `ModelInvalid` unless the dataset's numbers lie in this file as they are."""
        where = f"{errors.excerpt(path)} in the HDF5 file"
        if data.dtype.str not in NUMBERS or len(data.shape) > DIMENSIONS:
            raise errors.ModelInvalid(f"{where} does not hold plain numbers.")
        if data.is_virtual or data.external or data.id.get_create_plist().get_nfilters() > 0:
            raise errors.ModelInvalid(
                f"{where} is compressed or lies in another file, which Keras never does."
            )
        size = data.size * data.dtype.itemsize
        self._left -= size
        if self._left < 0 or data.id.get_storage_size() < size:
            raise errors.ModelInvalid(f"{where} claims more numbers than the file has.")

    def _find(self, path: str) -> Place:
        """The group or dataset at ``path``, reached through this file alone; None if there is none."""
        place: Place = self._file
        with _damages(path):
            for name in filter(None, path.split("/")):
                link = place.get(name, getlink=True) if isinstance(place, self._h5py.Group) else None
                if link is None:
                    return None
                if not isinstance(link, self._h5py.HardLink):
                    raise errors.ModelInvalid(
                        f"{errors.excerpt(path)} in the HDF5 file is a link to another place, "
                        "which Keras never writes."
                    )
                place = place[name]
        return place

    def _attribute(self, path: str, name: str) -> Place:
        place = self._find(path)
        with _damages(path):
            return None if place is None else place.attrs.get(name)


@contextmanager
def _damages(path: str) -> Iterator[None]:
    """What h5py raises for a damaged file, as one error."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise errors.ModelInvalid(
            f"The HDF5 file is damaged at {errors.excerpt(path)}: {errors.excerpt(error)}"
        ) from error


def _load_h5py() -> ModuleType:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise errors.ModelInvalid(
            "Reading a model of Keras needs the h5py package: pip install 'heliograph[convert]'."
        ) from error
