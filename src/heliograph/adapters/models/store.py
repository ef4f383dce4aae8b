"""`FolderStore`: the `ModelStore` that keeps weights in a folder."""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from heliograph.adapters.models import python_packages
from heliograph.adapters.models.catalogue import Catalogue, Package, mark_of, shipped_folder
from heliograph.adapters.models.conversions import made_of, source_bytes
from heliograph.adapters.models.files import (
    FileChecks,
    SourceFailed,
    checked,
    clear_parts,
    locked,
    read_chunks,
    write_whole,
)
from heliograph.adapters.models.manifest import MANIFEST
from heliograph.core import errors
from heliograph.core.models import ModelSpec, SourceKind, SourceSpec, VariantSpec
from heliograph.core.ports import ModelFile, ModelStatus, Progress

logger = logging.getLogger(__name__)

NETWORK = (SourceKind.PYTHON_PACKAGE, SourceKind.DOWNLOAD)

Answers: TypeAlias = list[str]
"""Why each source that was tried does not have the file, one line each."""

Make: TypeAlias = Callable[[], Iterable[bytes]]
"""Begins to make a variant's file: its checked bytes, or `SourceFailed`."""


Download: TypeAlias = Callable[[str, int], Iterable[bytes]]
"""The bytes behind an address, at most so many and one chunk, or `SourceFailed`."""


