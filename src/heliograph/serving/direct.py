"""A model in this process, called directly: for the command line, for Python, and as the limit in benchmarks."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.pictures import Float32Array, Picture
from heliograph.core.ports import Engine, Imaging
from heliograph.core.predictions import (
    CutoutOptions,
    EncodedPicture,
    LabelledPicture,
    Prediction,
    Timings,
    most_likely,
)
from heliograph.serving.pipeline import matte_of


class DirectModel:
    """Answers one picture a call, blocking; up to ``streams`` threads may call at once."""

    def __init__(self, spec: ModelSpec, engine: Engine, imaging: Imaging, *, streams: int) -> None:
        self.spec = spec
        self.streams = streams
        self._engine = engine
        self._imaging = imaging

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def classify(self, source: bytes | Picture, *, top: int = 3) -> LabelledPicture:
        """The ``top`` most likely labels of a picture file, or of a picture that is decoded already.

        Raises:
            ModelTaskMismatch: the model does something else.
            PictureError, PictureMissing: the picture cannot be answered.
            EngineFailed: the engine failed.
        """
        self._check_task(Task.CLASSIFICATION)
        timings = Timings()
        started = time.perf_counter()
        picture = self._decode_scaled(source) if isinstance(source, bytes) else source
        tensor = self._imaging.prepare(picture, self.spec.input)
        decoded = time.perf_counter()
        row = self._engine.run(tensor[None])[0]
        inferred = time.perf_counter()
        labels = most_likely(row.reshape(-1), self.spec.labels, meaning=self.spec.output.meaning, top=top)
        timings.decode, timings.infer = decoded - started, inferred - decoded
        timings.encode = time.perf_counter() - inferred
        return LabelledPicture(labels=labels, timings=timings)

    def cut_out(self, source: bytes | Picture, options: CutoutOptions | None = None) -> EncodedPicture:
        """A picture file without its background; errors as `classify`."""
        self._check_task(Task.BACKGROUND_REMOVAL)
        options = options or CutoutOptions()
        timings = Timings()
        started = time.perf_counter()
        picture = self._decode(source) if isinstance(source, bytes) else source
        tensor = self._imaging.prepare(picture, self.spec.input)
        decoded = time.perf_counter()
        row = self._engine.run(tensor[None])[0]
        inferred = time.perf_counter()
        output = self.spec.output
        file = self._imaging.cut_out(picture, matte_of(row, output), options, edges=output.edges)
        timings.decode, timings.infer = decoded - started, inferred - decoded
        timings.encode = time.perf_counter() - inferred
        return EncodedPicture(
            data=file,
            media_type=options.format.media_type,
            width=picture.header.width,
            height=picture.header.height,
            timings=timings,
        )

    def matte(self, picture: Picture) -> Float32Array:
        """The matte as the network gives it, from 0 to 1 and at the network's size; errors as `classify`."""
        self._check_task(Task.BACKGROUND_REMOVAL)
        tensor = self._imaging.prepare(picture, self.spec.input)
        return matte_of(self._engine.run(tensor[None])[0], self.spec.output)

    def predict(self, source: bytes | Picture) -> Prediction:
        """The answer of the model's own task for a picture; errors as `classify`."""
        if self.spec.task is Task.CLASSIFICATION:
            return self.classify(source)
        return self.cut_out(source)

    def _decode(self, data: bytes) -> Picture:
        return self._imaging.decode(data, self._imaging.inspect(data))

    def _decode_scaled(self, data: bytes) -> Picture:
        """As large as classification needs it."""
        header = self._imaging.inspect(data)
        at_least = self._imaging.decode_size(header, self.spec.input)
        return self._imaging.decode(data, header, at_least=at_least)

    def _check_task(self, task: Task) -> None:
        if self.spec.task is not task:
            raise errors.ModelTaskMismatch(
                f"{self.spec.name} is a model for {self.spec.task}, not for {task}."
            )
