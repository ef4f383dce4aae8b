"""``heliograph cutout``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from heliograph.cli import options
from heliograph.cli.failures import clear_failures

if TYPE_CHECKING:
    from heliograph.cli.answering import Outcome
    from heliograph.cli.pictures import PictureSource
    from heliograph.core.predictions import CutoutOptions


Format: TypeAlias = Literal["png", "webp"]


def cutout(
    pictures: options.Pictures,
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Where cut-outs go; made if it is not there."),
    ],
    model: options.Model = None,
    file_format: Annotated[Format, typer.Option("--format", help="What is written.")] = "png",
    mask: Annotated[bool, typer.Option("--mask", help="Write the alpha matte alone, in grey.")] = False,
    background: Annotated[
        str | None,
        typer.Option(metavar="COLOUR|PICTURE", help="What to put behind: '#rrggbb' or a picture file."),
    ] = None,
    decontaminate: Annotated[
        bool,
        typer.Option(
            help="Give partly transparent pixels the subject's own colour, not the old background's."
        ),
    ] = True,
    server: options.Server = None,
    key: options.Key = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove the background of pictures: DIR/NAME.png for each.

    The model runs in this process unless a server is named. A picture that fails does not stop the
    others; the exit status is 1 then. A file that was asked for is never written over, an older
    cut-out is.
    """
    from heliograph.cli.answering import answer_all, answerer
    from heliograph.cli.cutout_files import make_folder, name_files, write_file
    from heliograph.cli.pictures import find_pictures
    from heliograph.core import errors
    from heliograph.settings import read_settings

    with clear_failures():
        settings = read_settings()
        wanted = replace(
            _options(file_format, mask, background, most=settings.max_picture_bytes),
            decontaminate=decontaminate,
        )
        sources = find_pictures(pictures)
        make_folder(folder)
        targets = name_files(sources, folder, suffix=f".{file_format}")
        failed = False
        with answerer(
            settings, model=model, default=settings.background_model, server=server, key=key
        ) as who:

            def ask(source: PictureSource) -> Path:
                answer = who.cut_out(source.read(most=settings.max_picture_bytes), wanted)
                return write_file(targets[source], answer)

            for source, outcome in answer_all(sources, ask, parallel=who.parallel):
                failed = failed or isinstance(outcome, errors.HeliographError)
                _show(source, outcome, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _options(file_format: Format, mask: bool, background: str | None, *, most: int) -> CutoutOptions:
    from heliograph.core.predictions import CutoutOptions, CutoutOutput, PictureFormat

    return CutoutOptions(
        output=CutoutOutput.MASK if mask else CutoutOutput.CUTOUT,
        format=PictureFormat(file_format),
        background=None if background is None else _background(background, most=most),
    )


def _background(text: str, *, most: int) -> tuple[int, int, int] | bytes:
    from heliograph.cli.pictures import PictureSource
    from heliograph.core import errors
    from heliograph.core.predictions import parse_colour

    colour = parse_colour(text)
    if colour is not None:
        return colour
    try:
        return PictureSource(text, Path(text)).read(most=most)
    except errors.PictureMissing as error:
        raise errors.ParameterInvalid(
            f"--background {errors.excerpt(text)} is neither a colour such as '#ffffff' nor a picture. "
            f"{error.message}"
        ) from None


def _show(source: PictureSource, outcome: Outcome[Path], *, as_json: bool) -> None:
    from heliograph.cli.answering import problem_facts, tell_problem
    from heliograph.cli.output import printable

    if isinstance(outcome, Path):
        if as_json:
            print(json.dumps({"name": source.name, "file": str(outcome)}), flush=True)
        else:
            print(f"{printable(source.name)}: {printable(str(outcome))}", flush=True)
    elif as_json:
        print(json.dumps(problem_facts(source, outcome)), flush=True)
    else:
        tell_problem(source, outcome)
