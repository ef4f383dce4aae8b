"""Somebody's model file becomes a package in the store: looked at, described, tried out, moved there.

Everything that reads the file happens in a child with limits; this process only reads what the child
reports, and what the person says. Until the last step nothing is where a server would look.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.adapters.models import installing
from heliograph.adapters.models.catalogue import Catalogue, shipped_folder
from heliograph.adapters.models.findings import Findings, Trial, read_outcome
from heliograph.adapters.models.manifest import (
    CARD,
    LABEL_CHARACTERS,
    LABELS_BYTES,
    MANIFEST,
    read_package,
)
from heliograph.adapters.models.manifest_text import LABELS, manifest_text
from heliograph.adapters.models.toml_tables import TEXT_CHARACTERS
from heliograph.bootstrap.confinement import Limits, read_small, run_confined
from heliograph.bootstrap.describing import Ask, Wishes, card_text, describe
from heliograph.core import errors
from heliograph.core.models import (
    NAME_CHARACTERS,
    NAME_PATTERN,
    Meaning,
    ModelSpec,
    SourceKind,
    SourceSpec,
    Task,
    VariantSpec,
)
from heliograph.settings import Settings

CHILD = "heliograph.bootstrap.adding_child"
CONVERTED = "model.onnx"
ENDINGS = (".onnx", ".keras", ".h5", ".hdf5", ".pth", ".pt")
FILE_BYTES = 2_000_000_000
MATTE_MARGIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A model that is in the store now; ``preprocessing`` says what is done to its pictures and why."""

    spec: ModelSpec
    folder: Path
    preprocessing: str
    trial: Trial


def add_model(wishes: Wishes, settings: Settings, ask: Ask) -> Added:
    """Adds the model.

    Args:
        wishes: the file, and what the person has said of it.
        settings: where the store is.
        ask: asks the person for what neither the file nor they have said.

    Raises:
        ModelInvalid: the file cannot be served, or what was said does not fit it.
        ModelError: there is a model of this name, or the store cannot be written.
    """
    size = _check_file(wishes.file)
    _check_texts(wishes)
    labels = read_labels(wishes.labels) if wishes.labels else ()
    limits = Limits.for_file(size)
    store = settings.model_dir
    with installing.workbench(store) as bench, tempfile.TemporaryDirectory(prefix="heliograph-") as own:
        room = Path(own)
        request = {"action": "look", "file": str(wishes.file.resolve())}
        findings = _looked(run_confined(CHILD, request, room, limits, what=wishes.file.name))
        name = _free_name(wishes, findings, store)
        package = bench / name
        package.mkdir()
        variant = _take_weights(room / CONVERTED, package, name, most=limits.file_bytes)
        described = describe(findings, wishes, name=name, labels=labels, variant=variant, ask=ask)
        spec = described.spec
        if wishes.labels:
            (package / LABELS).write_text("\n".join(spec.labels) + "\n", encoding="utf-8", newline="\n")
        write_package(package, spec, card_text(spec, wishes.file.name, described.preprocessing))
        trial = _tried(package, wishes, limits, room)
        spec = _settled(spec, trial, findings, wishes, ask)
        write_package(package, spec, card_text(spec, wishes.file.name, described.preprocessing))
        read_package(package)
        _check_weights(package, variant)
        folder = installing.install(package, store, replace=wishes.replace)
    return Added(spec=spec, folder=folder, preprocessing=described.preprocessing, trial=trial)


def write_package(folder: Path, spec: ModelSpec, card: str) -> None:
    """Writes ``model.toml`` and the card."""
    (folder / MANIFEST).write_text(manifest_text(spec), encoding="utf-8", newline="\n")
    (folder / CARD).write_text(card, encoding="utf-8", newline="\n")


