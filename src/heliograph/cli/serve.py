"""``heliograph serve``."""

from __future__ import annotations

import sys

from heliograph.bootstrap.serve import run_serve
from heliograph.settings import read_settings


def run(*, host: str | None, port: int | None) -> None:
    """Serves until it is stopped."""
    settings = read_settings(host=host, port=port)

    def announce(address: str) -> None:
        print(f"Heliograph: open {address} in a browser, or send it a picture:", file=sys.stderr)
        print(f"  curl -F image=@cat.jpg {address}/classify", file=sys.stderr, flush=True)

    run_serve(settings, announce)
