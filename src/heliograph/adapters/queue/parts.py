"""How much one call carries, so that it takes a server no long time and has an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

PART_BYTES = 8_000_000
SLOWEST_BYTES_PER_SECOND = 1_000_000
"""Of a connection that works; what carries more has more time."""


def parts(sizes: Sequence[int]) -> Iterator[slice]:
    """The parts of a list whose things have these sizes: each of at most `PART_BYTES`, or one thing."""
    first, carried = 0, 0
    for place, size in enumerate(sizes):
        if place > first and carried + size > PART_BYTES:
            yield slice(first, place)
            first, carried = place, 0
        carried += size
    if sizes:
        yield slice(first, len(sizes))


def seconds_for(arguments: Sequence[object], answer_bytes: int = 0) -> float:
    """How much longer than others a call may take that carries these arguments and such an answer."""
    carried = sum(len(argument) for argument in arguments if isinstance(argument, bytes))
    return (carried + answer_bytes) / SLOWEST_BYTES_PER_SECOND
