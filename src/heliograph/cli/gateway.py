"""``heliograph gateway``."""

from __future__ import annotations

import sys

from heliograph.bootstrap.gateway import run_gateway
from heliograph.settings import read_settings


def run(*, host: str | None, port: int | None, redis_url: str | None) -> None:
    """Answers until it is stopped."""
    settings = read_settings(host=host, port=port, redis_url=redis_url)

    def announce(address: str) -> None:
        print(f"Heliograph: the gateway answers at {address}", file=sys.stderr, flush=True)

    run_gateway(settings, announce)
