"""What a new package says of its model: from what was found in the file, what the person wishes, and questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from heliograph.adapters.models.catalogue import Catalogue, shipped_folder
from heliograph.adapters.models.findings import Findings, FoundOutput
from heliograph.adapters.models.manifest import SIDE_PIXELS
from heliograph.adapters.models.preprocessing import PRESETS, Colours
from heliograph.core import errors
from heliograph.core.models import (
    Channels,
    Fit,
    InputSpec,
    Interpolation,
    Layout,
    Meaning,
    ModelSpec,
    OutputSpec,
    Task,
    VariantSpec,
)

LICENCE_UNKNOWN = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person says of a model file; what is None is found out or asked."""

    file: Path
    name: str | None = None
    labels: Path | None = None
    task: Task | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    preset: str | None = None
    colours: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and deviation of each channel, of values from 0 to 255."""
    channels: Channels | None = None
    layout: Layout | None = None
    fit: Fit = Fit.STRETCH
    output: str | None = None
    meaning: Meaning | None = None
    """What a classifier's numbers are."""
    title: str | None = None
    licence: str = LICENCE_UNKNOWN
    pictures: Sequence[Path] = ()
    """Pictures that it is tried with."""
    replace: bool = False


class Ask(Protocol):
    """Asks a person."""

    def __call__(self, question: str, choices: Sequence[tuple[str, str]], *, option: str) -> str:
        """One of the choices, each with what it means.

        Raises:
            ModelInvalid: nobody is there to be asked; the message names ``option`` and the choices.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The description, and what is done to the pictures and why."""

    spec: ModelSpec
    preprocessing: str


def describe(
    findings: Findings, wishes: Wishes, *, name: str, labels: tuple[str, ...], variant: VariantSpec, ask: Ask
) -> Described:
    """What the package says.

    Raises:
        ModelInvalid: what was said does not fit what was found, or something is missing and nobody can be asked.
    """
    if findings.architecture is not None:
        return _known(findings.architecture, wishes, name=name, variant=variant)
    output = _output(findings, wishes)
    task = wishes.task or _task(output, ask)
    _check_labels(task, output, labels)
    if wishes.meaning is not None and (wishes.meaning is Meaning.MATTE) == (task is Task.CLASSIFICATION):
        raise errors.ModelInvalid("--meaning is logits or probabilities, of a classifier; leave it out.")
    layout, depth = _layout(findings, wishes, ask)
    width, height = _size(findings, wishes)
    colours, preprocessing = _colours(findings, wishes, depth, ask)
    spec = ModelSpec(
        name=name,
        version="1",
        task=task,
        title=wishes.title or name,
        description=f"Added from {errors.excerpt(wishes.file.name)}.",
        licence=wishes.licence,
        homepage="",
        labels=labels,
        input=InputSpec(
            width=width,
            height=height,
            channels=colours.channels,
            layout=layout,
            fit=wishes.fit,
            interpolation=Interpolation.LINEAR,
            mean=colours.mean,
            std=colours.std,
        ),
        output=OutputSpec(meaning=_meaning(task, output), name=wishes.output),
        variants=(variant,),
    )
    return Described(spec=spec, preprocessing=preprocessing)


def card_text(spec: ModelSpec, file: str, preprocessing: str) -> str:
    """The model card: what is known, and what its owner should add; whatever its values say, each is in one line."""
    size = f"{spec.input.width} × {spec.input.height} {spec.input.channels.value}"
    lines = [
        f"# {spec.title}",
        "",
        f"Added by `heliograph models add` from `{file}`.",
        "",
        f"- task: {spec.task.value}" + (f", {len(spec.labels):,} classes" if spec.labels else ""),
        f"- input: {size}, {spec.input.fit.value}",
        f"- preprocessing: {preprocessing}",
        f"- licence: {spec.licence}",
        "",
        "Say here what it was trained on and where it fails. "
        f"`heliograph models check {spec.name} FOLDER` measures it.",
    ]
    return "".join("".join(c if c.isprintable() else " " for c in line) + "\n" for line in lines)


def _known(architecture: str, wishes: Wishes, *, name: str, variant: VariantSpec) -> Described:
    """A model whose description comes with Heliograph."""
    shipped = Catalogue(shipped_folder()).resolve(architecture)[0].spec
    said = {
        "--labels": wishes.labels,
        "--task": wishes.task if wishes.task is not shipped.task else None,
        "--size": wishes.size,
        "--preprocessing": wishes.preset,
        "--mean": wishes.colours,
        "--std": wishes.colours,
        "--channels": wishes.channels,
        "--layout": wishes.layout,
        "--fit": wishes.fit if wishes.fit is not Fit.STRETCH else None,
        "--output": wishes.output,
        "--meaning": wishes.meaning,
    }
    needless = [option for option, value in said.items() if value is not None]
    if needless:
        raise errors.ModelInvalid(
            f"These are weights of {shipped.title}, of which all of that is known: "
            f"leave {', '.join(needless)} out."
        )
    spec = replace(
        shipped, name=name, title=wishes.title or shipped.title, variants=(variant,), accuracy=(), labels=()
    )
    if wishes.licence != LICENCE_UNKNOWN:
        spec = replace(spec, licence=wishes.licence)
    return Described(spec=spec, preprocessing=f"as {shipped.title} wants it (its weights were recognised)")


def _output(findings: Findings, wishes: Wishes) -> FoundOutput:
    if wishes.output is None:
        return findings.outputs[0]
    for output in findings.outputs:
        if output.name == wishes.output:
            return output
    names = ", ".join(output.name for output in findings.outputs)
    raise errors.ModelInvalid(f"The model has no output {wishes.output!r}; it has: {errors.excerpt(names)}.")


