"""``heliograph models add``."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from heliograph.bootstrap.adding import add_model
from heliograph.bootstrap.describing import Wishes
from heliograph.cli.output import printable, size_text
from heliograph.core import errors
from heliograph.settings import read_settings

SIZE = re.compile(r"(\d{1,4})(?:[x×](\d{1,4}))?", re.ASCII)


def add_one(wishes: Wishes) -> None:
    """Adds a model and says what became of it."""
    with _stopped_like_interrupted():
        added = add_model(wishes, read_settings(), ask)
    spec, variant = added.spec, added.spec.variants[0]
    labels = f", {len(spec.labels):,} labels" if spec.labels else ""
    lines = [
        f"{spec.name}: added to {added.folder} ({spec.task.value}{labels}, {spec.input.width} × {spec.input.height} "
        f"{spec.input.channels.value}, {size_text(variant.size_bytes)}, {1000 * added.trial.seconds:.0f} ms a picture)",
        f"preprocessing: {added.preprocessing}",
    ]
    if not added.trial.together:
        lines.append("one picture at a time: with others in a batch, it answers something else or fails")
    for path, labels_found in zip(wishes.pictures, added.trial.labels, strict=False):
        lines.append(f"{path.name}: {', '.join(labels_found)}")
    lines.append(f"asked at /v1/models/{spec.name}/predict")
    print("\n".join(printable(line) for line in lines))


@contextmanager
def _stopped_like_interrupted() -> Iterator[None]:
    """Makes SIGTERM end the block as Ctrl-C does, so that nothing temporary stays behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def ask(question: str, choices: Sequence[tuple[str, str]], *, option: str) -> str:
    """What the person at the terminal chooses; see `bootstrap.describing.Ask`."""
    names = [name for name, _ in choices]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        told = "; ".join(f"{name} ({meaning})" for name, meaning in choices)
        raise errors.ModelInvalid(f"{question} {option} says it: {told}.")
    print(question, file=sys.stderr)
    for number, (name, meaning) in enumerate(choices, start=1):
        print(f"  {number}  {name}: {meaning}", file=sys.stderr)
    while True:
        print(f"1 to {len(names)}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise errors.ModelInvalid(f"Nothing was chosen; {option} says it too.")
        answer = line.strip()
        if answer in names:
            return answer
        if answer.isascii() and answer.isdigit() and 1 <= int(answer[:9]) <= len(names):
            return names[int(answer) - 1]


def size_of(text: str | None) -> tuple[int, int] | None:
    """Width and height of ``224`` or ``320x240``.

    Raises:
        ModelInvalid: it is neither.
    """
    if text is None:
        return None
    match = SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
        raise errors.ModelInvalid(
            f"--size {errors.excerpt(text)}: such as 224, or 320x240 for width and height."
        )
    return int(match[1]), int(match[2] or match[1])


def numbers_of(mean: str | None, std: str | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The numbers of ``--mean`` and ``--std``, 0 and 1 where only one is given; None where neither is.

    Raises:
        ModelInvalid: they are not numbers.
    """
    if mean is None and std is None:
        return None
    try:
        return tuple(map(float, (mean or "0").split(","))), tuple(map(float, (std or "1").split(",")))
    except ValueError:
        raise errors.ModelInvalid(
            "--mean and --std want numbers with commas between them, such as 127.5."
        ) from None
