"""The commands and their options; what a command does is in a file of its own, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from heliograph import __version__
from heliograph.cli.classify import classify
from heliograph.cli.cutout import cutout
from heliograph.cli.failures import clear_failures
from heliograph.cli.keys import app as keys
from heliograph.cli.models import app as models

app = typer.Typer(
    name="heliograph",
    help="Turns image models into a service: send a picture, get its labels, its cut-out or its character.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"heliograph {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [HELIOGRAPH_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [HELIOGRAPH_PORT, 8000].")] = None,
) -> None:
    """Answer pictures over HTTP, in one process. Settings are environment variables HELIOGRAPH_…"""
    from heliograph.cli.serve import run

    with clear_failures():
        run(host=host, port=port)


app.command()(classify)
app.command()(cutout)
app.add_typer(models)
app.add_typer(keys)
