"""The way of one picture through one model: decode, batch, infer, encode; each phase timed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from heliograph.core import errors
from heliograph.core.models import ModelSpec, OutputSpec
from heliograph.core.pictures import Float32Array, Picture, PictureHeader
from heliograph.core.ports import Clock, Imaging, Metrics
from heliograph.core.predictions import (
    CutoutOptions,
    EncodedPicture,
    LabelledPicture,
    Timings,
    most_likely,
)
from heliograph.serving.admission import PixelBudget
from heliograph.serving.batcher import Batcher
from heliograph.serving.threads import WorkerThreads


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every pipeline of a process shares: codec, threads for it, memory bound, clock, metrics."""

    imaging: Imaging
    threads: WorkerThreads
    pixels: PixelBudget
    clock: Clock
    metrics: Metrics


@dataclass(slots=True, eq=False)
class _Prepared:
    """A picture on its way to the engine. ``pixels`` of the budget are held until `_release`."""

    tensor: Float32Array
    picture: Picture | None
    pixels: int
    decode_seconds: float

    def hand_over(self) -> Picture:
        """The picture, which is not held here any more."""
        picture, self.picture = self.picture, None
        if picture is None:
            raise RuntimeError("This is a bug: a cut-out was prepared without its picture.")
        return picture


@dataclass(slots=True, eq=False)
class _Deferred:
    """The budget was used up: decode again once ``pixels`` are free."""

    header: PictureHeader
    pixels: int