class FolderStore:
    """Finds weights on this machine and keeps those that it pulled or converted.

    A file is looked for in the store, in its package, in the mirror folders and in an installed
    Python package, in this order; `pull` goes on to package indexes and downloads. Only files of
    the right sha256 are used. `find` uses files in packages and mirrors where they lie.

    Args:
        folder: the store; it need not exist and may be read-only, then nothing is kept in it.
        mirrors: folders that may hold weights files.
        shipped: the folder of packages that come with Heliograph, or None for the real one.
        download: begins a download of at most so many bytes, or None for one over https.
    """

    def __init__(
        self,
        folder: Path,
        mirrors: Sequence[Path] = (),
        *,
        shipped: Path | None = None,
        download: Download | None = None,
    ) -> None:
        self._folder = folder
        self._mirrors = tuple(mirrors)
        self._catalogue = Catalogue(folder, shipped_folder() if shipped is None else shipped)
        self._download = download or _download
        self._checks = FileChecks()
        self._private: Path | None = None

    def list(self) -> Sequence[ModelStatus]:
        """Every model that is known, by name. A file counts as present by its name and size."""
        return [
            ModelStatus(
                spec=package.spec,
                present=tuple(v.precision for v in package.spec.variants if self._seems_present(package, v)),
            )
            for package in self._catalogue.packages()
        ]

    def own(self) -> dict[str, str]:
        """The packages that live in the store itself, by name, each with a mark that changes with it."""
        return self._catalogue.own()

    def mark(self, reference: str) -> str:
        """A mark that changes with the weights files on this machine, the right ones or not; none is read."""
        package, wanted = self._catalogue.resolve(reference)
        marks = []
        for variant in (wanted,) if wanted else package.spec.variants:
            for path in self._all_places(package, variant):
                try:
                    marks.append(mark_of(path))
                except (OSError, RuntimeError):
                    marks.append("")
        return "/".join(marks)

    def spec(self, reference: str) -> ModelSpec:
        """The model that ``reference`` names."""
        return self._catalogue.resolve(reference)[0].spec

    def find(self, reference: str) -> ModelFile:
        """The best variant on this machine, or the one that ``reference`` names."""
        package, wanted = self._catalogue.resolve(reference)
        variants = (wanted,) if wanted else package.spec.variants
        answers: Answers = []
        for variant in variants:
            path = self._local(package, variant, answers)
            if path is not None:
                return ModelFile(spec=package.spec, variant=variant, path=path)
        for variant in variants:
            self._refuse_damaged(package, variant, reference)
        skipped = f" Skipped: {'; '.join(answers)}." if answers else ""
        raise errors.ModelUnavailable(_help(variants, reference) + skipped)

    def pull(self, reference: str, progress: Progress | None = None) -> ModelFile:
        """The best variant that any source has, kept in the store unless it lies in its package."""
        package, wanted = self._catalogue.resolve(reference)
        variants = (wanted,) if wanted else package.spec.variants
        answers: Answers = []
        for variant in variants:
            path = self._pull(package, variant, answers, progress)
            if path is not None:
                return ModelFile(spec=package.spec, variant=variant, path=path)
        lines = [f"No source has the weights of {reference}:", *(f"- {answer}" for answer in answers)]
        raise errors.ModelUnavailable("\n".join([*lines, _help(variants, reference)]))

    def remove(self, reference: str) -> int:
        """How many bytes were freed by removing the model's files from the store.

        A package that lives in the store goes as a whole, also a broken one and what there is of half a one;
        of one that ships with Heliograph only weights in the store go. Mirrors and installed Python
        packages are never touched.

        Raises:
            ModelUnknown: there is no such model.
            ModelError: the weights ship with Heliograph, and there is nothing in the store; or what is there
                of that name does not look like a package.
        """
        if self._catalogue.is_own(reference):
            return _remove_folder(self._folder / reference)
        package, wanted = self._catalogue.resolve(reference)
        folder = self._folder / package.spec.name
        variants = (wanted,) if wanted else package.spec.variants
        freed = sum(_remove_weights(folder, variant) for variant in variants)
        if freed == 0 and any(_is_bundled(variant) for variant in variants):
            raise errors.ModelError(f"The weights of {reference} ship with Heliograph and cannot be removed.")
        return freed

    def _local(self, package: Package, variant: VariantSpec, answers: Answers) -> Path | None:
        for path in self._places(package, variant):
            try:
                self._checks.check(path, sha256=variant.sha256, size=variant.size_bytes)
            except SourceFailed as reason:
                if path.exists():
                    answers.append(str(reason))
                    logger.warning("weights file skipped: %s", reason)
            else:
                return path
        for source in _sources(variant, SourceKind.PYTHON_PACKAGE):
            try:
                return self._installed(package, variant, source)
            except SourceFailed as reason:
                answers.append(str(reason))
        return None

    def _places(self, package: Package, variant: VariantSpec) -> Iterator[Path]:
        """Where the variant's file itself may lie, best first."""
        name, file = package.spec.name, variant.file
        yield self._folder / name / file
        if _is_bundled(variant):
            yield package.folder / file
        for mirror in self._mirrors:
            yield mirror / file
            yield mirror / name / file

    def _all_places(self, package: Package, variant: VariantSpec) -> Iterator[Path]:
        """The same, and where installed Python packages have what it is made of."""
        yield from self._places(package, variant)
        for source in _sources(variant, SourceKind.PYTHON_PACKAGE):
            with contextlib.suppress(SourceFailed):
                yield python_packages.installed_member(source.address, source.member)

    def _seems_present(self, package: Package, variant: VariantSpec) -> bool:
        for path in self._places(package, variant):
            with contextlib.suppress(OSError, RuntimeError):
                state = path.stat()
                if stat.S_ISREG(state.st_mode) and state.st_size == variant.size_bytes:
                    return True
        for source in _sources(variant, SourceKind.PYTHON_PACKAGE):
            try:
                return python_packages.installed_member(source.address, source.member).is_file()
            except SourceFailed:
                continue
        return False

    def _installed(self, package: Package, variant: VariantSpec, source: SourceSpec) -> Path:
        """The file of an installed Python package, converted into the store where that is needed."""
        path = python_packages.installed_member(source.address, source.member)
        if source.convert is None:
            self._checks.check(path, sha256=variant.sha256, size=variant.size_bytes)
            return path
        make = partial(_make_of_file, path, variant, source)
        try:
            return self._keep(self._folder / package.spec.name, variant, make)
        except OSError as error:
            logger.info("converted weights are not kept in the store: %s", error)
        return self._keep(self._private_folder(), variant, make)

    def _pull(
        self, package: Package, variant: VariantSpec, answers: Answers, progress: Progress | None
    ) -> Path | None:
        folder = self._folder / package.spec.name
        here = self._local(package, variant, answers)
        if here is not None and here.parent in (folder, package.folder):
            return here
        for make in self._offers(variant, here):
            try:
                return self._keep(folder, variant, make, progress)
            except SourceFailed as reason:
                answers.append(str(reason))
            except OSError as error:
                raise errors.ModelUnavailable(
                    f"The weights of {package.spec.name} cannot be kept: {error}. "
                    "HELIOGRAPH_MODEL_DIR must name a folder that can be written."
                ) from error
        return None

    def _offers(self, variant: VariantSpec, here: Path | None) -> Iterator[Make]:
        """The ways to make the variant's file, the nearest first."""
        if here is not None:
            yield partial(_copy, here, variant)
        for source in _sources(variant, *NETWORK):
            yield partial(self._make_of_network, variant, source)

    def _make_of_network(self, variant: VariantSpec, source: SourceSpec) -> Iterator[bytes]:
        most = source_bytes(variant, source)
        chunks: Iterable[bytes]
        if source.kind is SourceKind.PYTHON_PACKAGE:
            chunks = python_packages.wheel_member(source.address, source.member, most=most)
        else:
            chunks = self._download(source.address, most)
        return made_of(chunks, variant, source, what=source.address)

    def _keep(self, folder: Path, variant: VariantSpec, make: Make, progress: Progress | None = None) -> Path:
        """The path of the variant's file in ``folder``, made unless another process just did.

        Raises:
            SourceFailed: it cannot be made.
            OSError: ``folder`` cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / variant.file
        with locked(folder / f".{variant.file}.lock"):
            try:
                self._checks.check(target, sha256=variant.sha256, size=variant.size_bytes)
            except SourceFailed:
                clear_parts(target)
                write_whole(target, make(), size=variant.size_bytes, progress=progress)
        return target

    def _private_folder(self) -> Path:
        """A folder that goes when the process does, for weights that the store cannot keep."""
        if self._private is None:
            self._private = Path(tempfile.mkdtemp(prefix="heliograph-"))
            atexit.register(shutil.rmtree, self._private, ignore_errors=True)
        return self._private

    def _refuse_damaged(self, package: Package, variant: VariantSpec, reference: str) -> None:
        """Raises `ModelInvalid` if the store or the package has a file of this name that is another one."""
        for path in (self._folder / package.spec.name / variant.file, package.folder / variant.file):
            if not path.exists():
                continue
            try:
                self._checks.check(path, sha256=variant.sha256, size=variant.size_bytes)
            except SourceFailed as reason:
                raise errors.ModelInvalid(
                    f"The weights of {reference} are damaged: {reason}. Run `heliograph models pull {reference}`."
                ) from reason


def _download(address: str, most: int) -> Iterator[bytes]:
    from heliograph.adapters.models.downloads import (
        Downloader,
    )  # a start without downloads is faster without it

    return Downloader().download(address, most=most)


def _copy(path: Path, variant: VariantSpec) -> Iterator[bytes]:
    size = variant.size_bytes
    return checked(read_chunks(path, most=size), what=str(path), sha256=variant.sha256, size=size, most=size)


def _make_of_file(path: Path, variant: VariantSpec, source: SourceSpec) -> Iterator[bytes]:
    chunks = read_chunks(path, most=source_bytes(variant, source))
    return made_of(chunks, variant, source, what=str(path))


def _sources(variant: VariantSpec, *kinds: SourceKind) -> list[SourceSpec]:
    return [source for source in variant.sources if source.kind in kinds]


def _is_bundled(variant: VariantSpec) -> bool:
    return bool(_sources(variant, SourceKind.BUNDLED))


def _help(variants: Sequence[VariantSpec], reference: str) -> str:
    """One line: what is missing and what helps."""
    ways = []
    if any(_sources(variant, *NETWORK) for variant in variants):
        ways.append(f"run `heliograph models pull {reference}`")
    extras = {source.extra for variant in variants for source in variant.sources if source.extra}
    ways += [f"install 'heliograph[{extra}]'" for extra in sorted(extras)]
    files = " or ".join(variant.file for variant in variants)
    ways.append(f"put {files} into a folder that HELIOGRAPH_MODEL_MIRRORS names")
    return f"The weights of {reference} are not on this machine: {', or '.join(ways)}."


def _remove_weights(folder: Path, variant: VariantSpec) -> int:
    path = folder / variant.file
    try:
        size = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    (folder / f".{variant.file}.lock").unlink(missing_ok=True)
    return size


def _remove_folder(folder: Path) -> int:
    if folder.is_symlink():
        raise errors.ModelError(f"{folder} is a link to another folder; remove it by hand.")
    if not (folder / MANIFEST).exists() and any(path.is_dir() for path in folder.iterdir()):
        raise errors.ModelError(
            f"{folder} has folders and no {MANIFEST}, so it is no model; remove it by hand."
        )
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    shutil.rmtree(folder)
    return size
