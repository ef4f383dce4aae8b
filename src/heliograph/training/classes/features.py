"""What the encoder sees of the pictures before it is trained: computed once, kept on disk, read while training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import Float32Array
from heliograph.training.classes.folders import Example
from heliograph.training.classes.views import Viewer
from heliograph.training.exporting import Runner

Float16Array: TypeAlias = npt.NDArray[np.float16]
Labels: TypeAlias = npt.NDArray[np.int64]

LOWER, SUMMARY = (14, 14, 112), (1280,)
BATCH = 16
MOST_BYTES = 1_500_000_000
MOST_VIEWS = 8
MADE_THUS = 1
"""Another number for another way to make views, so that old features are not taken for new ones."""


@dataclass(frozen=True, slots=True)
class Views:
    """How many views of each picture are kept, and what chance makes of them. The first is the plain picture."""

    count: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Pictures as the encoder sees them: (n, views, 14, 14, 112), (n, views, 1280), and each one's label (n,)."""

    lower: Float16Array
    summary: Float16Array
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def views(self) -> int:
        """How many there are of each picture."""
        return int(self.lower.shape[1])


def affordable(pictures: int) -> int:
    """How many views a picture keep the files below 1.5 GB: 1 to 8."""
    each = int(np.prod(LOWER)) * np.dtype(np.float16).itemsize
    return int(np.clip(MOST_BYTES // (each * max(1, pictures)), 1, MOST_VIEWS))


def kept(
    folder: Path,
    examples: Sequence[Example],
    views: Views,
    see: Runner,
    viewer: Viewer,
    *,
    progress: Callable[[int], None],
) -> Seen:
    """The features of the pictures, from the files of an earlier run where there are any.

    Args:
        folder: where the files lie; those of other pictures there are removed. An interrupted computation goes on.
        examples: the pictures.
        views: of each.
        see: (m, 224, 224, 3) → (m, 112, 14, 14) and (m, 1280).
        viewer: reads the pictures.
        progress: is told how many pictures are done.

    Raises:
        TrainingRefused: a picture was changed or removed meanwhile.
    """
    folder.mkdir(exist_ok=True)
    stem = _digest(examples, views)
    for other in folder.iterdir():
        if not other.name.startswith(stem):
            other.unlink()
    paths = [folder / f"{stem}-{name}.npy" for name in ("lower", "summary")]
    count = folder / f"{stem}.done"
    done = _counted(count)
    if not done:
        for path, shape in zip(paths, (LOWER, SUMMARY), strict=True):
            np.lib.format.open_memmap(path, "w+", np.float16, (len(examples), views.count, *shape)).flush()
    lower, summary = (np.lib.format.open_memmap(path, "r+") for path in paths)
    step = max(1, BATCH // views.count)
    for start in range(done, len(examples), step):
        part = slice(start, min(start + step, len(examples)))
        planes, features = see(np.concatenate([_views(viewer, example, views) for example in examples[part]]))
        lower[part] = planes.transpose(0, 2, 3, 1).reshape(-1, views.count, *LOWER)
        summary[part] = features.reshape(-1, views.count, *SUMMARY)
        lower.flush()
        summary.flush()
        partial = count.with_suffix(".part")
        partial.write_text(str(part.stop))
        partial.replace(count)
        progress(part.stop)
    return Seen(lower, summary, np.array([example.label for example in examples]))


def _counted(path: Path) -> int:
    """How many pictures are done; 0 where nobody can tell."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _digest(examples: Sequence[Example], views: Views) -> str:
    digest = hashlib.sha256(f"{MADE_THUS} {views}".encode())
    for example in examples:
        digest.update(example.sha256.encode())
    return digest.hexdigest()[:16]


def _views(viewer: Viewer, example: Example, views: Views) -> Float32Array:
    data = example.read()
    plain = viewer.plain(data)[None]
    if views.count == 1:
        return plain
    # The picture's own digest, so that its views stay the same whatever lies beside it.
    chance = [(views.seed, number, int(example.sha256[:12], 16)) for number in range(1, views.count)]
    return np.concatenate([plain, viewer.varied(data, [np.random.default_rng(seed) for seed in chance])])
