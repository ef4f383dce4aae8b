"""A folder of folders of pictures: what is in it, and which pictures are held out.

::

    food/bread/1.jpg …         or       food/train/bread/1.jpg …
    food/soup/1.jpg …                   food/test/bread/1.jpg …

In the first form a fifth of each class is held out, in the second the pictures of ``test`` (or ``val``) are;
it has no third folder beside these.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.core import errors
from heliograph.core.pictures import MEGABYTE
from heliograph.training.runs import TrainingRefused

TRAIN = "train"
HELD_OUT = ("test", "val", "valid", "validation")
"""Names of folders beside ``train``; the first that is there is held out."""
LEFT_ALONE = ("__MACOSX",)
HELD_OUT_SHARE = 0.2
MAX_FILE_BYTES = 20 * MEGABYTE
LABEL_CHARACTERS = 200

Look = Callable[[bytes], object]
"""Decodes a picture's bytes, or raises a `PictureError` or `PictureMissing`."""


@dataclass(frozen=True, slots=True)
class Example:
    """A picture of a class (its index); ``sha256`` is the file's."""

    path: Path
    label: int
    sha256: str

    def read(self) -> bytes:
        """The file.

        Raises:
            TrainingRefused: it was changed or removed since it was looked at.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise TrainingRefused(f"{self.path} cannot be read any more: {error.strerror}.") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise TrainingRefused(f"{self.path} was changed meanwhile. Train again.")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The pictures of a folder. ``skipped`` has a line for each file that counts for nothing: name and reason."""

    labels: tuple[str, ...]
    training: tuple[Example, ...]
    held_out: tuple[Example, ...]
    given_split: bool
    """Whether the folder itself says which pictures are held out."""
    skipped: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Another one for other pictures, other classes or another split."""
        parts = [
            *self.labels,
            *(f"{e.label} {e.sha256}" for e in self.training),
            "",
            *(e.sha256 for e in self.held_out),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def counts(self) -> npt.NDArray[np.int64]:
        """How many pictures of each class are trained on."""
        return np.bincount([example.label for example in self.training], minlength=len(self.labels))


def survey(root: Path, look: Look, *, progress: Callable[[int, int], None] | None = None) -> Collection:
    """What is in the folder, every file read and decoded once.

    Hidden files and folders do not count. A link to a file is followed; below a class, one to a folder is not.

    Args:
        root: the folder.
        look: decodes a picture, or says why it cannot be.
        progress: is told how many files were looked at, and of how many.

    Raises:
        TrainingRefused: there is nothing to learn from; the message says what is missing and where.
    """
    train, test = _parts(root)
    names = _class_names(train)
    if test is not None:
        unknown = sorted(set(_subfolders(test)) - set(names))
        if unknown:
            raise TrainingRefused(f"{test / unknown[0]} has no folder of the same name in {train}.")
    files = [
        (part, label, path)
        for part in (train, test)
        if part
        for label, name in enumerate(names)
        for path in _files(part / name)
    ]
    seen = _Seen()
    for number, (part, label, path) in enumerate(files, 1):
        seen.add(path, label, look, held_out=part is test)
        if progress is not None:
            progress(number, len(files))
    training, tested = seen.settle()
    if test is None:
        training, tested = _split(training)
    _refuse_gaps(names, training, tested, train, split=test is None, skipped=seen.skipped)
    return Collection(
        labels=names,
        training=tuple(training),
        held_out=tuple(tested),
        given_split=test is not None,
        skipped=tuple(seen.skipped),
    )


@dataclass
class _Seen:
    """The pictures found so far, each once."""

    examples: dict[str, tuple[Example, bool]] = field(default_factory=dict)
    contradicted: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, path: Path, label: int, look: Look, *, held_out: bool) -> None:
        try:
            data = _read(path)
            look(data)
        except errors.HeliographError as error:
            self._skip(path, error.message)
            return
        sha256 = hashlib.sha256(data).hexdigest()
        example = Example(path, label, sha256)
        other, other_held_out = self.examples.get(sha256, (None, False))
        if other is None:
            self.examples[sha256] = example, held_out
        elif other.label != label:
            self.contradicted[sha256] = path
            self._skip(path, f"The same picture is in another class: {other.path}; neither is used.")
        elif held_out and not other_held_out:
            self.examples[sha256] = example, True
            self._skip(other.path, f"The same picture is held out: {path}.")
        else:
            self._skip(path, f"The same picture is there already: {other.path}.")

    def settle(self) -> tuple[list[Example], list[Example]]:
        """Those to train on and those held out, in the order found, without those that are in two classes."""
        good = [pair for sha256, pair in self.examples.items() if sha256 not in self.contradicted]
        return [e for e, held_out in good if not held_out], [e for e, held_out in good if held_out]

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.append(errors.excerpt(f"{path}: {reason}"))


def _parts(root: Path) -> tuple[Path, Path | None]:
    """The folder to train on, and the one that is held out if there is one."""
    if not root.is_dir():
        raise TrainingRefused(
            f"{root} is not a folder. --data names a folder with one folder of pictures a class."
        )
    names = _subfolders(root)
    if TRAIN not in names or not _subfolders(root / TRAIN):
        return root, None
    held_out = next((name for name in HELD_OUT if name in names), None)
    others = [name for name in names if name not in (TRAIN, *HELD_OUT)]
    if not others:
        return root / TRAIN, root / held_out if held_out else None
    if held_out is None:
        return root, None
    raise TrainingRefused(
        f"{root} has {TRAIN} and {held_out}, and {errors.excerpt(others[0])} beside them, so that it is not clear "
        "what the classes are: move that elsewhere, or rename it so that it begins with a dot."
    )


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(_subfolders(folder))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise TrainingRefused(
            f"Two classes or more are needed, each a folder of pictures in {folder}; there is {found}."
        )
    for name in names:
        if not name.isprintable() or len(name) > LABEL_CHARACTERS:
            raise TrainingRefused(f"{errors.excerpt(name)!r} cannot be a label: name the folder otherwise.")
    return names


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(
            path.name
            for path in folder.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name not in LEFT_ALONE
        )
    except OSError as error:
        raise TrainingRefused(f"{folder} cannot be read: {error.strerror}.") from error


def _files(folder: Path) -> Iterator[Path]:
    """Every file of a class, in its subfolders too, in sorted order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # a link that leads nowhere, a pipe: opening one would wait
            raise errors.PictureMissing("It is not a file.")
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise errors.PictureMissing(f"It cannot be read: {error.strerror}.") from error


