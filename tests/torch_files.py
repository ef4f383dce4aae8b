"""State dicts as PyTorch saves them, written by hand: the words of their pickles, and whole files."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from heliograph.adapters.models import u2net
from heliograph.core.pictures import Float32Array

KINDS = {np.dtype("<f4"): "FloatStorage", np.dtype("<i8"): "LongStorage"}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def storage(kind: str, key: str, length: int) -> bytes:
    names = text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
    return b"(" + names + whole(length) + b"tQ"


def tensor(kept: bytes, shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0) -> bytes:
    sizes = b"(" + b"".join(map(whole, shape)) + b"t(" + b"".join(map(whole, strides)) + b"t"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + kept + whole(offset) + sizes + b"\x89" + hooks + b"tR"


def dictionary(*items: tuple[str, bytes]) -> bytes:
    pairs = b"".join(text(name) + value for name, value in items)
    metadata = b"}" + text("_metadata") + b"}sb"
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + pairs + b"u" + metadata + b"."


def write_state_dict(path: Path, state: Mapping[str, Float32Array]) -> Path:
    """A file as ``torch.save`` writes it, with one storage a tensor; whole numbers are int64."""
    pairs = []
    with zipfile.ZipFile(path, "w") as file:
        for number, (name, values) in enumerate(state.items()):
            kept = storage(KINDS[values.dtype], str(number), values.size)
            strides = tuple(step // values.itemsize for step in values.strides)
            pairs.append((name, tensor(kept, values.shape, strides)))
            file.writestr(f"net/data/{number}", values.tobytes())
        file.writestr("net/data.pkl", dictionary(*pairs))
        file.writestr("net/byteorder", "little")
        file.writestr("net/version", "3\n")
    return path


def published_u2netp(data_folder: Path) -> dict[str, Float32Array]:
    """The published weights of U²-Netp, whose normalisation is folded, with one that does nothing."""
    whole_state: dict[str, Float32Array] = {}
    with np.load(data_folder / "u2net" / "u2netp_folded_fp16.npz") as kept:
        for name, values in kept.items():
            whole_state[name] = values.astype(np.float32)
            if name.endswith("conv_s1.weight"):
                norm, count = name.replace("conv_s1.weight", "bn_s1."), values.shape[0]
                whole_state[f"{norm}weight"] = np.full(count, np.sqrt(1 + u2net.EPSILON), np.float32)
                whole_state[f"{norm}bias"] = whole_state[f"{norm}running_mean"] = np.zeros(count, np.float32)
                whole_state[f"{norm}running_var"] = np.ones(count, np.float32)
                whole_state[f"{norm}num_batches_tracked"] = np.array(7, np.int64)
    return whole_state
