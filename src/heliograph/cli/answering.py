"""Who answers the pictures of a command, this process or a server, and how all of them are worked through."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeAlias, TypeVar

from heliograph.bootstrap.parts import load_direct
from heliograph.cli.output import printable, terminal_progress
from heliograph.cli.pictures import PictureSource
from heliograph.core import errors
from heliograph.core.predictions import CutoutOptions, Label
from heliograph.serving.direct import DirectModel
from heliograph.settings import Settings

Answer = TypeVar("Answer")
Outcome: TypeAlias = Answer | errors.HeliographError

OF_ONE_PICTURE = (
    errors.PictureError,
    errors.PictureMissing,
    errors.RequestTooLarge,
    errors.RequestTooSlow,
    errors.Overloaded,
    errors.DeadlineExceeded,
    errors.EngineFailed,
)
"""Failures after which the next picture may well be answered. Any other ends the command."""


class Answerer(Protocol):
    """Answers pictures; up to ``parallel`` threads may ask at once. Raises Heliograph's errors."""

    @property
    def parallel(self) -> int:
        """How many pictures are worth asking at the same time."""

    def classify(self, data: bytes, *, top: int) -> Sequence[Label]:
        """The most likely labels, best first."""

    def cut_out(self, data: bytes, options: CutoutOptions) -> bytes:
        """The picture file without its background."""


class InProcess:
    """A model of this process."""

    def __init__(self, model: DirectModel) -> None:
        self._model = model

    @property
    def parallel(self) -> int:
        """As many as the engine has streams."""
        return self._model.streams

    def classify(self, data: bytes, *, top: int) -> Sequence[Label]:
        """The most likely labels, best first."""
        return self._model.classify(data, top=top).labels

    def cut_out(self, data: bytes, options: CutoutOptions) -> bytes:
        """The picture file without its background."""
        return self._model.cut_out(data, options).data


@contextmanager
def answerer(
    settings: Settings, *, model: str | None, default: str, server: str | None, key: str | None
) -> Iterator[Answerer]:
    """Who answers: the server where one is named, else ``model`` or the ``default`` in this process."""
    if server is not None:
        from heliograph.cli.remote import RemoteServer

        with RemoteServer(server, model=model, key=key) as remote:
            yield remote
        return
    with load_direct(model or default, settings) as direct:
        yield InProcess(direct)


def answer_all(
    sources: Sequence[PictureSource], ask: Callable[[PictureSource], Answer], *, parallel: int
) -> Iterator[tuple[PictureSource, Outcome[Answer]]]:
    """Each picture with its answer or what went wrong with it, in order, with a progress bar for many.

    Raises:
        HeliographError: something that is not the fault of one picture; the rest is not asked.
    """
    ended = threading.Event()

    def ask_safely(source: PictureSource) -> Outcome[Answer]:
        if ended.is_set():  # nobody will look at this one
            return errors.HeliographError()
        try:
            return ask(source)
        except OF_ONE_PICTURE as error:
            return error
        except BaseException:
            ended.set()
            raise

    threads = ThreadPoolExecutor(min(parallel, len(sources)), thread_name_prefix="ask")
    try:
        with terminal_progress("{task.completed}/{task.total}", wanted=len(sources) > 1) as progress:
            bar = progress.add_task("pictures", total=len(sources)) if progress else None
            for source, outcome in zip(sources, threads.map(ask_safely, sources), strict=True):
                yield source, outcome
                if progress and bar is not None:
                    progress.advance(bar)
    finally:
        threads.shutdown(cancel_futures=True)


def problem_facts(source: PictureSource, error: errors.HeliographError) -> dict[str, object]:
    """A failed picture as JSON."""
    problem = {"code": error.code, "title": error.title, "detail": error.message}
    return {"name": source.name, "problem": problem}


def tell_problem(source: PictureSource, error: errors.HeliographError) -> None:
    """A failed picture as a line on standard error."""
    print(f"heliograph: {printable(source.name)}: {error.message}", file=sys.stderr, flush=True)
