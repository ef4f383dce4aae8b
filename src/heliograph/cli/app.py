"""The commands and their options; what a command does is in a file of its own, imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heliograph import __version__
from heliograph.cli.classify import classify
from heliograph.cli.cutout import cutout
from heliograph.cli.failures import clear_failures
from heliograph.cli.keys import app as keys
from heliograph.cli.models import app as models
from heliograph.cli.options import RedisUrl
from heliograph.cli.train import train

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


@app.command()
def gateway(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [HELIOGRAPH_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [HELIOGRAPH_PORT, 8000].")] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Answer pictures over HTTP through a queue; workers do them."""
    from heliograph.cli.gateway import run

    with clear_failures():
        run(host=host, port=port, redis_url=redis_url)


@app.command()
def worker(
    name: Annotated[
        str | None,
        typer.Option(help="A name never used before [HELIOGRAPH_WORKER_NAME and four random characters]."),
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Do the jobs of a queue; as many as wanted, anywhere."""
    from heliograph.cli.worker import run

    with clear_failures():
        run(name=name, redis_url=redis_url)


@app.command()
def up(
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Workers that run [HELIOGRAPH_WORKERS, 2].")
    ] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", metavar="N", help="Fewest workers; the backlog decides.")
    ] = None,
    maximum: Annotated[int | None, typer.Option("--max", metavar="N", help="Most workers.")] = None,
    redis_url: RedisUrl = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which the queue is kept [$XDG_DATA_HOME/heliograph/queue]; without --redis-url."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [HELIOGRAPH_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [HELIOGRAPH_PORT, 8000].")] = None,
) -> None:
    """Run gateway, workers and a queue that loses nothing, all on this machine."""
    from heliograph.cli.up import run

    with clear_failures():
        run(
            workers=workers,
            minimum=minimum,
            maximum=maximum,
            redis_url=redis_url,
            data_dir=data_dir,
            host=host,
            port=port,
        )


app.command()(classify)
app.command()(cutout)
app.command()(train)
app.add_typer(models)
app.add_typer(keys)
