"""Puts weights into a model store while an image is built; needs no more of Heliograph than its models.

A model that is named must be had. Without names: what the service serves by default, as far as it can be had.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from heliograph.settings import Settings

HELP = "Put its file into weights/ (weights/README.md says which) and build again, or mount it where it is served."


def bake(store: FolderStore, name: str) -> bool:
    """Whether the weights of a model are in the store now or ship with Heliograph; says so in a line."""
    try:
        file = store.pull(name)
    except errors.HeliographError as error:
        lines = error.message.splitlines()
        reasons = lines[:-1] or lines  # the last of several lines tells what helps where it is served
        print(f"{name}: NOT in this image.", *reasons, HELP, sep="\n  ", flush=True)
        return False
    print(f"{name}: {file.path.name}, {file.variant.size_bytes:,} bytes", flush=True)
    return True


def main() -> int:
    """Bakes every model; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="the folder to fill")
    parser.add_argument("--mirror", type=Path, required=True, help="a folder that may hold weights")
    parser.add_argument("names", nargs="*", help="models, or model-precision")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    store = FolderStore(options.store, [options.mirror])
    baked = [bake(store, name) for name in options.names or Settings.model_fields["models"].default]
    for lock in options.store.rglob(".*.lock"):
        lock.unlink()
    return int(bool(options.names) and not all(baked))


if __name__ == "__main__":
    sys.exit(main())
