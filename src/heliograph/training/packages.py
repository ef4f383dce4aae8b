"""The files of a model package that a training leaves beside the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template

from heliograph.adapters.models import installing
from heliograph.adapters.models.manifest import read_package
from heliograph.core import errors
from heliograph.core.models import ModelSpec

DESCRIPTIONS = ("model.toml", "README.md")


def describe(
    folder: Path, templates: Path, values: Mapping[str, object], *, weights: str, labels: Sequence[str] = ()
) -> None:
    """Completes the package in ``folder``, which holds its weights already.

    Args:
        folder: the package.
        templates: a folder with templates of ``model.toml`` and ``README.md``.
        values: what is put into them, besides the ``sha256`` and ``size_bytes`` of the weights.
        weights: the file's name.
        labels: the classes in the order of the output, if it has any.
    """
    data = (folder / weights).read_bytes()
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data), **values}
    for name in DESCRIPTIONS:
        template = Template((templates / name).read_text(encoding="utf-8"))
        (folder / name).write_text(template.substitute(facts), encoding="utf-8", newline="\n")
    if labels:
        (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8", newline="\n")


def quoted(text: str) -> str:
    """``text`` as a string of TOML."""
    return json.dumps(text, ensure_ascii=False)


@contextmanager
def placed(store: Path, name: str) -> Iterator[Path]:
    """A folder for the package ``name``, which is in the store behind the block, as a whole or not at all.

    One of that name that is there is replaced.

    Raises:
        ModelError: the store cannot be written.
        ModelInvalid: what was put into the folder is no package.
    """
    with installing.workbench(store) as bench:
        package = bench / name
        package.mkdir()
        yield package
        read_package(package)
        installing.install(package, store, replace=True)


def installed(store: Path, name: str) -> ModelSpec | None:
    """The package of that name in the store, or None if there is none that can be read."""
    try:
        return read_package(store / name)
    except errors.ModelInvalid:
        return None
