"""What a model is: its task, how it wants its input, what its output means, where its weights are.

A model package is a folder with ``model.toml``, its weights, ``labels.txt`` and a
``README.md`` (the model card). These values are what ``model.toml`` says; nothing about
a single model is written in Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.core import errors

NAME_PATTERN = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*", re.ASCII)
NAME_CHARACTERS = 64


class Task(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    BACKGROUND_REMOVAL = "background-removal"


class Channels(StrEnum):
    """The channel order of the tensor: three colours, or one of luminance."""

    RGB = "RGB"
    BGR = "BGR"
    LUMINANCE = "L"


class Layout(StrEnum):
    """The axis order of the tensor: N batch, C channels, H height, W width."""

    NCHW = "NCHW"
    NHWC = "NHWC"


class Fit(StrEnum):
    """How a picture of any shape comes to the input's shape."""

    CROP = "crop"
    """The centre of the input's aspect ratio, ``crop`` of the largest possible one."""
    STRETCH = "stretch"
    """The whole picture, each side scaled on its own."""
    PAD = "pad"
    """The whole picture, with a border of its background colour."""


class Interpolation(StrEnum):
    """How pixels are computed when a picture is scaled."""

    LINEAR = "linear"
    """Bilinear, half-pixel centres, no anti-aliasing."""
    AREA = "area"
    """Area averaging when shrinking, bilinear when enlarging."""
    LANCZOS = "lanczos"
    """Lanczos with anti-aliasing."""


class Polarity(StrEnum):
    """Whether the sign is lighter than its ground."""

    AS_IS = "as-is"
    LIGHT_ON_DARK = "light-on-dark"
    """Invert the picture if its border is lighter than the middle of the range."""


class Meaning(StrEnum):
    """What the numbers that come out of a network are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    MATTE = "matte"
    """An alpha matte from 0 to 1."""


class Edges(StrEnum):
    """How a matte comes to the size of its picture."""

    PLAIN = "plain"
    """It is scaled."""
    GUIDED = "guided"
    """Its edges go where the picture has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How a picture becomes the tensor that the network wants.

    In this order: luminance or colour order, polarity, fit and scaling to ``width`` ×
    ``height``, ``full_range`` (the brightest value becomes 255; a black picture stays black),
    then ``(value - mean) / std`` a channel, with values from 0 to 255.
    """

    width: int
    height: int
    channels: Channels = Channels.RGB
    layout: Layout = Layout.NCHW
    fit: Fit = Fit.STRETCH
    crop: float = 1.0
    interpolation: Interpolation = Interpolation.LINEAR
    polarity: Polarity = Polarity.AS_IS
    full_range: bool = False
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def depth(self) -> int:
        """How many channels the tensor has."""
        return 1 if self.channels is Channels.LUMINANCE else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """The tensor's shape without the batch axis."""
        if self.layout is Layout.NCHW:
            return (self.depth, self.height, self.width)
        return (self.height, self.width, self.depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """Which output of the graph is meant and what it says.

    ``name`` None is the graph's first output. ``stretch`` maps the smallest and largest
    value of a matte to 0 and 1 (a constant one is left alone), ``edges`` is how it comes to the picture's size.
    """

    meaning: Meaning
    name: str | None = None
    stretch: bool = False
    edges: Edges = Edges.PLAIN


class SourceKind(StrEnum):
    """Where a file can be had."""

    BUNDLED = "bundled"
    """In the package folder itself."""
    PYTHON_PACKAGE = "python-package"
    """A file inside a package of the Python package index."""
    DOWNLOAD = "download"
    """A release file behind an https address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One place where a variant's file can be had.

    ``sha256`` is that of the file as it is there; ``convert`` names the conversion that
    makes the variant's file of it, or is None where they are the same file.
    """

    kind: SourceKind
    sha256: str
    address: str = ""
    member: str = ""
    extra: str = ""
    convert: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """One weights file of a model for one precision."""

    precision: str
    file: str
    sha256: str
    size_bytes: int
    sources: tuple[SourceSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """One number as measured: what, on which data."""

    metric: str
    value: float
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model package, as its ``model.toml`` describes it.

    ``labels`` has one name a class, in the order of the output; a background remover has
    none. ``variants`` are in order of preference. ``max_batch`` is the largest batch that
    pays on a CPU, or that the network answers rightly.
    """

    name: str
    version: str
    task: Task
    title: str
    description: str
    licence: str
    homepage: str
    input: InputSpec
    output: OutputSpec
    variants: tuple[VariantSpec, ...]
    labels: tuple[str, ...] = ()
    max_batch: int = 4
    accuracy: tuple[Accuracy, ...] = ()
    card: str = field(default="", repr=False)

    def variant(self, precision: str) -> VariantSpec | None:
        """The variant of this precision, or None."""
        return next((v for v in self.variants if v.precision == precision), None)


def check_name(name: str) -> str:
    """``name`` if it can name a model: a-z, 0-9, dots and hyphens inside, 64 characters at most.

    Raises:
        ModelUnknown: it cannot, so there is no such model.
    """
    if len(name) > NAME_CHARACTERS or not NAME_PATTERN.fullmatch(name):
        raise errors.ModelUnknown(f"{errors.excerpt(name)!r} is not a model name.")
    return name
