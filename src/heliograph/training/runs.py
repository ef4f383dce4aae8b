"""The folder of one training: its recipe, its history, and a checkpoint from which it goes on.

::

    run.json          recipe, data, versions; the results once it is finished
    history.csv       a row an epoch
    checkpoint-0007/  what was saved after seven epochs; the newest one alone is kept

An interrupted run goes on when it is opened again with the same recipe and data; with another one it
is refused, so that no model is half of this and half of that. A finished run is replaced by the next one.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from heliograph.core import errors

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Facts: TypeAlias = Mapping[str, Any]
"""Names and values that JSON can hold."""

CHECKPOINT = re.compile(r"checkpoint-(\d+)")
CHECKPOINT_SECONDS = 60.0


class TrainingRefused(errors.HeliographError):
    """It cannot be trained like this; the message says what helps."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved after ``number`` epochs; ``folder`` holds the files."""

    number: int
    folder: Path


@contextmanager
def opened(
    folder: Path, *, training: str, recipe: DataclassInstance, data: Facts, afresh: bool = False
) -> Iterator[Run]:
    """The run in ``folder``, which is made; nobody else trains there meanwhile.

    Args:
        folder: of this run alone.
        training: which training it is.
        recipe: everything that decides what comes out, as plain values.
        data: what tells the data from other data: counts, digests.
        afresh: forget an unfinished run there.

    Raises:
        TrainingRefused: the folder cannot be written, another process trains there, or it holds an
            unfinished run of another recipe or other data.
    """
    wanted = {"training": training, "recipe": asdict(recipe), "data": dict(data)}
    with _alone(folder):
        run = Run(folder)
        if afresh or run.finished:
            run.forget()
        run.begin(json.loads(json.dumps(wanted)))
        yield run


class Run:
    """A run that is open: `opened` makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts: dict[str, Any] = {}
        self._saved = time.monotonic()
        self._read()

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return "results" in self._facts

    def checkpoint(self) -> Checkpoint | None:
        """The newest one, or None."""
        found = [
            Checkpoint(int(match[1]), path)
            for path in self.folder.iterdir()
            if (match := CHECKPOINT.fullmatch(path.name)) and path.is_dir()
        ]
        return max(found, key=lambda checkpoint: checkpoint.number, default=None)

    def save(self, number: int, write: Callable[[Path], None], *, every_seconds: float | None = None) -> bool:
        """Whether a checkpoint of ``number`` epochs was kept: whole or not at all, and not too often.

        Args:
            number: how many epochs are done.
            write: puts the files of the checkpoint into a folder.
            every_seconds: how long the one before must be ago, by default a minute; 0 keeps this one in any case.
        """
        pause = CHECKPOINT_SECONDS if every_seconds is None else every_seconds
        if time.monotonic() - self._saved < pause:
            return False
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write(partial)
        older = self.checkpoint()
        target = self.folder / f"checkpoint-{number:04d}"
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
        if older is not None and older.folder != target:
            shutil.rmtree(older.folder)
        self._saved = time.monotonic()
        return True

    def record(self, number: int, **values: float) -> None:
        """Adds a row to the history: the epoch (from 1) and what was measured in it, by the same names each time."""
        row = {"epoch": number, **values}
        path = self.folder / "history.csv"
        begins = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(row), lineterminator="\n")
            if begins:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def history(self) -> list[dict[str, float]]:
        """The rows recorded so far, those before an interruption included."""
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]

    def finish(self, results: Facts) -> None:
        """Writes the results into ``run.json`` and drops the checkpoint."""
        self._write({**self._facts, "results": dict(results)})
        for path in self.folder.glob("checkpoint-*"):
            shutil.rmtree(path)

    def begin(self, wanted: dict[str, Any]) -> None:
        """Takes up what is there, or writes down what is going to be trained."""
        if self._facts:
            self._refuse_another(wanted)
            self._cut_history()
        else:
            self.forget()
            self._write({**wanted, "with": _versions()})

    def forget(self) -> None:
        """Removes the records of an earlier run; pictures and other files of it are overwritten later on."""
        for path in self.folder.glob("checkpoint-*"):
            shutil.rmtree(path)
        for name in ("history.csv", "run.json"):
            (self.folder / name).unlink(missing_ok=True)
        self._facts = {}

    def _read(self) -> None:
        path = self.folder / "run.json"
        if path.exists():
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise TrainingRefused(f"{path} is broken: {errors.excerpt(error)}. Remove it.") from error
            if not isinstance(facts, dict):
                raise TrainingRefused(f"{path} is broken: it is no object of JSON. Remove it.")
            self._facts = facts

    def _write(self, facts: dict[str, Any]) -> None:
        partial = self.folder / "run.json.part"
        partial.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self.folder / "run.json")
        self._facts = facts

    def _refuse_another(self, wanted: dict[str, Any]) -> None:
        there, now = (_flat({name: facts.get(name) for name in wanted}) for facts in (self._facts, wanted))
        for name in [*now, *there]:
            if there.get(name) != now.get(name):
                raise TrainingRefused(
                    f"{self.folder} holds an unfinished run in which {name} is {there.get(name, 'not there')}, not "
                    f"{now.get(name, 'there')}. Repeat that one, name another folder, or begin afresh."
                )

    def _cut_history(self) -> None:
        """Leaves out the epochs behind the checkpoint, which are going to be done again."""
        checkpoint = self.checkpoint()
        rows = self.history()
        (self.folder / "history.csv").unlink(missing_ok=True)
        for row in rows:
            if checkpoint is not None and row["epoch"] <= checkpoint.number:
                number = int(row.pop("epoch"))
                self.record(number, **row)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder against other processes; the system lets go of it when this one dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise TrainingRefused(
            f"{folder} cannot be written: {error.strerror}. Name another folder."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingRefused(
                f"Another process trains in {folder}. Wait, or name another folder."
            ) from error
        yield
    finally:
        os.close(lock)


def _flat(facts: Facts, above: str = "") -> dict[str, Any]:
    """Nested names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def _versions() -> dict[str, str]:
    import keras

    return {"keras": str(keras.__version__), "backend": str(keras.backend.backend())}
