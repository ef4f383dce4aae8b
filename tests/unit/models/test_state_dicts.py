"""State dicts of PyTorch, written by hand in both formats, and hostile ones that must run nothing."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.adapters.models.state_dicts import read_state_dict
from heliograph.core import errors
from torch_files import dictionary, storage, tensor, text, whole

FLOATS = np.arange(6, dtype="<f4")
WHOLES = np.array([7], dtype="<i8")


FLOAT_STORAGE = storage("FloatStorage", "0", 6)
GOOD = dictionary(
    ("weight", tensor(FLOAT_STORAGE, (2, 3), (3, 1))),
    ("part", tensor(FLOAT_STORAGE, (3,), (2,), offset=1)),
    ("count", tensor(storage("LongStorage", "1", 1), (), ())),
)


def legacy(state: bytes, *, little_endian: bool = True, end: bytes = b"") -> bytes:
    pickles = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": little_endian}]
    head = b"".join(pickle.dumps(value, protocol=2) for value in pickles)
    kept = b"".join(struct.pack("<q", len(values)) + values.tobytes() for values in (FLOATS, WHOLES))
    return head + state + pickle.dumps(["0", "1"], protocol=2) + kept + end


def archive(state: bytes, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("net/data.pkl", state)
        file.writestr("net/byteorder", "little")
        file.writestr("net/data/0", FLOATS.tobytes())
        file.writestr("net/data/1", WHOLES.tobytes())
    return stream.getvalue()


both = pytest.mark.parametrize("form", [legacy, archive])


@both
def test_tensors_are_read(form: Callable[[bytes], bytes]) -> None:
    tensors = read_state_dict(form(GOOD))
    np.testing.assert_array_equal(tensors["weight"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(tensors["part"], [1, 3, 5])
    assert tensors["count"] == 7
    assert tensors["count"].dtype == np.int64
    assert not tensors["weight"].flags.writeable


class RunsCommand:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@both
@pytest.mark.parametrize("protocol", range(6))
def test_pickle_runs_nothing(tmp_path: Path, form: Callable[[bytes], bytes], protocol: int) -> None:
    proof = tmp_path / "ran"
    hostile = pickle.dumps({"weight": RunsCommand(proof)}, protocol=protocol)
    with pytest.raises(errors.ModelInvalid):
        read_state_dict(form(hostile))
    assert not proof.exists()
    assert b"system" in hostile, "the pickle is harmless, so this test proved nothing"


@both
@pytest.mark.parametrize(
    "state",
    [
        dictionary(("weight", tensor(FLOAT_STORAGE, (7,), (1,)))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (2,), (6,)))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (1,), (1,), offset=6))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (1,), (1,), offset=-1))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (2,), (-1,), offset=1))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (2_000_000_000, 2_000_000_000), (0, 0)))),
        dictionary(("weight", tensor(FLOAT_STORAGE, (1,) * 9, (1,) * 9))),
        dictionary(("weight", tensor(storage("FloatStorage", "0", 2_000_000_000), (1,), (1,)))),
        dictionary(("weight", tensor(storage("ComplexFloatStorage", "0", 6), (1,), (1,)))),
        dictionary(("weight", tensor(storage("FloatStorage", "missing", 6), (1,), (1,)))),
        dictionary(("weight", text("not a tensor"))),
        b"\x80\x02" + FLOAT_STORAGE + b".",
        b"\x80\x02ccollections\nOrderedDict\n(" + text("x") + b"tR.",
        b"\x80\x02" + whole(1) + b")R.",
        b"\x80\x02cbuiltins\neval\n.",
        b"\x80\x02h\x05.",
        b"\x80\x02}}" + whole(1) + b"s.",
        b"\x80\x02(.",
        b"\x80\x020.",
        b"\x80\x02" + b"]" * 50 + b"." + b"]",
        b"",
    ],
)
def test_wrong_tensors_are_refused(form: Callable[[bytes], bytes], state: bytes) -> None:
    with pytest.raises(errors.ModelInvalid):
        read_state_dict(form(state))


@both
def test_every_truncation_is_refused(form: Callable[[bytes], bytes]) -> None:
    data = form(GOOD)
    for length in range(len(data)):
        with pytest.raises(errors.ModelInvalid):
            read_state_dict(data[:length])


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(errors.ModelInvalid, match="goes on behind its end"):
        read_state_dict(legacy(GOOD, end=b"\x00"))


def test_big_endian_is_refused() -> None:
    with pytest.raises(errors.ModelInvalid, match="big-endian"):
        read_state_dict(legacy(GOOD, little_endian=False))


def test_compressed_member_is_refused() -> None:
    with pytest.raises(errors.ModelInvalid, match="another size"):
        read_state_dict(archive(GOOD, compression=zipfile.ZIP_DEFLATED))


def test_lying_size_in_archive_is_refused() -> None:
    data = bytearray(archive(GOOD))
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1) + 1)
    data[entry + 20 : entry + 28] = struct.pack("<II", 4_000_000_000, 4_000_000_000)
    with pytest.raises(errors.ModelInvalid):
        read_state_dict(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"PK\x03\x04" + b"\x00" * 100, b"\x80\x02N.", b"<html>"]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(errors.ModelInvalid):
        read_state_dict(data)
