"""How a command fails: one clear line on standard error, exit status 1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from heliograph.core import errors


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turns Heliograph's own errors into a line and exit status 1."""
    try:
        yield
    except errors.HeliographError as error:
        print(f"heliograph: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from None
