"""``model.toml`` and the files beside it → `ModelSpec`. The format is in ``docs/model-packages.md``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PurePosixPath

from heliograph.adapters.models.toml_tables import Table
from heliograph.core import errors
from heliograph.core.models import (
    NAME_CHARACTERS,
    NAME_PATTERN,
    Accuracy,
    Channels,
    Edges,
    Fit,
    InputSpec,
    Interpolation,
    Layout,
    Meaning,
    ModelSpec,
    OutputSpec,
    Polarity,
    SourceKind,
    SourceSpec,
    Task,
    VariantSpec,
)

MANIFEST = "model.toml"
CARD = "README.md"
FORMAT = 1

MANIFEST_BYTES = 64_000
CARD_BYTES = 200_000
LABELS_BYTES = 4_000_000
LABEL_CHARACTERS = 200
SIDE_PIXELS = 4_096
WEIGHTS_BYTES = 8_000_000_000

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
FILE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}", re.ASCII)
WEB_ADDRESS = re.compile(r"https?://[!-~]+", re.ASCII)
DOWNLOAD_ADDRESS = re.compile(r"https://[!-~]+", re.ASCII)
REQUIREMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[0-9A-Za-z.!+]+", re.ASCII)

MEANINGS = {
    Task.CLASSIFICATION: (Meaning.LOGITS, Meaning.PROBABILITIES),
    Task.BACKGROUND_REMOVAL: (Meaning.MATTE,),
}


def read_package(folder: Path) -> ModelSpec:
    """The model that the package in ``folder`` describes.

    Raises:
        ModelInvalid: a file is missing, too large, leads out of the folder, or says something wrong;
            the message names the file and, for ``model.toml``, the key.
    """
    path = folder / MANIFEST
    text = _read_text(folder, MANIFEST, most=MANIFEST_BYTES)
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise errors.ModelInvalid(f"{path} is not TOML: {errors.excerpt(error)}") from error
    spec = _model(Table(values, file=str(path)), folder)
    if spec.name != folder.name:
        raise errors.ModelInvalid(f"{path}: name is {spec.name!r}, but its folder is {folder.name!r}.")
    return spec


def _model(table: Table, folder: Path) -> ModelSpec:
    table.whole("format", low=FORMAT, high=FORMAT)
    task = table.choice("task", Task)
    spec = ModelSpec(
        name=_name(table, "name"),
        version=table.text("version", pattern=VERSION),
        task=task,
        title=table.text("title"),
        description=table.text("description", lines=True),
        licence=table.text("licence"),
        homepage=table.text("homepage", "", pattern=WEB_ADDRESS),
        labels=_labels(table, folder, task),
        max_batch=table.whole("max_batch", 4, low=1, high=1_024),
        input=_input(table.table("input")),
        output=_output(table.table("output"), task),
        variants=_variants(table),
        accuracy=tuple(_accuracy(row) for row in table.tables("accuracy", most=100)),
        card=_card(folder),
    )
    table.finish()
    return spec


def _input(table: Table) -> InputSpec:
    channels = table.choice("channels", Channels, Channels.RGB)
    depth = 1 if channels is Channels.LUMINANCE else 3
    fit = table.choice("fit", Fit, Fit.STRETCH)
    if fit is not Fit.CROP and "crop" in table:
        table.fail("crop", 'is only for fit = "crop"')
    crop = table.number("crop", 1.0)
    if not 0.01 <= crop <= 1:
        table.fail("crop", "must be from 0.01 to 1")
    std = table.numbers("std", count=depth)
    if min(std) <= 0:
        table.fail("std", "must be above 0")
    spec = InputSpec(
        width=table.whole("width", low=1, high=SIDE_PIXELS),
        height=table.whole("height", low=1, high=SIDE_PIXELS),
        channels=channels,
        layout=table.choice("layout", Layout, Layout.NCHW),
        fit=fit,
        crop=crop,
        interpolation=table.choice("interpolation", Interpolation, Interpolation.LINEAR),
        polarity=table.choice("polarity", Polarity, Polarity.AS_IS),
        full_range=table.flag("full_range", default=False),
        mean=table.numbers("mean", count=depth),
        std=std,
    )
    table.finish()
    return spec


def _output(table: Table, task: Task) -> OutputSpec:
    meaning = table.choice("meaning", Meaning)
    if meaning not in MEANINGS[task]:
        table.fail("meaning", f"cannot be {meaning.value} for {task.value}")
    stretch = table.flag("stretch", default=False)
    if stretch and meaning is not Meaning.MATTE:
        table.fail("stretch", "is only for a matte")
    if "edges" in table and meaning is not Meaning.MATTE:
        table.fail("edges", "is only for a matte")
    spec = OutputSpec(
        meaning=meaning,
        name=table.text("name") if "name" in table else None,
        stretch=stretch,
        edges=table.choice("edges", Edges, Edges.PLAIN),
    )
    table.finish()
    return spec


def _variants(table: Table) -> tuple[VariantSpec, ...]:
    variants = tuple(_variant(row) for row in table.tables("variants", most=16))
    if not variants:
        table.fail("variants", "must name at least one weights file")
    for what in ("precision", "file"):
        if len({getattr(variant, what) for variant in variants}) < len(variants):
            table.fail("variants", f"must each have a {what} of their own")
    return variants


def _variant(table: Table) -> VariantSpec:
    file = table.text("file", pattern=FILE_NAME)
    if file in (MANIFEST, CARD):
        table.fail("file", f"cannot be {file}")
    sha256 = table.text("sha256", pattern=SHA256)
    variant = VariantSpec(
        precision=_name(table, "precision"),
        file=file,
        sha256=sha256,
        size_bytes=table.whole("size_bytes", low=1, high=WEIGHTS_BYTES),
        sources=tuple(_source(row, sha256) for row in table.tables("sources", most=16)),
    )
    table.finish()
    return variant


def _source(table: Table, sha256: str) -> SourceSpec:
    kind = table.choice("kind", SourceKind)
    address = member = extra = ""
    convert = None
    if kind is SourceKind.PYTHON_PACKAGE:
        address = table.text("address", pattern=REQUIREMENT)
        member = _member(table)
        extra = table.text("extra", "", pattern=NAME_PATTERN)
    elif kind is SourceKind.DOWNLOAD:
        address = table.text("address", pattern=DOWNLOAD_ADDRESS)
    if kind is not SourceKind.BUNDLED:
        convert = table.text("convert", pattern=NAME_PATTERN) if "convert" in table else None
        own = table.text("sha256", None if convert else sha256, pattern=SHA256)
        if convert is None and own != sha256:
            table.fail("sha256", "must be the variant's, because nothing is converted")
        sha256 = own
    table.finish()
    return SourceSpec(kind=kind, sha256=sha256, address=address, member=member, extra=extra, convert=convert)


def _member(table: Table) -> str:
    member = table.text("member")
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or str(path) != member:
        table.fail("member", "must be a plain path inside the package")
    return member


def _accuracy(table: Table) -> Accuracy:
    row = Accuracy(metric=table.text("metric"), value=table.number("value"), data=table.text("data"))
    table.finish()
    return row


def _labels(table: Table, folder: Path, task: Task) -> tuple[str, ...]:
    if task is not Task.CLASSIFICATION:
        return ()
    file = table.text("labels", pattern=FILE_NAME)
    labels = tuple(_read_text(folder, file, most=LABELS_BYTES).removesuffix("\n").split("\n"))
    if len(labels) < 2:
        raise errors.ModelInvalid(f"{folder / file} must name at least two classes, one a line.")
    for number, label in enumerate(labels, start=1):
        if not label.strip() or len(label) > LABEL_CHARACTERS or not label.isprintable():
            raise errors.ModelInvalid(
                f"{folder / file}: line {number} must have 1 to {LABEL_CHARACTERS} printable characters."
            )
    return labels


def _card(folder: Path) -> str:
    if not (folder / CARD).exists():
        return ""
    return _read_text(folder, CARD, most=CARD_BYTES)


def _name(table: Table, key: str) -> str:
    name = table.text(key, pattern=NAME_PATTERN)
    if len(name) > NAME_CHARACTERS:
        table.fail(key, f"must have at most {NAME_CHARACTERS} characters")
    return name


def _read_text(folder: Path, file: str, *, most: int) -> str:
    """The text of a file that lies in ``folder``, not behind a link that leads out of it."""
    path = folder / file
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve())
        if not inside or not path.is_file():
            raise errors.ModelInvalid(f"{path} must be a file in its package's folder.")
        with path.open("rb") as stream:
            data = stream.read(most + 1)
        if len(data) > most:
            raise errors.ModelInvalid(f"{path} has more than {most:,} bytes.")
        return data.decode("utf-8").replace("\r\n", "\n")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise errors.ModelInvalid(f"{path} cannot be read: {errors.excerpt(error)}") from error
