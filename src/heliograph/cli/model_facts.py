"""``heliograph models list``, ``info`` and ``remove``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from heliograph.bootstrap.parts import build_store
from heliograph.cli.output import columns, printable, size_text
from heliograph.core.models import ModelSpec
from heliograph.core.ports import ModelStatus
from heliograph.settings import read_settings


def show_list(*, as_json: bool) -> None:
    """Prints every model that is known."""
    found = build_store(read_settings()).list()
    if as_json:
        print(json.dumps([_facts(status) for status in found], indent=2))
        return
    rows = [("NAME", "TASK", "WEIGHTS HERE", "LICENCE", "TITLE")]
    rows += [
        (spec.name, spec.task.value, ", ".join(status.present) or "none", spec.licence, spec.title)
        for status in found
        for spec in [status.spec]
    ]
    for line in columns(rows):
        print(line)


def show_one(reference: str) -> None:
    """Prints a model's facts and its card."""
    store = build_store(read_settings())
    spec = store.spec(reference)
    present = next((status.present for status in store.list() if status.spec.name == spec.name), ())
    for line in columns(_rows(spec, present)):
        print(line)
    if spec.card:
        print()
        print("\n".join(printable(line) for line in spec.card.strip().splitlines()))


def remove_one(reference: str) -> None:
    """Removes a model's files from the store."""
    freed = build_store(read_settings()).remove(reference)
    print(
        f"{reference}: {size_text(freed)} freed" if freed else f"{reference}: nothing of it is in the store"
    )


def _facts(status: ModelStatus) -> dict[str, Any]:
    spec = status.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "task": spec.task.value,
        "title": spec.title,
        "licence": spec.licence,
        "homepage": spec.homepage,
        "variants": [
            {
                "precision": variant.precision,
                "file": variant.file,
                "size_bytes": variant.size_bytes,
                "here": variant.precision in status.present,
            }
            for variant in spec.variants
        ],
    }


def _rows(spec: ModelSpec, present: Sequence[str]) -> list[tuple[str, ...]]:
    rows = [
        ("name", spec.name),
        ("version", spec.version),
        ("task", spec.task.value),
        ("title", spec.title),
        ("about", spec.description),
        ("licence", spec.licence),
        ("homepage", spec.homepage),
        ("input", f"{spec.input.width} × {spec.input.height} {spec.input.channels.value}, {spec.input.fit}"),
    ]
    if spec.labels:
        rows.append(("labels", f"{len(spec.labels):,}"))
    rows += [("accuracy", f"{row.metric} {row.value:g} ({row.data})") for row in spec.accuracy]
    for variant in spec.variants:
        where = "here" if variant.precision in present else "not here"
        rows.append(("weights", f"{variant.precision}, {size_text(variant.size_bytes)}, {where}"))
    return [*rows]