def read_labels(path: Path) -> tuple[str, ...]:
    """The class names in a text file, one a line.

    Raises:
        ModelInvalid: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ModelInvalid(f"The labels {path} cannot be read: {errors.excerpt(error)}") from error
    labels = tuple(line.strip() for line in text.rstrip("\n").splitlines())
    if len(labels) < 2 or not all(labels):
        raise errors.ModelInvalid(f"{path} must name at least two classes, one a line, without empty lines.")
    for number, label in enumerate(labels, start=1):
        if len(label) > LABEL_CHARACTERS or not label.isprintable():
            raise errors.ModelInvalid(
                f"{path}: line {number} must have 1 to {LABEL_CHARACTERS} printable characters."
            )
    if len(text.encode()) > LABELS_BYTES:
        raise errors.ModelInvalid(f"{path} has more than {LABELS_BYTES:,} bytes.")
    return labels


def _check_texts(wishes: Wishes) -> None:
    for option, text in (
        ("--title", wishes.title or None),
        ("--licence", wishes.licence),
        ("--output", wishes.output),
    ):
        if text is not None and not (1 <= len(text) <= TEXT_CHARACTERS and text.isprintable()):
            raise errors.ModelInvalid(
                f"{option} is one line of 1 to {TEXT_CHARACTERS:,} printable characters."
            )


def _check_file(path: Path) -> int:
    """How many bytes the file has."""
    if path.suffix.lower() not in ENDINGS:
        raise errors.ModelInvalid(f"{path.name}: models end in {', '.join(ENDINGS)}.")
    try:
        state = path.stat()
    except OSError as error:
        raise errors.ModelInvalid(f"{path}: {error.strerror}.") from error
    if not stat.S_ISREG(state.st_mode):
        raise errors.ModelInvalid(f"{path} is not a file.")
    if not 0 < state.st_size <= FILE_BYTES:
        raise errors.ModelInvalid(
            f"{path.name} has {state.st_size:,} bytes; models have 1 to {FILE_BYTES:,}."
        )
    return state.st_size


def _looked(data: bytes) -> Findings:
    findings = read_outcome(data).findings
    if findings is None:
        raise errors.ModelInvalid("The process that looked at the file did not say what it found.")
    return findings


def _free_name(wishes: Wishes, findings: Findings, store: Path) -> str:
    """The model's name: as wished, or like the file's; free, unless it may replace another."""
    name = wishes.name or re.sub(r"[^a-z0-9.]+", "-", wishes.file.stem.lower()).strip("-.")
    name = re.sub(r"([.-])[.-]+", r"\1", name) if wishes.name is None else name
    if not NAME_PATTERN.fullmatch(name) or len(name) > NAME_CHARACTERS:
        raise errors.ModelInvalid(
            f"{errors.excerpt(name)!r} cannot name a model: --name has a-z, 0-9, dots and hyphens inside."
        )
    if not wishes.replace:
        if (store / name).exists():
            raise errors.ModelError(
                f"The store has a model {name}: --replace puts this one in its place, --name names it otherwise."
            )
        shipped = any(package.spec.name == name for package in Catalogue(shipped_folder()).packages())
        if shipped and findings.architecture != name:
            raise errors.ModelError(
                f"A model {name} comes with Heliograph: --name names this one otherwise, --replace hides that one."
            )
    return name


def _take_weights(made: Path, package: Path, name: str, *, most: int) -> VariantSpec:
    """Copies the ONNX file that the child left, so that it has no hand on the one that is served."""
    try:
        data = read_small(made, most=most)
    except OSError as error:
        raise errors.ModelInvalid(f"The converted file cannot be used: {errors.excerpt(error)}") from error
    path = package / f"{name}.onnx"
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return VariantSpec(
        precision="fp32",
        file=path.name,
        sha256=sha256,
        size_bytes=len(data),
        sources=(SourceSpec(kind=SourceKind.BUNDLED, sha256=sha256),),
    )


def _check_weights(package: Path, variant: VariantSpec) -> None:
    data = (package / variant.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != variant.sha256:
        raise errors.ModelInvalid("The weights changed while they were tried out.")


def _tried(package: Path, wishes: Wishes, limits: Limits, room: Path) -> Trial:
    pictures = [str(path.resolve()) for path in wishes.pictures]
    request: Mapping[str, Any] = {"action": "try", "package": str(package.resolve()), "pictures": pictures}
    trial = read_outcome(run_confined(CHILD, request, room, limits, what="The trial run")).trial
    if trial is None:
        raise errors.ModelInvalid("The process that tried the model out did not say what came out.")
    return trial


def _settled(spec: ModelSpec, trial: Trial, findings: Findings, wishes: Wishes, ask: Ask) -> ModelSpec:
    """The description after the trial: what comes out must be what it says."""
    if not trial.together:
        spec = replace(spec, max_batch=1)
    if spec.task is Task.CLASSIFICATION:
        classes = _product(trial.row)
        if classes != len(spec.labels):
            raise errors.ModelInvalid(
                f"The model answers with {classes} numbers, and there are {len(spec.labels)} labels: "
                "--labels must name each class, one a line, in the order of the output."
            )
        meaning = wishes.meaning or _meaning(spec, trial, findings, ask)
        return replace(spec, output=replace(spec.output, meaning=meaning))
    if len(trial.row) < 2 or _product(trial.row) != _product(trial.row[-2:]):
        raise errors.ModelInvalid(
            f"The model answers with values of shape {trial.row}; a matte has a height and a width."
        )
    if trial.low < -MATTE_MARGIN or trial.high > 1 + MATTE_MARGIN:
        raise errors.ModelInvalid(
            f"The model answers with values from {trial.low:.3g} to {trial.high:.3g}; a matte has 0 to 1: "
            "end the network with a sigmoid."
        )
    return spec


def _meaning(spec: ModelSpec, trial: Trial, findings: Findings, ask: Ask) -> Meaning:
    """What a classifier's numbers are, as its file says, or else as they look."""
    output = next((each for each in findings.outputs if each.name == spec.output.name), findings.outputs[0])
    if output.activation != "unknown":
        return spec.output.meaning
    if trial.shares:
        return Meaning.PROBABILITIES
    if trial.low < 0 or trial.high > 1:
        return Meaning.LOGITS
    choices = [
        (Meaning.PROBABILITIES.value, "each label's own, as a sigmoid gives it, answered as it is"),
        (Meaning.LOGITS.value, "a softmax makes probabilities of them"),
    ]
    question = "The model's numbers lie between 0 and 1 without adding up to 1. What are they?"
    return Meaning(ask(question, choices, option="--meaning"))


def _product(lengths: Sequence[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product
