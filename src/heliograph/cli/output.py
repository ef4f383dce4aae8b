"""How text and progress look on a terminal: harmless characters, sizes, and a bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

KILOBYTE = 1_000
MEGABYTE = 1_000_000


def printable(text: str) -> str:
    """``text`` in which control characters are blanks, so that a file name cannot steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the cells of a column below each other."""
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*clean, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in clean
    ]


def size_text(size: int) -> str:
    """Bytes as a person reads them."""
    if size >= MEGABYTE:
        return f"{size / MEGABYTE:,.1f} MB"
    return f"{size / KILOBYTE:,.1f} kB" if size >= KILOBYTE else f"{size} bytes"


@contextmanager
def terminal_progress(*columns: str, wanted: bool = True) -> Iterator[Progress | None]:
    """A progress display on standard error, or None where that is no terminal.

    Args:
        columns: rich's names for what comes behind the bar.
        wanted: False leaves it out.
    """
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Rich writes redirected lines to standard error, which must not swallow a pipe's lines.
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        yield progress
