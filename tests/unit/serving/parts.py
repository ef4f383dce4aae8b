"""Small parts to build pipelines and served models from: specs, an imaging of one-pixel pictures, a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from heliograph.core import errors
from heliograph.core.jobs import QueueCounts
from heliograph.core.models import Edges, InputSpec, Meaning, ModelSpec, OutputSpec, Task, VariantSpec
from heliograph.core.pictures import Float32Array, Picture, PictureHeader
from heliograph.core.ports import ModelFile, ModelStatus, Progress
from heliograph.core.predictions import CutoutOptions, Timings
from heliograph.core.workers import WorkerInfo

LABELS = ("one", "two", "three")
VARIANT = VariantSpec(precision="fp32", file="none.onnx", sha256="", size_bytes=0)


def model_spec(name: str = "stub", task: Task = Task.CLASSIFICATION, max_batch: int = 4) -> ModelSpec:
    classifies = task is Task.CLASSIFICATION
    return ModelSpec(
        name=name,
        version="1",
        task=task,
        title="",
        description="",
        licence="",
        homepage="",
        input=InputSpec(width=2, height=2, mean=(0.0,) * 3, std=(1.0,) * 3),
        output=OutputSpec(meaning=Meaning.PROBABILITIES if classifies else Meaning.MATTE),
        variants=(VARIANT,),
        labels=LABELS if classifies else (),
        max_batch=max_batch,
    )


class NumberImaging:
    """Reads "pictures" that are a number and a size in pixels (``7 100``); anything else is broken.

    ``on_step`` hears of each method before it does its work, in the thread that does it.
    """

    def __init__(self, on_step: Callable[[str], None] = lambda step: None) -> None:
        self._on_step = on_step

    def inspect(self, data: bytes) -> PictureHeader:
        self._on_step("inspect")
        number, _, pixels = data.decode().partition(" ")
        if not number.isdecimal():
            raise errors.PictureFormatUnknown
        return PictureHeader(format="number", width=int(pixels or 1), height=1)

    def decode(
        self, data: bytes, header: PictureHeader, *, at_least: tuple[int, int] | None = None
    ) -> Picture:
        self._on_step("decode")
        number = int(data.decode().partition(" ")[0])
        if number == 13:
            raise errors.PictureBroken
        return Picture(header=header, rgb=np.full((2, 2, 3), number, dtype=np.uint8))

    def prepare(self, picture: Picture, spec: InputSpec) -> Float32Array:
        self._on_step("prepare")
        return np.full(spec.shape, picture.rgb[0, 0, 0] / 12, dtype=np.float32)

    def cut_out(
        self, picture: Picture, matte: Float32Array, options: CutoutOptions, *, edges: Edges
    ) -> bytes:
        self._on_step("cut_out")
        return bytes(picture.rgb[0, 0])

    def decode_size(self, header: PictureHeader, spec: InputSpec) -> tuple[int, int]:
        return (spec.width, spec.height)


class Tally:
    """Implements `Metrics`: remembers outcomes and drops."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.batches: list[int] = []

    def picture_answered(self, model: str, task: str, outcome: str, timings: Timings) -> None:
        self.outcomes[outcome] += 1

    def batch_ran(self, model: str, size: int, seconds: float) -> None:
        self.batches.append(size)

    def entries_dropped(self, model: str, reason: str, count: int = 1) -> None:
        self.dropped[reason] += count

    def request_refused(self, reason: str) -> None:
        raise AssertionError("use cases do not refuse requests")

    def in_flight(self) -> AbstractContextManager[None]:
        return nullcontext()

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        raise AssertionError("use cases do not answer requests")

    def model_loaded(self, model: str, version: str, precision: str, engine: str) -> None:
        self.loaded.append(model)

    def model_left(self, model: str, version: str, precision: str, engine: str) -> None:
        self.loaded.remove(model)

    def queue_seen(self, counts: QueueCounts | None, workers: Sequence[WorkerInfo]) -> None:
        raise AssertionError("use cases of pictures know no queue")

    def render(self) -> tuple[bytes, str]:
        return b"", ""


class DictStore:
    """Implements `ModelStore` with specs in memory; what is in ``missing`` fails with its error.

    ``marks`` is what `mark` says of each; nothing of those that are not there.
    """

    def __init__(
        self, specs: Sequence[ModelSpec], missing: dict[str, errors.HeliographError] | None = None
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._missing = missing or {}
        self.marks: dict[str, str] = {}

    def own(self) -> Mapping[str, str]:
        return {name: spec.version for name, spec in self._specs.items()}

    def mark(self, reference: str) -> str:
        return self.marks.get(self.spec(reference).name, "")

    def list(self) -> Sequence[ModelStatus]:
        return [ModelStatus(spec=spec, present=("fp32",)) for spec in self._specs.values()]

    def spec(self, reference: str) -> ModelSpec:
        name = reference.removesuffix("-fp32")
        if name not in self._specs:
            raise errors.ModelUnknown
        return self._specs[name]

    def find(self, reference: str) -> ModelFile:
        if reference in self._missing:
            raise self._missing[reference]
        return ModelFile(spec=self.spec(reference), variant=VARIANT, path=Path("none"))

    def pull(self, reference: str, progress: Progress | None = None) -> ModelFile:
        return self.find(reference)

    def remove(self, reference: str) -> int:
        return 0
