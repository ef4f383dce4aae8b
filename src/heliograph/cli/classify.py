"""``heliograph classify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from heliograph.cli import options
from heliograph.cli.failures import clear_failures

if TYPE_CHECKING:
    from heliograph.cli.answering import Outcome
    from heliograph.cli.pictures import PictureSource
    from heliograph.core.predictions import Label


def classify(
    pictures: options.Pictures,
    model: options.Model = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many labels a picture.")] = 3,
    server: options.Server = None,
    key: options.Key = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what pictures show, or which character they are.

    The model runs in this process unless a server is named. A picture that fails does not stop the
    others; the exit status is 1 then.
    """
    from heliograph.cli.answering import answer_all, answerer
    from heliograph.cli.pictures import find_pictures
    from heliograph.core import errors
    from heliograph.settings import read_settings

    with clear_failures():
        settings = read_settings()
        sources = find_pictures(pictures)
        failed = False
        with answerer(
            settings, model=model, default=settings.classification_model, server=server, key=key
        ) as who:

            def ask(source: PictureSource) -> list[Label]:
                return list(who.classify(source.read(most=settings.max_picture_bytes), top=top))

            for source, outcome in answer_all(sources, ask, parallel=who.parallel):
                failed = failed or isinstance(outcome, errors.HeliographError)
                _show(source, outcome, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _show(source: PictureSource, outcome: Outcome[list[Label]], *, as_json: bool) -> None:
    from heliograph.cli.answering import problem_facts, tell_problem
    from heliograph.cli.output import printable

    if isinstance(outcome, list):
        if as_json:
            facts = {"name": source.name, "predictions": [asdict(label) for label in outcome]}
            print(json.dumps(facts), flush=True)
        else:
            labels = ", ".join(f"{printable(row.label)} {row.probability:.1%}" for row in outcome)
            print(f"{printable(source.name)}: {labels}", flush=True)
    elif as_json:
        print(json.dumps(problem_facts(source, outcome)), flush=True)
    else:
        tell_problem(source, outcome)
