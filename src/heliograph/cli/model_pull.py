"""``heliograph models pull``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from heliograph.bootstrap.parts import ALL_IN_STORE, build_store
from heliograph.cli.output import printable, size_text, terminal_progress
from heliograph.core import errors
from heliograph.core.ports import ModelFile, ModelStore
from heliograph.settings import read_settings

if TYPE_CHECKING:
    from rich.progress import Progress


def pull_named(references: Sequence[str]) -> None:
    """Fetches every model that is named, one that cannot be had included in exit status 1 at the end."""
    store = build_store(read_settings())
    failed = False
    for reference in references:
        try:
            print(_ready(reference, _pull(store, reference)), flush=True)
        except errors.HeliographError as error:
            failed = True
            print(f"heliograph: {error.message}", file=sys.stderr, flush=True)
    if failed:
        raise typer.Exit(1)


def pull_default() -> None:
    """Fetches what the settings serve and says a line about each; the service runs without the rest."""
    settings = read_settings()
    store = build_store(settings)
    for reference in (name for name in settings.models if name != ALL_IN_STORE):
        try:
            line = _ready(reference, _pull(store, reference))
        except errors.HeliographError as error:
            line = f"{reference}: could not be had. {error.message.splitlines()[-1]}"
        print(printable(line), flush=True)


def _ready(reference: str, file: ModelFile) -> str:
    return f"{reference}: ready ({file.variant.precision}, {size_text(file.variant.size_bytes)})"


def _pull(store: ModelStore, reference: str) -> ModelFile:
    with terminal_progress("{task.percentage:.0f} %") as progress:
        if progress is None:
            return store.pull(reference)
        return _pull_with_bar(store, reference, progress)


def _pull_with_bar(store: ModelStore, reference: str, progress: Progress) -> ModelFile:
    bar = progress.add_task(printable(reference), total=None)

    def show(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total)

    return store.pull(reference, show)
