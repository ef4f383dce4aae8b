"""``heliograph models``: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heliograph.cli.failures import clear_failures
from heliograph.core.models import Channels, Fit, Layout, Meaning, Task

app = typer.Typer(
    name="models",
    help="List models, fetch their weights, add your own, measure them, remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reference = Annotated[str, typer.Argument(metavar="NAME", help="A model, or model-precision.")]
Size = Annotated[
    str | None, typer.Option(metavar="W[xH]", help="Pixels that it takes, if it takes any size.")
]
Preprocessing = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="What it wants of pixels: none (0 to 255), unit, signed, imagenet or caffe."
    ),
]
Mean = Annotated[
    str | None, typer.Option(metavar="N[,N,N]", help="In their place: (value - mean) / std of 0 to 255.")
]
Deviation = Annotated[str | None, typer.Option(metavar="N[,N,N]", help="With --mean.")]
Numbers = Annotated[
    Meaning | None, typer.Option(help="What a classifier's numbers are, if they do not tell.")
]


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
def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=".onnx, .keras, .h5, or u2net.pth and u2netp.pth.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What it is called; like the file.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file with a class a line, in the output's order."),
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What it does, if its output does not tell.")] = None,
    size: Size = None,
    preprocessing: Preprocessing = None,
    mean: Mean = None,
    std: Deviation = None,
    channels: Annotated[Channels | None, typer.Option(help="Order of the colours.")] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="Order of the axes, if the file does not tell.")
    ] = None,
    fit: Annotated[Fit, typer.Option(help="How pictures come to its size.")] = Fit.STRETCH,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which output is meant; the first.")
    ] = None,
    meaning: Numbers = None,
    title: Annotated[str | None, typer.Option(help="One line for people.")] = None,
    licence: Annotated[str, typer.Option(help="The licence of its weights.")] = "not stated",
    pictures: Annotated[
        list[Path] | None, typer.Option("--try", metavar="PICTURE", help="Ask it about a picture too.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of a model of this name.")] = False,
) -> None:
    """Add a model of your own to the store; a server that runs picks it up.

    The file is converted and tried out in a process of its own with limits; no code in it is run.
    """
    from heliograph.bootstrap.describing import Wishes
    from heliograph.cli.model_add import add_one, numbers_of, size_of

    with clear_failures():
        add_one(
            Wishes(
                file=file,
                name=name,
                labels=labels,
                task=task,
                size=size_of(size),
                preset=preprocessing,
                colours=numbers_of(mean, std),
                channels=channels,
                layout=layout,
                fit=fit,
                output=output,
                meaning=meaning,
                title=title,
                licence=licence,
                pictures=pictures or (),
                replace=replace,
            )
        )


@app.command()
def check(
    name: Reference,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A folder of pictures for each label; or pictures with masks: NAME.mask.png.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the confusion matrix to a file.")
    ] = None,
) -> None:
    """Measure how good a model is on pictures of your own.

    A picture that cannot be read is named and counted; the exit status is 1 then.
    """
    from heliograph.cli.model_check import check_one

    with clear_failures():
        every = check_one(name, folder, as_json=as_json, table=table)
    if not every:
        raise typer.Exit(1)


@app.command()
def remove(name: Reference) -> None:
    """Remove weights from the store.

    Mirror folders and installed Python packages are left alone.
    """
    from heliograph.cli.model_facts import remove_one

    with clear_failures():
        remove_one(name)