def _task(output: FoundOutput, ask: Ask) -> Task:
    lengths = output.shape[1:]
    if lengths and sum(length != 1 for length in lengths) <= 1:
        return Task.CLASSIFICATION
    if len(output.shape) >= 3 and 1 in lengths:
        return Task.BACKGROUND_REMOVAL
    choices = [
        (Task.CLASSIFICATION.value, "a number for each label"),
        (Task.BACKGROUND_REMOVAL.value, "an alpha matte"),
    ]
    return Task(
        ask(
            f"The model answers with values of shape {output.shape}. What does it do?",
            choices,
            option="--task",
        )
    )


def _check_labels(task: Task, output: FoundOutput, labels: tuple[str, ...]) -> None:
    if task is not Task.CLASSIFICATION:
        if labels:
            raise errors.ModelInvalid("A background remover has no labels: leave --labels out.")
        return
    lengths = [length for length in output.shape[1:] if length != 1]
    classes = None if not output.shape or None in lengths else math.prod(filter(None, lengths))
    if classes == 1:
        raise errors.ModelInvalid(
            "The model answers with one number that comes neither out of a sigmoid nor straight out of a layer "
            "without activation: end it with a sigmoid, or with a number for each of two classes."
        )
    if not labels:
        raise errors.ModelInvalid(
            f"The model tells {'some' if classes is None else classes} classes apart: "
            "--labels FILE names them, one a line."
        )
    if classes is not None and classes != len(labels):
        raise errors.ModelInvalid(
            f"The model has {classes} classes, and the labels file has {len(labels)}: it must name each class, "
            "one a line, in the order of the output."
        )


def _meaning(task: Task, output: FoundOutput) -> Meaning:
    """What comes out, where the file says so; the trial run tells it else."""
    if task is Task.BACKGROUND_REMOVAL:
        return Meaning.MATTE
    return Meaning.PROBABILITIES if output.activation in ("softmax", "sigmoid") else Meaning.LOGITS


def _layout(findings: Findings, wishes: Wishes, ask: Ask) -> tuple[Layout, int]:
    layout = findings.layout or wishes.layout
    if wishes.layout is not None and findings.layout not in (None, wishes.layout):
        raise errors.ModelInvalid(f"The model takes {findings.layout}, not {wishes.layout}.")
    if layout is None:
        choices = [
            ("NCHW", "channels before height and width: PyTorch"),
            ("NHWC", "channels last: TensorFlow"),
        ]
        layout = Layout(
            ask("The model does not say in which order its axes are.", choices, option="--layout")
        )
    depth = findings.channels or (1 if wishes.channels is Channels.LUMINANCE else 3)
    if depth not in (1, 3):
        raise errors.ModelInvalid(f"The model takes pictures of {depth} channels; 1 or 3 can be served.")
    return layout, depth


def _size(findings: Findings, wishes: Wishes) -> tuple[int, int]:
    found = (findings.width, findings.height)
    fixed = f"{found[0] or 'any'} × {found[1] or 'any'} pixels"
    if any(length is not None and not 1 <= length <= SIDE_PIXELS for length in found):
        raise errors.ModelInvalid(f"The model takes {fixed}; at most {SIDE_PIXELS:,} a side can be served.")
    if wishes.size is None:
        if found[0] is None or found[1] is None:
            raise errors.ModelInvalid(
                "The model takes pictures of any size: --size 224 (or WIDTHxHEIGHT) says which it was trained with."
            )
        return found[0], found[1]
    if any(have not in (None, want) for have, want in zip(found, wishes.size, strict=True)):
        raise errors.ModelInvalid(f"The file fixes the model's size at {fixed}; leave --size out.")
    if max(wishes.size) > SIDE_PIXELS:
        raise errors.ModelInvalid(f"--size is at most {SIDE_PIXELS:,} pixels a side.")
    return wishes.size


def _colours(findings: Findings, wishes: Wishes, depth: int, ask: Ask) -> tuple[Colours, str]:
    """What is done to the colours, and how that is known."""
    if wishes.colours is not None:
        mean, std = (values * depth if len(values) == 1 else values for values in wishes.colours)
        finite = all(map(math.isfinite, (*mean, *std)))
        if len(mean) != depth or len(std) != depth or not finite or min(std) <= 0:
            wanted = "a number" if depth == 1 else f"one number or {depth}"
            raise errors.ModelInvalid(f"--mean and --std want {wanted} each, those of --std above 0.")
        channels = wishes.channels or (Channels.RGB if depth == 3 else Channels.LUMINANCE)
        return Colours(channels, mean, std), "as --mean and --std say"
    preset, reason = wishes.preset, "as --preprocessing says"
    if preset is None and findings.preset is not None:
        preset, reason = findings.preset, findings.reason
    if preset is None:
        choices = [(key, meaning) for key, (_, meaning) in PRESETS.items()]
        preset, reason = (
            ask("What does the model want of its pixels?", choices, option="--preprocessing"),
            "as you said",
        )
    if preset not in PRESETS:
        raise errors.ModelInvalid(f"There is no preprocessing {preset!r}; there are {', '.join(PRESETS)}.")
    colours, meaning = PRESETS[preset]
    colours = colours.for_depth(depth)
    if wishes.channels is not None and depth == 3:
        colours = replace(colours, channels=wishes.channels)
    return colours, f"{preset}, {meaning} ({reason})"