class Pipeline:
    """Answers single pictures with one model."""

    def __init__(self, spec: ModelSpec, batcher: Batcher, workshop: Workshop) -> None:
        self.spec = spec
        self._batcher = batcher
        self._shop = workshop

    async def classify(self, data: bytes, *, top: int, deadline: float) -> LabelledPicture:
        """The ``top`` most likely labels of a picture.

        Args:
            data: the picture file.
            top: how many labels are wanted.
            deadline: in the clock's seconds.

        Raises:
            PictureError, PictureMissing: the picture cannot be answered.
            CapacityError, DeadlineExceeded, EngineFailed: see `Batcher.submit`.
        """
        timings = Timings()
        with _Outcome(self._shop.metrics, self.spec, timings):
            async with _until(deadline, self._shop.clock, errors.Overloaded):
                prepared = await self._prepare(data, None, timings, deadline)
            reply = await self._batcher.submit(prepared.tensor, deadline=deadline)
            timings.queue += reply.queue_seconds
            timings.infer = reply.infer_seconds
            started = self._shop.clock()
            labels = most_likely(
                reply.row.reshape(-1), self.spec.labels, meaning=self.spec.output.meaning, top=top
            )
            timings.encode = self._shop.clock() - started
            return LabelledPicture(labels=labels, timings=timings)

    async def cut_out(self, data: bytes, options: CutoutOptions, *, deadline: float) -> EncodedPicture:
        """The picture without its background, or what ``options`` ask for.

        Args and errors as `classify`; the background picture of the options may be refused like the picture.
        """
        timings = Timings()
        with _Outcome(self._shop.metrics, self.spec, timings):
            async with _until(deadline, self._shop.clock, errors.Overloaded):
                prepared = await self._prepare(data, options, timings, deadline)
            try:
                reply = await self._batcher.submit(prepared.tensor, deadline=deadline)
            except BaseException:
                self._release(prepared)
                raise
            timings.queue += reply.queue_seconds
            timings.infer = reply.infer_seconds
            async with _until(deadline, self._shop.clock, errors.DeadlineExceeded):
                return await self._encode(prepared, reply.row, options, timings)

    async def _encode(
        self, prepared: _Prepared, row: Float32Array, options: CutoutOptions, timings: Timings
    ) -> EncodedPicture:
        """The answer. The thread gives the pixels back: cancelled, it still has the picture until it ends."""
        picture = prepared.hand_over()
        header = picture.header
        pictures = [picture]
        del picture  # the codec shall be the last to hold it, so that it can let go of it

        def encode() -> tuple[bytes, float]:
            started = self._shop.clock()
            try:
                matte = matte_of(row, self.spec.output)
                edges = self.spec.output.edges
                encoded = self._shop.imaging.cut_out(pictures.pop(), matte, options, edges=edges)
            finally:
                self._release(prepared)
            return encoded, self._shop.clock() - started

        handed_over = self._shop.clock()
        file, timings.encode = await self._shop.threads.run(
            encode, not_started=partial(self._release, prepared)
        )
        timings.queue += self._shop.clock() - handed_over - timings.encode
        return EncodedPicture(
            data=file,
            media_type=options.format.media_type,
            width=header.width,
            height=header.height,
            timings=timings,
        )

    async def _prepare(
        self, data: bytes, options: CutoutOptions | None, timings: Timings, deadline: float
    ) -> _Prepared:
        """The tensor of a picture; with ``options`` also the picture, whose pixels stay taken."""
        self._batcher.check_capacity(deadline)
        handed_over = self._shop.clock()
        outcome = await self._shop.threads.run(lambda: self._open(data, options), undo=self._release)
        if isinstance(outcome, _Deferred):
            deferred = outcome
            await self._shop.pixels.take(deferred.pixels)
            outcome = await self._shop.threads.run(
                lambda: self._decode(data, deferred.header, deferred.pixels, keep=options is not None),
                undo=self._release,
                not_started=lambda: self._shop.pixels.give_back(deferred.pixels),
            )
        timings.decode = outcome.decode_seconds
        timings.queue = self._shop.clock() - handed_over - outcome.decode_seconds
        return outcome

    def _open(self, data: bytes, options: CutoutOptions | None) -> _Prepared | _Deferred:
        """In a thread: looks at the header, and decodes if there is room for the pixels now."""
        started = self._shop.clock()
        header = self._shop.imaging.inspect(data)
        pixels = header.pixels
        if options is not None and isinstance(options.background, bytes):
            pixels += self._shop.imaging.inspect(options.background).pixels
        if not self._shop.pixels.try_take(pixels):
            return _Deferred(header, pixels)
        prepared = self._decode(data, header, pixels, keep=options is not None)
        prepared.decode_seconds = self._shop.clock() - started
        return prepared

    def _decode(self, data: bytes, header: PictureHeader, pixels: int, *, keep: bool) -> _Prepared:
        """In a thread, with ``pixels`` taken: decodes and makes the tensor."""
        started = self._shop.clock()
        imaging = self._shop.imaging
        kept = False
        try:
            at_least = None if keep else imaging.decode_size(header, self.spec.input)
            picture = imaging.decode(data, header, at_least=at_least)
            tensor = imaging.prepare(picture, self.spec.input)
            seconds = self._shop.clock() - started
            kept = keep
            return _Prepared(tensor, picture if keep else None, pixels if keep else 0, seconds)
        finally:
            if not kept:
                self._shop.pixels.give_back(pixels)

    def _release(self, prepared: _Prepared | _Deferred) -> None:
        if isinstance(prepared, _Prepared) and prepared.pixels:
            pixels, prepared.pixels = prepared.pixels, 0
            prepared.picture = None
            self._shop.pixels.give_back(pixels)


def matte_of(row: Float32Array, output: OutputSpec) -> Float32Array:
    """The (height, width) matte from 0 to 1 that one output row holds."""
    matte = row.reshape(row.shape[-2:])
    if output.stretch:
        low, high = float(matte.min()), float(matte.max())
        if high > low:
            matte = (matte - low) * np.float32(1.0 / (high - low))
    return np.clip(matte, 0.0, 1.0)


class _Outcome:
    """Counts one picture under ``ok`` or its error's code when the context ends."""

    def __init__(self, metrics: Metrics, spec: ModelSpec, timings: Timings) -> None:
        self._metrics = metrics
        self._spec = spec
        self._timings = timings

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            outcome = "ok"
        elif isinstance(error, errors.HeliographError):
            outcome = error.code
        else:
            outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"
        self._metrics.picture_answered(self._spec.name, self._spec.task.value, outcome, self._timings)


@asynccontextmanager
async def _until(deadline: float, clock: Clock, error: type[errors.HeliographError]) -> AsyncIterator[None]:
    """Ends what runs inside with an error at a deadline in the clock's seconds.

    Before the engine that is `Overloaded`: nothing but other pictures can have held this one up so long.
    """
    try:
        async with asyncio.timeout(max(0.0, deadline - clock())):
            yield
    except TimeoutError:
        raise error from None
