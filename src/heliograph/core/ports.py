"""The seams: what the use cases need of the outside world, as protocols.

Each port has one folder in ``adapters`` and one contract suite in ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from heliograph.core.jobs import QueueCounts
from heliograph.core.models import Edges, InputSpec, ModelSpec, VariantSpec
from heliograph.core.pictures import Float32Array, Picture, PictureHeader
from heliograph.core.predictions import CutoutOptions, Timings
from heliograph.core.workers import WorkerInfo

Clock: TypeAlias = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine may use the machine.

    ``streams`` batches run at the same time, each on ``threads_per_stream`` threads;
    no batch is larger than ``max_batch``.
    """

    streams: int = 1
    threads_per_stream: int = 1
    max_batch: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A variant that is on this machine, checked against its sha256."""

    spec: ModelSpec
    variant: VariantSpec
    path: Path


class Engine(Protocol):
    """A variant loaded in a runtime."""

    @property
    def name(self) -> str:
        """The runtime: ``onnxruntime``, ``openvino``…"""

    @property
    def trial_seconds(self) -> float:
        """What the trial run took when it was loaded: more than one row takes later on; 0.0 if it is not known."""

    def run(self, batch: Float32Array) -> Float32Array:
        """The output for a batch, blocking.

        May be called from as many threads at once as the engine has streams.

        Args:
            batch: (n, *input shape), 1 ≤ n ≤ max_batch, C-contiguous.

        Returns:
            (n, …), an array of its own that later calls do not touch.

        Raises:
            EngineFailed: the runtime failed.
        """

    def close(self) -> None:
        """Frees what the runtime holds; `run` must not be called afterwards."""


class EngineLoader(Protocol):
    """Loads variants in a runtime."""

    def __call__(self, model: ModelFile, options: EngineOptions) -> Engine:
        """The engine, ready to run and warmed by one batch of each size it will see first.

        Raises:
            ModelInvalid: the runtime cannot load the file, or it is not what its spec says.
        """


class Imaging(Protocol):
    """Reads and writes picture files. Every method blocks and may run in any thread."""

    def inspect(self, data: bytes) -> PictureHeader:
        """What the file says of itself, checked against the limits; nothing is decoded.

        Raises:
            PictureMissing: no bytes.
            PictureTooLarge: too many bytes.
            PictureFormatUnknown: not an image that we read.
            PictureBroken: its header makes no sense.
            PictureTooManyPixels: too many pixels, or a side too long.
        """

    def decode(
        self, data: bytes, header: PictureHeader, *, at_least: tuple[int, int] | None = None
    ) -> Picture:
        """The picture: first frame, upright, sRGB.

        Args:
            data: the file.
            header: what `inspect` said of it.
            at_least: (width, height) that suffice; a decoder that can scale while it decodes
                may answer with a smaller picture of the same aspect ratio that is at least so large.

        Raises:
            PictureBroken: it cannot be decoded.
        """

    def prepare(self, picture: Picture, spec: InputSpec) -> Float32Array:
        """The tensor for one picture, of ``spec.shape``. Transparent pixels count as white."""

    def cut_out(
        self, picture: Picture, matte: Float32Array, options: CutoutOptions, *, edges: Edges
    ) -> bytes:
        """The encoded answer of a background removal, of the picture's own size.

        Args:
            picture: decoded at full size.
            matte: (height, width) of any size, 0 background to 1 subject.
            options: what is wanted.
            edges: how the matte comes to the picture's size.

        Raises:
            PictureError: the background picture cannot be read.
        """

    def decode_size(self, header: PictureHeader, spec: InputSpec) -> tuple[int, int]:
        """The (width, height) that suffices for `prepare` to lose nothing with this picture and input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model and which of its variants are on this machine."""

    spec: ModelSpec
    present: tuple[str, ...]


Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""


class ModelStore(Protocol):
    """Knows the catalogue and keeps weights. Every method blocks."""

    def list(self) -> Sequence[ModelStatus]:
        """Every model that is known, by name."""

    def own(self) -> Mapping[str, str]:
        """The packages that live in the store itself, by name, each with a mark that is another one once it changes.

        Raises:
            OSError: the store cannot be looked at just now.
        """

    def mark(self, reference: str) -> str:
        """A mark that is another one once files have come or gone where `find` looks for weights.

        Raises:
            ModelUnknown: there is no such model.
        """

    def spec(self, reference: str) -> ModelSpec:
        """The model that ``reference`` (model, or model-precision) names.

        Raises:
            ModelUnknown: there is none.
        """

    def find(self, reference: str) -> ModelFile:
        """The best variant present, or the one that ``reference`` names.

        Only local sources are tried (store, package, mirror folders, an installed Python
        package), never the network.

        Raises:
            ModelUnknown: there is no such model.
            ModelUnavailable: its weights are not here; the message says the command that helps.
            ModelInvalid: the file here is not the one that the catalogue names.
        """

    def pull(self, reference: str, progress: Progress | None = None) -> ModelFile:
        """Like `find`, and tries the sources behind the network too; keeps the file.

        Raises:
            ModelUnavailable: no source had it; the message says what each one answered.
        """

    def remove(self, reference: str) -> int:
        """How many bytes were freed by removing the model's files from the store."""


class Metrics(Protocol):
    """What is counted and measured."""

    def picture_answered(self, model: str, task: str, outcome: str, timings: Timings) -> None:
        """One picture reached its end; ``outcome`` is ``ok`` or an error code."""

    def batch_ran(self, model: str, size: int, seconds: float) -> None:
        """The engine ran one batch."""

    def entries_dropped(self, model: str, reason: str, count: int = 1) -> None:
        """Entries left the batcher without engine time: ``cancelled`` or ``expired``."""

    def request_refused(self, reason: str) -> None:
        """A request was refused before it was admitted."""

    def in_flight(self) -> AbstractContextManager[None]:
        """One admitted request is in flight while the context is open."""

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """One HTTP request was answered."""

    def model_loaded(self, model: str, version: str, precision: str, engine: str) -> None:
        """A model became ready."""

    def model_left(self, model: str, version: str, precision: str, engine: str) -> None:
        """A model that was ready is not served any more."""

    def queue_seen(self, counts: QueueCounts | None, workers: Sequence[WorkerInfo]) -> None:
        """The queue and its workers as they are now; None if the queue does not answer."""

    def render(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
