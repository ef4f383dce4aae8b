"""Models in a Python program of one's own: `load`, `Model` and `Cutout`.

An entry point like the command line: it reads settings and lets `heliograph.bootstrap` wire the rest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

import numpy as np

from heliograph.bootstrap.parts import load_direct
from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.pictures import Picture, PictureHeader, UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput, Label, PictureFormat
from heliograph.serving.direct import DirectModel
from heliograph.settings import read_settings

PictureLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | UInt8Array
"""A picture: the path of a file, a file's bytes, or decoded pixels.

Pixels are uint8 of shape (height, width) for grey, (height, width, 3) for RGB, or (height, width, 4)
for RGB with an alpha channel that the colours are not multiplied with.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout:
    """A picture file without its background, as large as the picture was; sizes are in pixels."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file; one that is there is replaced."""
        Path(path).write_bytes(self.data)


class Model:
    """A model that is loaded and answers pictures, one at a time on all its threads.

    Threads may share it. Close it, or use it in a ``with`` statement, to free its memory early.
    """

    def __init__(self, direct: DirectModel, *, max_picture_bytes: int) -> None:
        self._direct: DirectModel | None = direct
        self._spec = direct.spec
        self._max_picture_bytes = max_picture_bytes
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<heliograph.Model {self._spec.name} {self._spec.version}, {self._spec.task.value}>"

    @property
    def spec(self) -> ModelSpec:
        """What the model is: its task, labels, licence, input and card."""
        return self._spec

    def close(self) -> None:
        """Frees the model, after the picture that it is at; it answers no more."""
        with self._lock:
            if self._direct is not None:
                self._direct.close()
            self._direct = None

    def predict(self, picture: PictureLike) -> tuple[Label, ...] | Cutout:
        """What the model's task answers: `classify` or `cut_out` without options."""
        if self._spec.task is Task.CLASSIFICATION:
            return self.classify(picture)
        return self.cut_out(picture)

    def classify(self, picture: PictureLike, *, top: int = 3) -> tuple[Label, ...]:
        """The ``top`` most likely labels, best first.

        Raises:
            heliograph.core.errors.ModelTaskMismatch: the model does something else.
            heliograph.core.errors.PictureError: the picture cannot be answered.
            heliograph.core.errors.PictureMissing: it has no bytes.
            OSError: the file cannot be read.
            TypeError, ValueError: the pixels are not uint8, or not of a shape that is a picture.
        """
        if top < 1:
            raise ValueError("top must be 1 or more.")
        source = self._read(picture)
        with self._lock:
            return self._open().classify(source, top=top).labels

    def cut_out(
        self,
        picture: PictureLike,
        *,
        output: Literal["cutout", "mask"] = "cutout",
        file_format: Literal["png", "webp"] = "png",
        background: tuple[int, int, int] | bytes | None = None,
        decontaminate: bool = True,
    ) -> Cutout:
        """The picture without its background; errors as `classify`.

        Args:
            picture: the picture.
            output: ``mask`` is the alpha matte alone, as a grey picture.
            file_format: of the file that comes back.
            background: what to put behind the subject instead of nothing: a colour (red, green, blue, from
                0 to 255) or the bytes of a picture file.
            decontaminate: whether partly transparent pixels get the subject's own colour instead of its mixture
                with the old background.
        """
        options = CutoutOptions(
            output=CutoutOutput(output),
            format=PictureFormat(file_format),
            background=_checked(background),
            decontaminate=decontaminate,
        )
        source = self._read(picture)
        with self._lock:
            answer = self._open().cut_out(source, options)
        return Cutout(
            data=answer.data, media_type=answer.media_type, width=answer.width, height=answer.height
        )

    def _open(self) -> DirectModel:
        if self._direct is None:
            raise ValueError(f"The model {self._spec.name} is closed.")
        return self._direct

    def _read(self, picture: PictureLike) -> bytes | Picture:
        if isinstance(picture, np.ndarray):
            return _picture_of(picture)
        if isinstance(picture, bytes | bytearray | memoryview):
            return bytes(picture)
        if isinstance(picture, str | os.PathLike):
            with Path(picture).open("rb") as stream:
                # One byte more than allowed, so that a larger file is refused without being read.
                return stream.read(self._max_picture_bytes + 1)
        raise TypeError(f"A picture is a path, bytes or a numpy array, not {type(picture).__name__}.")


def load(
    name: str,
    *,
    threads: int | None = None,
    engine: Literal["auto", "onnxruntime", "openvino"] | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    model_mirrors: Sequence[str | os.PathLike[str]] | None = None,
) -> Model:
    """A model of this machine, ready to answer. Nothing is downloaded: ``heliograph models pull`` does that.

    What is not given comes from the settings, the environment variables ``HELIOGRAPH_…``.

    Args:
        name: the model (``u2netp``), or model and precision (``u2netp-fp16``).
        threads: how many it computes on; as many as this process may use by default.
        engine: the runtime.
        model_dir: the store, where weights are kept.
        model_mirrors: folders that may hold weights too.

    Raises:
        heliograph.core.errors.ModelUnknown: there is no such model.
        heliograph.core.errors.ModelUnavailable: its weights are not here; the message says what helps.
        heliograph.core.errors.ModelInvalid: its weights are damaged.
        heliograph.core.errors.SettingsInvalid: a setting has a value that is not allowed.
    """
    mirrors = None if model_mirrors is None else tuple(Path(folder) for folder in model_mirrors)
    settings = read_settings(threads=threads, engine=engine, model_dir=model_dir, model_mirrors=mirrors)
    direct = load_direct(name, settings, streams=1)
    return Model(direct, max_picture_bytes=settings.max_picture_bytes)


def _picture_of(pixels: UInt8Array) -> Picture:
    """Pixels as a picture; nothing is copied that need not be."""
    if pixels.dtype != np.uint8:
        raise TypeError(f"Pixels must be uint8, from 0 to 255, not {pixels.dtype}.")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.size == 0:
        raise ValueError(
            f"Pixels must be (height, width), (height, width, 3) or (height, width, 4), not {pixels.shape}."
        )
    height, width, channels = pixels.shape
    return Picture(
        header=PictureHeader(format="pixels", width=width, height=height),
        rgb=np.ascontiguousarray(pixels[:, :, :3]),
        alpha=np.ascontiguousarray(pixels[:, :, 3]) if channels == 4 else None,
    )


def _checked(background: tuple[int, int, int] | bytes | None) -> tuple[int, int, int] | bytes | None:
    if background is None or isinstance(background, bytes):
        return background
    if len(background) != 3 or not all(0 <= value <= 255 for value in background):
        raise errors.ParameterInvalid("A background colour is three numbers from 0 to 255.")
    return background
