"""``heliograph models``: its commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from heliograph.cli.failures import clear_failures

app = typer.Typer(
    name="models",
    help="List models, fetch their weights, remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reference = Annotated[str, typer.Argument(metavar="NAME", help="A model, or model-precision.")]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """Every model, and which weights are here."""
    from heliograph.cli.model_facts import show_list

    with clear_failures():
        show_list(as_json=as_json)


@app.command()
def info(name: Reference) -> None:
    """All about one model: its facts and its card."""
    from heliograph.cli.model_facts import show_one

    with clear_failures():
        show_one(name)


@app.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models, or model-precision.")
    ] = None,
    default: Annotated[
        bool,
        typer.Option(
            "--default", help="The models that the settings serve; one that cannot be had is no failure."
        ),
    ] = False,
) -> None:
    """Fetch weights into the store.

    They are checked against the catalogue and kept in the folder HELIOGRAPH_MODEL_DIR.
    """
    if bool(names) == default:
        raise typer.BadParameter("name one model or more, or say --default.")
    from heliograph.cli.model_pull import pull_default, pull_named

    with clear_failures():
        if names:
            pull_named(names)
        else:
            pull_default()


@app.command()
def remove(name: Reference) -> None:
    """Remove weights from the store.

    Mirror folders and installed Python packages are left alone.
    """
    from heliograph.cli.model_facts import remove_one

    with clear_failures():
        remove_one(name)
