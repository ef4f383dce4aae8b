"""``heliograph up``."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from typing import TextIO

import typer

from heliograph.bootstrap.up import Running, Up, default_data_dir
from heliograph.core.fleet import FleetBounds
from heliograph.settings import read_settings

WAITING_LINES = 10_000
CLOSE_SECONDS = 2.0


def run(
    *,
    workers: int | None,
    minimum: int | None,
    maximum: int | None,
    redis_url: str | None,
    data_dir: Path | None,
    host: str | None,
    port: int | None,
) -> None:
    """Runs gateway, workers and queue until it is stopped."""
    settings = read_settings(host=host, port=port, redis_url=redis_url, workers=workers)
    if (minimum is None) != (maximum is None):
        raise typer.BadParameter("--min and --max belong together.")
    if workers is not None and minimum is not None:
        raise typer.BadParameter("say --workers, or --min and --max.")
    bounds = FleetBounds(
        minimum=settings.workers if minimum is None else minimum,
        maximum=settings.workers if maximum is None else maximum,
    )
    terminal = Terminal(sys.stderr)
    up = Up(
        settings=settings,
        bounds=bounds,
        data_dir=data_dir or default_data_dir(),
        say=terminal.say,
        announce=lambda running: terminal.say(welcome(running)),
    )
    try:
        up.run()
    finally:
        terminal.close()


def welcome(running: Running) -> str:
    """What to do with it."""
    key = ' -H "Authorization: Bearer $HELIOGRAPH_API_KEY"' if running.asks_for_keys else ""
    lines = [
        f"Heliograph: open {running.address} in a browser, or send a folder of 300 pictures in one call:",
        f"  printf 'form = \"image=@%s\"\\n' pictures/*.jpg | curl{key} -K - {running.address}/v1/jobs",
        f"{running.workers}, the queue is kept in {running.kept_in}; Ctrl-C stops all, and loses nothing.",
    ]
    if running.pids:
        lines += ["Kill a worker, and watch the others do its jobs:", f"  kill -9 {running.pids[0]}"]
    return "\n".join(lines)


class Terminal:
    """Writes lines in a thread of its own: a terminal that is paused must not stop whoever says something.

    While too many lines wait, further ones are left out; how many they were is said afterwards.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: Queue[str | None] = Queue(WAITING_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Writes a line soon; never blocks. To be called in one thread."""
        try:
            if self._left_out:
                self._lines.put_nowait(f"… {self._left_out} lines are left out")
                self._left_out = 0
            self._lines.put_nowait(line)
        except Full:
            self._left_out += 1

    def close(self) -> None:
        """Waits for what is not written yet, though not for a terminal that stays paused."""
        with suppress(Full):
            self._lines.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # nobody reads any more, or the stream is closed
                print(line, file=self._stream, flush=True)
