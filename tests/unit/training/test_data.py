"""Reading the characters, and dividing them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.core.pictures import UInt8Array
from heliograph.training.characters import data

COUNT = 60


def some_characters() -> data.Characters:
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
    return data.Characters(pictures, (np.arange(COUNT) % 10).astype(np.uint8))


def idx(values: UInt8Array) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, characters: data.Characters, *, name: str = "t10k", suffix: str = "") -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if suffix else bytes
    (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(characters.pictures)))
    (folder / f"{name}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(characters.labels)))


def write_npz(folder: Path, characters: data.Characters) -> None:
    np.savez_compressed(folder / "kmnist-test-imgs.npz", characters.pictures)
    np.savez_compressed(folder / "kmnist-test-labels.npz", characters.labels)


def same(first: data.Characters, second: data.Characters) -> bool:
    return np.array_equal(first.pictures, second.pictures) and np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read(tmp_path: Path, suffix: str) -> None:
    write_idx(tmp_path, some_characters(), suffix=suffix)
    assert same(data.load(tmp_path), some_characters())


def test_npz_files_are_read(tmp_path: Path) -> None:
    write_npz(tmp_path, some_characters())
    assert same(data.load(tmp_path), some_characters())


def test_several_pairs_are_pooled(tmp_path: Path) -> None:
    write_idx(tmp_path, some_characters(), name="t10k")
    write_idx(tmp_path, some_characters(), name="train", suffix=".gz")
    assert len(data.load(tmp_path)) == 2 * COUNT


def test_the_same_characters_in_other_forms_count_once(tmp_path: Path) -> None:
    write_idx(tmp_path, some_characters())
    write_idx(tmp_path, some_characters(), suffix=".gz")
    write_npz(tmp_path, some_characters())
    assert len(data.load(tmp_path)) == COUNT


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(data.DataInvalid, match="neither"):
        data.load(tmp_path)


def test_pictures_without_labels_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, some_characters())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(data.DataInvalid, match="t10k-labels-idx1-ubyte"):
        data.load(tmp_path)


def broken(valid: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "half a header": valid[:9],
        "truncated": valid[:-1],
        "goes on": valid + b"\0",
        "other type": b"\0\0\x0d" + valid[3:],
        "other dimensions": b"\0\0\x08\x01" + valid[4:],
        "claims more": valid[:4] + struct.pack(">I", COUNT + 1) + valid[8:],
        "claims everything": valid[:4] + b"\xff" * 12 + valid[16:],
        "claims nothing": valid[:4] + struct.pack(">I", 0) + valid[8:],
        "other size": valid[:8] + struct.pack(">II", 14, 56) + valid[16:],
    }


@pytest.mark.parametrize("how", list(broken(b"\0" * 32)))
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_broken_idx_files_are_refused_by_name(tmp_path: Path, how: str, suffix: str) -> None:
    write_idx(tmp_path, some_characters(), suffix=suffix)
    content = broken(idx(some_characters().pictures))[how]
    path = tmp_path / f"t10k-images-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(data.DataInvalid, match=path.name):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-20],
        lambda packed: packed[:40] + b"\xff" * 40 + packed[80:],
        lambda packed: b"no gzip",
    ],
)
def test_broken_gzip_files_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_idx(tmp_path, some_characters(), suffix=".gz")
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataInvalid, match=path.name):
        data.load(tmp_path)


def npy(header: str, content: bytes = b"") -> bytes:
    padded = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode() + content


def zipped(member: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        zipped("arr_1.npy", b""),
        zipped("arr_0.npy", b"no numpy"),
        zipped(
            "arr_0.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (60, 28, 28)}", b"\0" * 99)
        ),
        zipped("arr_0.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 28, 28)}")),
        zipped("arr_0.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28)}")),
        zipped("arr_0.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}")),
        zipped("arr_0.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (60, 28, 28)}")),
        zipped("arr_0.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (60, 28, 28)}")),
        zipped("arr_0.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (60, 28, 28)}")),
        zipped("arr_0.npy", npy("__import__('os')")),
    ],
)
def test_broken_npz_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    write_npz(tmp_path, some_characters())
    (tmp_path / "kmnist-test-imgs.npz").write_bytes(content)
    with pytest.raises(data.DataInvalid, match=r"kmnist-test-imgs\.npz"):
        data.load(tmp_path)


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    characters = some_characters()
    write_idx(tmp_path, data.Characters(characters.pictures, characters.labels[1:]))
    with pytest.raises(data.DataInvalid, match="60 pictures"):
        data.load(tmp_path)


def test_labels_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    characters = some_characters()
    write_idx(tmp_path, data.Characters(characters.pictures, characters.labels + np.uint8(1)))
    with pytest.raises(data.DataInvalid, match="label 10"):
        data.load(tmp_path)


def test_the_split_is_stratified_disjoint_and_complete() -> None:
    characters = some_characters()
    training, held_out = data.split(characters, held_out=20)
    assert np.bincount(held_out.labels).tolist() == [2] * 10
    assert np.bincount(training.labels).tolist() == [4] * 10
    parts = {picture.tobytes() for part in (training, held_out) for picture in part.pictures}
    assert parts == {picture.tobytes() for picture in characters.pictures}
    assert len(training) + len(held_out) == COUNT


def test_the_split_depends_on_the_seed_alone() -> None:
    first, again, other = (data.split(some_characters(), held_out=20, seed=seed)[1] for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("held_out", [0, COUNT, -1])
def test_a_split_that_leaves_a_part_empty_is_refused(held_out: int) -> None:
    with pytest.raises(ValueError, match="held_out"):
        data.split(some_characters(), held_out=held_out)


def test_normalised_pictures_use_the_full_range() -> None:
    pictures = np.zeros((2, 28, 28), np.uint8)
    pictures[0, 5, 5] = 51
    values = data.normalise(pictures) * data.STD + data.MEAN
    assert values.max(axis=(1, 2)) == pytest.approx([255, 0], abs=1e-4)
