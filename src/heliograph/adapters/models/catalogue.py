"""The packages that are known: those that ship with Heliograph and those in the store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from heliograph.adapters.models import manifest
from heliograph.core import errors
from heliograph.core.models import ModelSpec, VariantSpec, check_name

logger = logging.getLogger(__name__)

ABSENT = (FileNotFoundError, NotADirectoryError, PermissionError)
"""A package, or the store, is not there, or not for this process."""


@dataclass(frozen=True, slots=True)
class Package:
    """A model and the folder that describes it."""

    spec: ModelSpec
    folder: Path


def shipped_folder() -> Path:
    """The folder of the packages that ship with Heliograph.

    Raises:
        ModelInvalid: Heliograph is installed as a zip file.
    """
    folder = resources.files("heliograph").joinpath("catalogue")
    if not isinstance(folder, Path):
        raise errors.ModelInvalid("Heliograph must be installed as files to read its catalogue.")
    return folder


class Catalogue:
    """Reads packages from folders of packages; a name in an earlier folder hides it in a later one."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders

    def packages(self) -> list[Package]:
        """Every package that can be read, by name; the others are logged and left out."""
        found = []
        for name in sorted(set(self._names())):
            try:
                found.append(self._package(name))
            except errors.ModelError as error:
                logger.warning("model package left out: %s", error.message)
        return [package for package in found if package is not None]

    def own(self) -> dict[str, str]:
        """The packages of the first folder by name, each with a mark of its files as they are now.

        Raises:
            OSError: the folder cannot be looked at just now, so that nobody knows; what is not there is no error.
        """
        marks: dict[str, str] = {}
        children: list[Path] = []
        with contextlib.suppress(*ABSENT):
            children = sorted(self._folders[0].iterdir())
        for child in children:
            if _is_name(child.name):
                with contextlib.suppress(*ABSENT):
                    marks[child.name] = _mark_of_package(child)
        return marks

    def is_own(self, name: str) -> bool:
        """Whether the first folder has a folder of this name that is a package, be it broken, or half a one.

        What it has beside a package of a later folder is no half one: weights are kept there.

        Raises:
            ModelUnknown: it cannot name a model.
        """
        check_name(name)
        own, *others = (folder / name for folder in self._folders)
        if not own.is_dir() and not own.is_symlink():
            return False
        manifests = [(place / manifest.MANIFEST).exists() for place in (own, *others)]
        return manifests[0] or not any(manifests)

    def resolve(self, reference: str) -> tuple[Package, VariantSpec | None]:
        """The package that ``reference`` names, and the variant if it names one too.

        Raises:
            ModelUnknown: there is none.
            ModelInvalid: its package is wrong.
        """
        check_name(reference)
        package = self._package(reference)
        if package is not None:
            return package, None
        for position in range(len(reference) - 1, 0, -1):
            if reference[position] != "-":
                continue
            package = self._package(reference[:position])
            variant = package.spec.variant(reference[position + 1 :]) if package else None
            if package is not None and variant is not None:
                return package, variant
        raise errors.ModelUnknown(f"There is no model {reference!r}: `heliograph models list` shows all.")

    def _package(self, name: str) -> Package | None:
        for folder in self._folders:
            if (folder / name / manifest.MANIFEST).exists():
                return Package(manifest.read_package(folder / name), folder / name)
        return None

    def _names(self) -> Iterator[str]:
        for folder in self._folders:
            yield from _names(folder)


def mark_of(path: Path) -> str:
    """Another text once the file is another one, as far as its ``stat`` tells."""
    state = path.stat()
    return f"{state.st_ino}-{state.st_mtime_ns}-{state.st_size}"


def _mark_of_package(folder: Path) -> str:
    """Locks and files that are being written have names with a dot and do not count."""
    marks = [mark_of(folder / manifest.MANIFEST)]
    with contextlib.suppress(*ABSENT):
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                with contextlib.suppress(*ABSENT):
                    marks.append(f"{path.name}:{mark_of(path)}")
    return "/".join(marks)


def _names(folder: Path) -> Iterator[str]:
    """The packages in a folder, also in a store that nobody has made yet."""
    try:
        children = list(folder.iterdir())
    except OSError:
        return
    for child in children:
        if _is_name(child.name) and (child / manifest.MANIFEST).exists():
            yield child.name


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except errors.ModelUnknown:
        return False
    return True
