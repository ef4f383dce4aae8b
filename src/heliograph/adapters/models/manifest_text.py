"""`ModelSpec` → the text of a ``model.toml`` that says the same; `manifest.read_package` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from heliograph.adapters.models.manifest import FORMAT
from heliograph.core.models import Channels, Edges, Fit, InputSpec, ModelSpec, OutputSpec, SourceSpec, Task

LABELS = "labels.txt"


def manifest_text(spec: ModelSpec) -> str:
    """The text of ``model.toml``; a classifier's labels are in `LABELS`, and the card is in a file of its own."""
    return "\n".join(_lines(spec)) + "\n"


def _lines(spec: ModelSpec) -> Iterator[str]:
    yield f"format = {FORMAT}"
    for key in ("name", "version", "task", "title", "description", "licence", "homepage"):
        value = str(getattr(spec, key))
        if value:
            yield f"{key} = {_text(value)}"
    if spec.task is Task.CLASSIFICATION:
        yield f"labels = {_text(LABELS)}"
    yield f"max_batch = {spec.max_batch}"
    yield from ["", "[input]", *_input(spec.input), "", "[output]", *_output(spec.output)]
    for variant in spec.variants:
        yield from ["", "[[variants]]"]
        yield f"precision = {_text(variant.precision)}"
        yield f"file = {_text(variant.file)}"
        yield f"sha256 = {_text(variant.sha256)}"
        yield f"size_bytes = {variant.size_bytes}"
        for source in variant.sources:
            yield from ["", "[[variants.sources]]", *_source(source, variant.sha256)]
    for row in spec.accuracy:
        yield from ["", "[[accuracy]]", f"metric = {_text(row.metric)}", f"value = {row.value!r}"]
        yield f"data = {_text(row.data)}"


def _input(spec: InputSpec) -> Iterator[str]:
    yield f"width = {spec.width}"
    yield f"height = {spec.height}"
    if spec.channels is not Channels.RGB:
        yield f"channels = {_text(spec.channels)}"
    yield f"layout = {_text(spec.layout)}"
    yield f"fit = {_text(spec.fit)}"
    if spec.fit is Fit.CROP:
        yield f"crop = {spec.crop!r}"
    yield f"interpolation = {_text(spec.interpolation)}"
    yield f"polarity = {_text(spec.polarity)}"
    yield f"full_range = {str(spec.full_range).lower()}"
    yield f"mean = {_numbers(spec.mean)}"
    yield f"std = {_numbers(spec.std)}"


def _output(spec: OutputSpec) -> Iterator[str]:
    yield f"meaning = {_text(spec.meaning)}"
    if spec.name is not None:
        yield f"name = {_text(spec.name)}"
    if spec.stretch:
        yield "stretch = true"
    if spec.edges is not Edges.PLAIN:
        yield f"edges = {_text(spec.edges)}"


def _source(source: SourceSpec, variant_sha256: str) -> Iterator[str]:
    yield f"kind = {_text(source.kind)}"
    for key in ("address", "member", "extra", "convert"):
        value = getattr(source, key)
        if value:
            yield f"{key} = {_text(value)}"
    if source.sha256 != variant_sha256:
        yield f"sha256 = {_text(source.sha256)}"


def _text(value: str) -> str:
    """A basic string of TOML, which is one of JSON but for one character."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _numbers(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(repr(float(value)) for value in values) + "]"
