"""HDF5 files: plain numbers are read, and every way out of the file is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from heliograph.adapters.models.hdf5 import Hdf5File
from heliograph.core import errors

NUMBERS = np.arange(6, dtype="<f4").reshape(2, 3)


def written(path: Path, write: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w") as file:
        write(file)
    return path


def test_plain_numbers_and_texts_are_read(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.create_dataset("layers/conv/vars/0", data=NUMBERS)
        file["layers"].attrs["names"] = ["one", "two"]
        file.attrs["model_config"] = '{"a": 1}'

    path = written(tmp_path / "good.h5", write)
    for source in (path, io.BytesIO(path.read_bytes())):
        with Hdf5File(source) as file:
            assert np.array_equal(file.numbers("layers/conv/vars/0"), NUMBERS)
            assert file.names("layers/conv/vars") == ["0"]
            assert file.names("layers/dense") == []
            assert file.texts("layers", "names") == ["one", "two"]
            assert file.text("", "model_config") == '{"a": 1}'
            assert file.text("", "missing") is None


def test_a_list_of_names_that_was_split_is_whole_again(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["names0"], file.attrs["names1"] = [b"one"], [b"two"]

    with Hdf5File(written(tmp_path / "split.h5", write)) as file:
        assert file.texts("", "names") == ["one", "two"]


def external_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: h5py.File) -> None:
    file["y"] = NUMBERS
    file["x"] = h5py.SoftLink("/y")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("x", (6,), "<f4", external=[("/etc/passwd", 0, 24)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(6,), dtype="<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(6,))
    file.create_virtual_dataset("x", layout)


def huge(file: h5py.File) -> None:
    file.create_dataset("x", (1 << 40,), "<f4", chunks=(1 << 20,))


def bomb(file: h5py.File) -> None:
    file.create_dataset("x", (50_000_000,), "<f4", compression="gzip", fillvalue=1.0)


def texts(file: h5py.File) -> None:
    file["x"] = ["a", "b"]


def group(file: h5py.File) -> None:
    file.create_group("x")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (external_link, "link"),
        (soft_link, "link"),
        (external_storage, "another file"),
        (virtual, "another file"),
        (huge, "more numbers than the file has"),
        (bomb, "compressed"),
        (texts, "plain numbers"),
        (group, "no numbers"),
        (lambda file: file, "no numbers"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, write: Callable[[h5py.File], object], says: str) -> None:
    with (
        Hdf5File(written(tmp_path / "bad.h5", write)) as file,
        pytest.raises(errors.ModelInvalid, match=says),
    ):
        file.numbers("x")


def test_numbers_in_many_places_are_not_more_than_the_file(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["x"] = np.zeros(100_000, "<f4")

    with Hdf5File(written(tmp_path / "again.h5", write)) as file:
        file.numbers("x")
        with pytest.raises(errors.ModelInvalid, match="more numbers"):
            file.numbers("x")


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "whole.h5", lambda file: file.create_dataset("x", data=np.zeros(5_000)))
    whole = path.read_bytes()
    for size in range(8, len(whole), len(whole) // 50):
        path.write_bytes(whole[:size])
        with pytest.raises((errors.ModelInvalid, OSError)), Hdf5File(path) as file:
            file.numbers("x")