def _split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """A fifth of each class held out, one at least: those with the lowest digests.

    So a picture stays on its side when others come or go, wherever it lies and whatever it is called.
    """
    by_class: dict[int, list[Example]] = defaultdict(list)
    for example in examples:
        by_class[example.label].append(example)
    held: set[str] = set()
    for members in by_class.values():
        count = max(1, round(HELD_OUT_SHARE * len(members)))
        held |= {example.sha256 for example in sorted(members, key=lambda e: e.sha256)[:count]}
    return [e for e in examples if e.sha256 not in held], [e for e in examples if e.sha256 in held]


def _refuse_gaps(
    names: Sequence[str],
    training: Iterable[Example],
    held_out: Sequence[Example],
    folder: Path,
    *,
    split: bool,
    skipped: Sequence[str],
) -> None:
    counts = Counter(example.label for example in training)
    held = Counter(example.label for example in held_out)
    for label, name in enumerate(names):
        if counts[label]:
            continue
        why = next((f" For one: {line}" for line in skipped if str(folder / name) in line), "")
        if split and held[label]:
            raise TrainingRefused(
                f"{folder / name} has one picture; two or more are needed, to learn from and to be judged by."
            )
        raise TrainingRefused(
            f"{folder / name} has no picture that can be used: add some or remove the folder.{why}"
        )
    if not held_out:
        raise TrainingRefused("No picture is held out: the folder beside train has none that can be used.")
