"""``heliograph worker``."""

from __future__ import annotations

import sys

from heliograph.bootstrap.worker import run_worker
from heliograph.settings import read_settings


def run(*, name: str | None, redis_url: str | None) -> None:
    """Works until it is stopped."""
    settings = read_settings(redis_url=redis_url)

    def announce(what: str) -> None:
        print(f"Heliograph: {what}", file=sys.stderr, flush=True)

    run_worker(settings, name, announce)
