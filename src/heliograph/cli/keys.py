"""``heliograph keys``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from heliograph.cli.failures import clear_failures
from heliograph.serving.access import Scope, create_key

app = typer.Typer(name="keys", help="Make API keys.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def keys() -> None:
    """Make API keys; only their hashes are stored, in the file that HELIOGRAPH_API_KEYS_FILE names."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what the key is for; shown in logs.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it allows; may be given twice. `predict` without it.", show_default=False),
    ] = None,
) -> None:
    """Make a key.

    `heliograph keys create ci >> keys.txt` stores its hash in the file and shows the key itself once.
    """
    with clear_failures():
        key, stored = create_key(name, scope or [Scope.PREDICT])
    print(stored.line(), flush=True)
    print(f"The API key of {name}, shown only now: {key}", file=sys.stderr)
    if sys.stdout.isatty():
        print("The line above is for the file that HELIOGRAPH_API_KEYS_FILE names.", file=sys.stderr)
