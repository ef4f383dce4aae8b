"""What a look at somebody's model file found, and what a trial run of it said.

Both come out of a process that may have been taken over by the file, so every value is checked.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heliograph.core import errors
from heliograph.core.models import Layout

Text = Annotated[str, Field(max_length=300)]
Length = Annotated[int, Field(ge=0, le=1 << 40)]


class Finding(BaseModel):
    """A part of what a child process reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FoundOutput(Finding):
    """An output of the network: its name, its shape (None: free), and the activation it comes out of, if known."""

    name: Text
    shape: Annotated[tuple[Length | None, ...], Field(max_length=8)]
    activation: Literal["softmax", "sigmoid", "linear", "unknown"] = "unknown"


class Findings(Finding):
    """A network that takes one picture. What is None is not known.

    ``preset`` is the preprocessing that it wants, ``reason`` how that is known; ``architecture`` names a model
    of the catalogue that it is.
    """

    channels: Length | None = None
    height: Length | None = None
    width: Length | None = None
    layout: Layout | None = None
    outputs: Annotated[tuple[FoundOutput, ...], Field(min_length=1, max_length=64)]
    preset: Text | None = None
    reason: Text = ""
    architecture: Text | None = None


class Trial(Finding):
    """What the model answered to a few pictures: the shape of one row, its values, and what they look like.

    ``shares``: every row has values from 0 to 1 that add up to 1. ``labels`` are the best ones for each picture
    that was given. ``seconds`` is for one picture. ``together``: pictures in one batch get the answers that each
    of them gets alone.
    """

    row: Annotated[tuple[Length, ...], Field(max_length=8)]
    low: float
    high: float
    shares: bool
    seconds: float
    together: bool
    labels: Annotated[tuple[tuple[Text, ...], ...], Field(max_length=100)] = ()


class Outcome(Finding):
    """What the child reports: one of them, or the problem."""

    problem: Annotated[str, Field(max_length=4_000)] | None = None
    findings: Findings | None = None
    trial: Trial | None = None


def read_outcome(data: bytes) -> Outcome:
    """The report of a child.

    Raises:
        ModelInvalid: it is none, or it is a problem.
    """
    try:
        outcome = Outcome.model_validate_json(data)
    except ValidationError as error:
        raise errors.ModelInvalid("The process that looked at the file did not say what it found.") from error
    if outcome.problem is not None:
        printable = "".join(sign if sign.isprintable() else " " for sign in outcome.problem)
        raise errors.ModelInvalid(printable)
    return outcome
