"""The command line: one file a command, imported when it is asked for, so that ``--help`` is quick."""

from __future__ import annotations


def main() -> None:
    """Runs ``heliograph``."""
    from heliograph.cli.app import app

    app()
