"""The parameters of the prediction routes: their names, values and meaning, in one place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from heliograph.api.uploads import BACKGROUND_IMAGE, Upload
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.predictions import CutoutOptions, CutoutOutput, PictureFormat, parse_colour

Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_TOP = 3
MAX_TOP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter as the documentation shows it."""

    name: str
    description: str
    schema: Mapping[str, object]


MODEL = Parameter(
    name="model", description="Model to ask; the task's default without it.", schema={"type": "string"}
)
TOP = Parameter(
    name="top",
    description="How many labels to answer, most likely first.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP},
)
OUTPUT = Parameter(
    name="output",
    description="`cutout`: the picture without its background; `mask`: the alpha matte alone, in grey.",
    schema={"type": "string", "enum": [o.value for o in CutoutOutput], "default": CutoutOutput.CUTOUT.value},
)
FORMAT = Parameter(
    name="format",
    description="File format of the answer.",
    schema={"type": "string", "enum": [f.value for f in PictureFormat], "default": PictureFormat.PNG.value},
)
BACKGROUND = Parameter(
    name="background",
    description="Colour to put behind the subject, as `#rrggbb` or `#rgb`; transparent without it. A picture "
    "to put there goes into the form field `background_image`.",
    schema={"type": "string", "example": "#ffffff"},
)
CLASSIFY = (MODEL, TOP)
REMOVE_BACKGROUND = (MODEL, OUTPUT, FORMAT, BACKGROUND)
PREDICT: dict[Task, tuple[Parameter, ...]] = {
    Task.CLASSIFICATION: (TOP,),
    Task.BACKGROUND_REMOVAL: (OUTPUT, FORMAT, BACKGROUND),
}


def check_known(upload: Upload, known: Collection[Parameter]) -> None:
    """Raises `ParameterInvalid` for a name that the route does not know, so that a typing error is noticed."""
    names = [parameter.name for parameter in known]
    if BACKGROUND in known:
        names.append(BACKGROUND_IMAGE)
    unknown = [name for name in (*upload.parameters, *upload.attachments) if name not in names]
    if unknown:
        raise errors.ParameterInvalid(
            f"There is no parameter {errors.excerpt(unknown[0])!r} here; there are: {', '.join(names)}."
        )


def read_top(parameters: Mapping[str, str]) -> int:
    """How many labels are wanted."""
    text = parameters.get(TOP.name)
    if text is None:
        return DEFAULT_TOP
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MAX_TOP):
        raise errors.ParameterInvalid(f"`top` must be a whole number from 1 to {MAX_TOP}.")
    return int(text)


def read_cutout_options(upload: Upload) -> CutoutOptions:
    """How the cut-out is wanted."""
    background: tuple[int, int, int] | bytes | None = upload.attachments.get(BACKGROUND_IMAGE)
    colour = upload.parameters.get(BACKGROUND.name)
    if colour is not None:
        if background is not None:
            raise errors.ParameterInvalid("Send either `background` or `background_image`, not both.")
        background = _read_colour(colour)
    return CutoutOptions(
        output=_read_choice(upload.parameters, OUTPUT.name, CutoutOutput.CUTOUT),
        format=_read_choice(upload.parameters, FORMAT.name, PictureFormat.PNG),
        background=background,
    )


def _read_choice(parameters: Mapping[str, str], name: str, default: Choice) -> Choice:
    text = parameters.get(name)
    if text is None:
        return default
    choices = type(default)
    try:
        return choices(text.lower())
    except ValueError:
        allowed = ", ".join(f"`{choice.value}`" for choice in choices)
        raise errors.ParameterInvalid(f"`{name}` must be one of {allowed}.") from None


def _read_colour(text: str) -> tuple[int, int, int]:
    colour = parse_colour(text)
    if colour is None:
        raise errors.ParameterInvalid("`background` must be a colour such as `#ffffff`.")
    return colour
