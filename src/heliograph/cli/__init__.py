"""The command line: one file a command, imported when it is asked for, so that ``--help`` is quick."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Runs ``heliograph``."""
    from heliograph.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a label that the terminal has no character for is escaped
            stream.reconfigure(errors="backslashreplace")
    app()
