"""``heliograph models check``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.adapters.imaging.masks import WANTED, masked
from heliograph.adapters.imaging.scoring import score as score_matte
from heliograph.bootstrap.parts import build_codec, load_direct
from heliograph.cli.output import columns, printable, terminal_progress
from heliograph.cli.pictures import SUFFIXES
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.pictures import UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput
from heliograph.core.scores import BOUNDARY_PIXELS
from heliograph.serving.checking import LabelCheck, MatteCheck
from heliograph.serving.direct import DirectModel
from heliograph.settings import Settings, read_settings

REFUSED_SHOWN = 20
WORST = 5


def check_one(reference: str, folder: Path, *, as_json: bool, table: Path | None) -> bool:
    """Measures a model and prints how good it is; whether every picture could be read.

    Raises:
        ModelError: it cannot be loaded.
        PictureMissing: the folder has no pictures whose answers are known.
    """
    settings = read_settings()
    with load_direct(reference, settings) as model:
        if model.spec.task is Task.CLASSIFICATION:
            return _check_labels(model, settings, folder, as_json=as_json, table=table)
        if table is not None:
            raise errors.ParameterInvalid("--csv is for models with labels.")
        return _check_mattes(model, settings, folder, as_json=as_json)


def _check_labels(
    model: DirectModel, settings: Settings, folder: Path, *, as_json: bool, table: Path | None
) -> bool:
    check = LabelCheck(model.spec.labels)
    for truth, path in _shown(list(_labelled(folder, model.spec.labels)), wanted=not as_json):
        try:
            labels = model.classify(_read(path, settings), top=1).labels
        except errors.HeliographError as error:
            check.refused.append((str(path), error.message))
        else:
            check.add(truth, labels[0].label)
    if table is not None:
        _write_table(table, check)
    if as_json:
        print(json.dumps({"model": model.spec.name, **check.facts()}))
        return not check.refused
    print(f"{check.confusion.accuracy:.1%} of {check.confusion.total:,} pictures are right")
    rows = [("LABEL", "PICTURES", "RECALL", "PRECISION", "MOST TAKEN FOR")]
    rows += [
        (label, f"{count:,}", f"{recall:.1%}", f"{precision:.1%}", mistaken)
        for label, count, recall, precision, mistaken in check.rows()
    ]
    _print_columns(rows)
    _print_refused(check.refused)
    return not check.refused


def _check_mattes(model: DirectModel, settings: Settings, folder: Path, *, as_json: bool) -> bool:
    check = MatteCheck()
    for picture, mask in _shown(_masked(folder), wanted=not as_json):
        try:
            truth = _grey(_read(mask, settings), settings)
        except errors.HeliographError as error:
            check.refused.append((str(mask), f"The mask of {picture.name} cannot be used: {error.message}"))
            continue
        try:
            options = CutoutOptions(output=CutoutOutput.MASK)
            alpha = _grey(model.cut_out(_read(picture, settings), options).data, settings)
        except errors.HeliographError as error:
            check.refused.append((str(picture), error.message))
            continue
        if alpha.shape == truth.shape:
            check.scores.append((str(picture), score_matte(alpha, truth)))
        else:
            sizes = [f"{width} × {height}" for height, width in (truth.shape, alpha.shape)]
            check.refused.append(
                (str(mask), f"The mask of {picture.name} is {sizes[0]}, the picture {sizes[1]}.")
            )
    if as_json:
        print(json.dumps({"model": model.spec.name, **check.facts()}))
        return not check.refused
    mean = check.mean
    print(
        f"{len(check.scores):,} pictures: mean IoU {mean.iou:.3f}, MAE {mean.mae:.3f}, "
        f"boundary F {mean.boundary_f:.3f} within {BOUNDARY_PIXELS} pixels"
    )
    worst = [
        (name, f"{score.iou:.3f}", f"{score.mae:.3f}", f"{score.boundary_f:.3f}")
        for name, score in check.worst(WORST)
    ]
    _print_columns([("WORST", "IOU", "MAE", "BOUNDARY F"), *worst])
    _print_refused(check.refused)
    return not check.refused


def _labelled(folder: Path, labels: Sequence[str]) -> Iterator[tuple[int, Path]]:
    """The pictures below folders that are named like labels, with the label's number."""
    known = {_plain(label) for label in labels}
    folders = sorted(path for path in _children(folder) if path.is_dir() and not path.name.startswith("."))
    strange = [path.name for path in folders if _plain(path.name) not in known]
    if not folders or strange:
        named = (
            f"{len(strange)} folders are none of its labels: {', '.join(strange[:5])}" if strange else "none"
        )
        raise errors.PictureMissing(
            f"{folder} must have a folder for each label ({', '.join(labels[:5])}…); "
            f"there are: {errors.excerpt(named)}."
        )
    found = False
    for each in folders:
        number = _number(each.name, labels)
        for path in sorted(each.rglob("*")):
            if _is_picture(path) and not path.name.startswith("."):
                found = True
                yield number, path
    if not found:
        raise errors.PictureMissing(f"{folder} has no picture in its folders.")


def _masked(folder: Path) -> list[tuple[Path, Path]]:
    try:
        found = masked(folder, SUFFIXES)
    except OSError as error:
        raise errors.PictureMissing(f"{folder}: {error.strerror}.") from error
    if not found:
        raise errors.PictureMissing(f"{folder} has no picture with a mask: {WANTED}.")
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise errors.PictureMissing(f"{folder}: {error.strerror}.") from error


def _number(name: str, labels: Sequence[str]) -> int:
    """Of the label that is spelled so, or of the first that differs in nothing but case, ``_`` and ``-``."""
    return labels.index(name) if name in labels else [_plain(label) for label in labels].index(_plain(name))


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def _read(path: Path, settings: Settings) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(settings.max_picture_bytes + 1)
    except OSError as error:
        raise errors.PictureMissing(f"It cannot be read: {error.strerror or error}.") from None


def _grey(data: bytes, settings: Settings) -> UInt8Array:
    """A mask as (height, width) from 0 to 255."""
    codec = build_codec(settings)
    return np.ascontiguousarray(codec.decode(data, codec.inspect(data)).rgb[:, :, 0])


def _shown(items: Sequence[Any], *, wanted: bool) -> Iterator[Any]:
    """The items one by one, with a bar on a terminal."""
    with terminal_progress("{task.completed} of {task.total}", wanted=wanted) as progress:
        bar = None if progress is None else progress.add_task("checking", total=len(items))
        for item in items:
            yield item
            if progress is not None and bar is not None:
                progress.advance(bar)


def _write_table(path: Path, check: LabelCheck) -> None:
    """The confusion matrix: a row for each true label, a column for each answer."""
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["label", *check.labels])
            writer.writerows(
                [label, *row]
                for label, row in zip(check.labels, check.confusion.counts.tolist(), strict=True)
            )
    except OSError as error:
        raise errors.ParameterInvalid(f"{path} cannot be written: {error.strerror}.") from error


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    print("\n".join(columns(rows)))


def _print_refused(refused: Sequence[tuple[str, str]]) -> None:
    if refused:
        print(f"{len(refused):,} could not be read:")
    for name, problem in refused[:REFUSED_SHOWN]:
        print(f"  {printable(name)}: {printable(problem)}")
