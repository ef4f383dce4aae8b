"""How far a training is: a bar on a terminal, a line now and then elsewhere; both on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_SECONDS = 15.0


class Meter:
    """Where the work says how far it is. Text is shown as it is, without markup."""

    def __init__(self, what: str, total: int, console: Console, bar: Progress | None) -> None:
        self._what = what
        self._total = total
        self._console = console
        self._bar = bar
        self._task = bar.add_task(what, total=total) if bar else None
        self._said = time.monotonic()

    def at(self, done: int) -> None:
        """Moves to ``done`` of the total."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)
        elif time.monotonic() - self._said > LINE_SECONDS and done < self._total:
            self.say(f"{self._what}: {done:,} of {self._total:,}")

    def of(self, done: int, total: int) -> None:
        """Moves to ``done`` of a total that is known only now."""
        self._total = total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)
        self.at(done)

    def say(self, line: str) -> None:
        """Writes a line that stays."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._said = time.monotonic()


@contextmanager
def metered(what: str, total: int) -> Iterator[Meter]:
    """A meter of ``total`` steps of ``what``."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Meter(what, total, console, None)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        yield Meter(what, total, console, bar)
