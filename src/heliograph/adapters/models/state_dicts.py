"""The tensors of a PyTorch state dict, read without PyTorch.

Two formats are read: the one from before PyTorch 1.6 (five pickles, then raw storages) and the
zip archive that came after it (https://pytorch.org/docs/stable/notes/serialization.html).
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.adapters.models.pickles import PickleReader
from heliograph.core import errors

Array: TypeAlias = npt.NDArray[Any]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
PICKLE_BYTES = 4_000_000
STORAGES = 20_000
DIMENSIONS = 8

DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<?",
}


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    length: int

    @property
    def size_bytes(self) -> int:
        return self.length * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: Array) -> Array:
        """The tensor as a view of its storage's values, which it must not exceed."""
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if count > values.size or (count > 0 and last >= values.size):
            raise errors.ModelInvalid("A tensor reaches beyond its storage.")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)


def read_state_dict(data: bytes) -> dict[str, Array]:
    """The tensors of a state dict by name, as read-only views of ``data`` or of copies of its parts.

    Raises:
        ModelInvalid: the file is not a state dict, is damaged, or holds anything but tensors.
    """
    try:
        return _read_zip(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        raise errors.ModelInvalid(f"Not a state dict of PyTorch: {errors.excerpt(error)}") from error


class _Storages:
    """The storages that a state dict names, collected while its pickle is read."""

    def __init__(self, *, most_bytes: int) -> None:
        self.by_key: dict[str, _Storage] = {}
        self._bytes_left = most_bytes

    def reader(self) -> PickleReader:
        """A reader of pickles that knows tensors."""
        names: dict[str, object] = {f"torch {name}": np.dtype(code) for name, code in DTYPES.items()}
        names["collections OrderedDict"] = _empty_dictionary
        names["torch._utils _rebuild_tensor_v2"] = _rebuild_tensor
        return PickleReader(names=names, resolve=self._resolve)

    def _resolve(self, identity: tuple[object, ...]) -> _Storage:
        kind, dtype, key, _location, length, *view = identity
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str) or any(view):
            raise errors.ModelInvalid("The pickle refers to something that is not a storage.")
        storage = _Storage(key, dtype, _whole(length))
        known = self.by_key.setdefault(key, storage)
        if known is storage:
            self._bytes_left -= storage.size_bytes
        if known != storage or self._bytes_left < 0 or len(self.by_key) > STORAGES:
            raise errors.ModelInvalid("The storages contradict each other or are larger than the file.")
        return known


def _empty_dictionary(*arguments: object) -> dict[str, object]:
    if arguments:
        raise errors.ModelInvalid("The pickle fills a dictionary in a way that is not allowed.")
    return {}


def _rebuild_tensor(*arguments: object) -> _Tensor:
    storage, offset, shape, strides, *_gradient_and_hooks = arguments
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise errors.ModelInvalid("The pickle builds a tensor of something that is not a storage.")
    if len(shape) != len(strides) or len(shape) > DIMENSIONS:
        raise errors.ModelInvalid("A tensor has a shape that makes no sense.")
    return _Tensor(storage, _whole(offset), tuple(map(_whole, shape)), tuple(map(_whole, strides)))


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 48:
        raise errors.ModelInvalid("A size in the pickle is not a whole number.")
    return value


def _read_legacy(data: bytes) -> dict[str, Array]:
    stream = io.BytesIO(data)
    storages = _Storages(most_bytes=len(data))
    reader = storages.reader()
    if reader.read(stream) != LEGACY_MAGIC or reader.read(stream) != LEGACY_PROTOCOL:
        raise errors.ModelInvalid("Not a state dict of PyTorch.")
    system = reader.read(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise errors.ModelInvalid("The state dict was written on a big-endian machine.")
    state = reader.read(stream)
    keys = reader.read(stream)
    if not isinstance(keys, list) or sorted(keys) != sorted(storages.by_key):
        raise errors.ModelInvalid("The state dict's list of storages is wrong.")
    values: dict[str, Array] = {}
    position = stream.tell()
    for key in keys:
        storage = storages.by_key[key]
        if int.from_bytes(data[position : position + 8], "little") != storage.length:
            raise errors.ModelInvalid("A storage has another length than the pickle says.")
        values[key] = np.frombuffer(data, storage.dtype, storage.length, position + 8)
        position += 8 + storage.size_bytes
    if position != len(data):
        raise errors.ModelInvalid("The state dict goes on behind its end.")
    return _tensors(state, values)


def _read_zip(data: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise errors.ModelInvalid("The archive has no data.pkl, or several.")
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and _member(archive, order, order.file_size, most=16) != b"little":
            raise errors.ModelInvalid("The state dict was written on a big-endian machine.")
        storages = _Storages(most_bytes=len(data))
        pickled = members[pickles[0]]
        stream = io.BytesIO(_member(archive, pickled, pickled.file_size, most=PICKLE_BYTES))
        state = storages.reader().read(stream)
        values = {
            key: np.frombuffer(
                _member(archive, members[f"{folder}data/{key}"], storage.size_bytes, most=len(data)),
                storage.dtype,
            )
            for key, storage in storages.by_key.items()
        }
    return _tensors(state, values)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int, *, most: int) -> bytes:
    """The bytes of a member that is stored uncompressed, as PyTorch writes them."""
    if info.compress_type != zipfile.ZIP_STORED or not size == info.file_size == info.compress_size <= most:
        raise errors.ModelInvalid("A member of the archive has another size than the pickle says.")
    content = archive.read(info)
    if len(content) != size:
        raise errors.ModelInvalid("A member of the archive is cut off.")
    return content


def _tensors(state: object, values: Mapping[str, Array]) -> dict[str, Array]:
    if not isinstance(state, dict):
        raise errors.ModelInvalid("The file holds no dictionary of tensors.")
    tensors: dict[str, Array] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor):
            raise errors.ModelInvalid(f"{errors.excerpt(name)!r} in the state dict is not a tensor.")
        tensors[name] = tensor.view(values[tensor.storage.key])
    return tensors
