"""What a graph must be to serve a model, whichever runtime runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from heliograph.core import errors
from heliograph.core.models import ModelSpec
from heliograph.core.pictures import Float32Array

Dimensions: TypeAlias = tuple[int | None, ...]
"""One number an axis; None where the graph leaves it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """An input or output of a graph.

    ``dimensions`` is None where the graph does not even say how many axes there are.
    """

    name: str
    float32: bool
    dimensions: Dimensions | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How a graph is run: which input, which output (by position), and how many rows at once.

    ``row_shape`` is the shape of one row of the input. A graph that is not ``batched`` takes
    one row at a time.
    """

    input: str
    row_shape: tuple[int, ...]
    output: int
    batched: bool

    def check(self, batch: Float32Array) -> None:
        """Raises `EngineFailed` for a batch that is not float32 rows of ``row_shape``, one or more."""
        if batch.dtype != np.float32 or batch.shape[1:] != self.row_shape or len(batch) < 1:
            raise errors.EngineFailed(
                f"A batch of {batch.dtype} {_show(batch.shape)} does not fit rows of {_show(self.row_shape)}."
            )

    def run(self, batch: Float32Array, infer: Callable[[Float32Array], Float32Array]) -> Float32Array:
        """The rows that ``infer`` answers, asked row by row where the graph wants it so.

        Raises:
            EngineFailed: the answer does not have one row for each row of the batch.
        """
        if self.batched or len(batch) == 1:
            rows = infer(batch)
        else:
            rows = np.concatenate([infer(batch[i : i + 1]) for i in range(len(batch))])
        if rows.ndim < 1 or len(rows) != len(batch):
            raise errors.EngineFailed(f"The graph answered {_show(rows.shape)} to a batch of {len(batch)}.")
        return rows


def signature(model: ModelSpec, inputs: Sequence[Terminal], outputs: Sequence[Terminal]) -> Signature:
    """How to run a graph with these inputs and outputs for ``model``.

    Raises:
        ModelInvalid: the graph is not what the model's spec says.
    """
    if len(inputs) != 1:
        raise errors.ModelInvalid(f"{model.name}: the graph has {len(inputs)} inputs; one is wanted.")
    entry = inputs[0]
    wanted: Dimensions = (None, *model.input.shape)
    if not entry.float32 or not _accepts(entry.dimensions, wanted):
        raise errors.ModelInvalid(
            f"{model.name}: the graph's input is {_describe(entry)}; the spec says float32 {_show(wanted)}."
        )
    index = _find_output(model, outputs)
    answer = outputs[index]
    if not answer.float32 or answer.dimensions == ():
        raise errors.ModelInvalid(
            f"{model.name}: the graph's output {errors.excerpt(answer.name)!r} is {_describe(answer)}; "
            f"float32 (n, …) is wanted."
        )
    batched = _batch_axis(entry) is None and _batch_axis(answer) is None
    return Signature(input=entry.name, row_shape=model.input.shape, output=index, batched=batched)


def try_out(model: ModelSpec, run: Callable[[Float32Array], Float32Array]) -> float:
    """The seconds that one row of zeros takes, which also makes the runtime allocate what it needs.

    Raises:
        ModelInvalid: the graph does not run, or its answer is not one row.
    """
    started = time.perf_counter()
    try:
        run(np.zeros((1, *model.input.shape), np.float32))
    except errors.EngineFailed as error:
        raise errors.ModelInvalid(f"{model.name}: the graph loads but does not run: {error}") from error
    return time.perf_counter() - started


def _find_output(model: ModelSpec, outputs: Sequence[Terminal]) -> int:
    if model.output.name is None and outputs:
        return 0
    for index, terminal in enumerate(outputs):
        if terminal.name == model.output.name:
            return index
    names = errors.excerpt(", ".join(terminal.name for terminal in outputs))
    raise errors.ModelInvalid(f"{model.name}: the graph has no output {model.output.name!r}; it has {names}.")


def _accepts(dimensions: Dimensions | None, wanted: Dimensions) -> bool:
    """Whether an input of these dimensions takes the wanted ones; a fixed batch axis must be 1."""
    if dimensions is None:
        return True
    if len(dimensions) != len(wanted) or dimensions[0] not in {None, 1}:
        return False
    return all(has in {None, want} for has, want in zip(dimensions[1:], wanted[1:], strict=True))


def _batch_axis(terminal: Terminal) -> int | None:
    return terminal.dimensions[0] if terminal.dimensions else None


def _describe(terminal: Terminal) -> str:
    kind = "float32" if terminal.float32 else "not float32"
    return f"{kind} {'of any shape' if terminal.dimensions is None else _show(terminal.dimensions)}"


def _show(dimensions: Sequence[int | None]) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in dimensions) + ")"
