"""The parameters of the routes: their names, values and meaning, in one place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from starlette.datastructures import Headers, QueryParams

from heliograph.api.uploads import BACKGROUND_IMAGE, Upload, once_each
from heliograph.core import errors
from heliograph.core.fleet import MAX_WORKERS
from heliograph.core.jobs import JobState
from heliograph.core.models import Task
from heliograph.core.predictions import CutoutOptions, CutoutOutput, PictureFormat, parse_colour
from heliograph.serving.answers import DEFAULT_TOP, Wanted

Choice = TypeVar("Choice", bound=StrEnum)

MAX_TOP = 1000
DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_OFFSET = 1_000_000
MAX_KEY_CHARACTERS = 255
KEY_PATTERN = re.compile(rf"[!-~]{{1,{MAX_KEY_CHARACTERS}}}")
BOUNDS = ("minimum", "maximum", "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter as the documentation shows it; ``place`` is ``query``, ``header`` or ``body``."""

    name: str
    description: str
    schema: Mapping[str, object]
    place: str = "query"


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
DECONTAMINATE = Parameter(
    name="decontaminate",
    description="Whether partly transparent pixels get the subject's own colour instead of its mixture with the old "
    "background. Masks have no colours.",
    schema={"type": "boolean", "default": CutoutOptions().decontaminate},
)
CLASSIFY = (MODEL, TOP)
REMOVE_BACKGROUND = (MODEL, OUTPUT, FORMAT, BACKGROUND, DECONTAMINATE)
JOB_MODEL = Parameter(
    name="model",
    description="Model to ask; the one for classification without it.",
    schema={"type": "string"},
)
IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    description="Stands for this request for a day: sent again with it, nothing is taken in twice.",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[!-~]+$"},
    place="header",
)
LIMIT = Parameter(
    name="limit",
    description="How many at most.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
CURSOR = Parameter(
    name="cursor", description="Where the page begins: `next` of the one before.", schema={"type": "string"}
)
STATE = Parameter(
    name="state",
    description="Only jobs in this state. A request looks at a thousand jobs or so: go on with `next`, also from a "
    "page that is not full.",
    schema={"type": "string", "enum": [state.value for state in JobState]},
)
LIST = (STATE, CURSOR, LIMIT)
OFFSET = Parameter(
    name="offset",
    description="How many to leave out.",
    schema={"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
)
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    description="The last event that was heard: goes on after it.",
    schema={"type": "string", "example": "1767225600000-0"},
    place="header",
)
LAST_EVENT_ID_QUERY = Parameter(
    name="last_event_id",
    description="The same, for clients that cannot set the header.",
    schema={"type": "string"},
)
MINIMUM, MAXIMUM = (
    Parameter(
        name=name,
        description=f"How many workers there are at {which}.",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_WORKERS},
        place="body",
    )
    for name, which in (("min", "least"), ("max", "most"))
)
SCALE = (MINIMUM, MAXIMUM)
KEY = Parameter(
    name="key",
    description="The API key.",
    schema={"type": "string", "format": "password", "example": "hg_…"},
    place="body",
)
PREDICT: dict[Task, tuple[Parameter, ...]] = {
    Task.CLASSIFICATION: (TOP,),
    Task.BACKGROUND_REMOVAL: (OUTPUT, FORMAT, BACKGROUND, DECONTAMINATE),
}
SUBMIT: dict[Task, tuple[Parameter, ...]] = {task: (JOB_MODEL, *own) for task, own in PREDICT.items()}
JOBS = (JOB_MODEL, TOP, OUTPUT, FORMAT, BACKGROUND, DECONTAMINATE)


def check_known(upload: Upload, known: Collection[Parameter]) -> None:
    """Raises `ParameterInvalid` for a name that the route does not know, so that a typing error is noticed."""
    names = [parameter.name for parameter in known]
    if BACKGROUND in known:
        names.append(BACKGROUND_IMAGE)
    _check_names((*upload.parameters, *upload.attachments), names)


def read_query(query: QueryParams, known: Collection[Parameter]) -> Mapping[str, str]:
    """What a query says, or `ParameterInvalid` for a name in it that is there twice or that the route does not know."""
    return check_query(once_each(query.multi_items()), known)


def check_query(given: Mapping[str, str], known: Collection[Parameter]) -> Mapping[str, str]:
    """What was given, or `ParameterInvalid` for a name in it that the route does not know."""
    _check_names(given, [parameter.name for parameter in known])
    return given


def _check_names(given: Iterable[str], names: Collection[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise errors.ParameterInvalid(
            f"There is no parameter {errors.excerpt(unknown[0])!r} here; there are: {', '.join(names)}."
        )


def read_top(parameters: Mapping[str, str]) -> int:
    """How many labels are wanted."""
    return read_number(parameters, TOP)


def read_number(parameters: Mapping[str, str], parameter: Parameter) -> int:
    """A whole number within the bounds of its schema, or its default.

    Raises:
        ParameterInvalid: it is something else, or it is missing and has no default.
    """
    text = parameters.get(parameter.name)
    bounds = {name: int(str(parameter.schema[name])) for name in BOUNDS if name in parameter.schema}
    if text is None and "default" in bounds:
        return bounds["default"]
    least, most = bounds["minimum"], bounds["maximum"]
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if text is None or not is_number or not least <= int(text) <= most:
        raise errors.ParameterInvalid(f"`{parameter.name}` must be a whole number from {least} to {most}.")
    return int(text)


def read_state(parameters: Mapping[str, str]) -> JobState | None:
    """The state of jobs that is asked for; None for any."""
    return _read_choice(parameters, STATE.name, JobState.QUEUED) if STATE.name in parameters else None


def read_wanted(task: Task, upload: Upload) -> Wanted:
    """How the answers of a model for ``task`` are wanted."""
    if task is Task.CLASSIFICATION:
        return Wanted(top=read_top(upload.parameters))
    return Wanted(cutout=read_cutout_options(upload))


def read_idempotency_key(headers: Headers) -> str:
    """The key that stands for a request; "" for none.

    Raises:
        ParameterInvalid: it is not 1 to 255 visible ASCII characters, or there are several.
    """
    keys = headers.getlist(IDEMPOTENCY_KEY.name)
    if not keys:
        return ""
    if len(keys) > 1 or not KEY_PATTERN.fullmatch(keys[0]):
        raise errors.ParameterInvalid(
            f"`{IDEMPOTENCY_KEY.name}` must be 1 to {MAX_KEY_CHARACTERS} visible ASCII characters, sent once."
        )
    return keys[0]


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
        decontaminate=_read_flag(
            upload.parameters, DECONTAMINATE.name, default=CutoutOptions().decontaminate
        ),
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


def _read_flag(parameters: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = parameters.get(name, str(default)).lower()
    if text not in ("true", "false"):
        raise errors.ParameterInvalid(f"`{name}` must be `true` or `false`.")
    return text == "true"


def _read_colour(text: str) -> tuple[int, int, int]:
    colour = parse_colour(text)
    if colour is None:
        raise errors.ParameterInvalid("`background` must be a colour such as `#ffffff`.")
    return colour
