"""The child of `bootstrap.adding`: looks at a model file, or tries out the package that was made of it.

Run as a program in a folder of its own, with limits (`bootstrap.confinement`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.adapters import engines
from heliograph.adapters.models.findings import Findings, FoundOutput, Outcome, Trial
from heliograph.adapters.models.manifest import read_package
from heliograph.adapters.models.preprocessing import by_family
from heliograph.bootstrap.confinement import GIGABYTE, Limits, confine, report
from heliograph.core import errors
from heliograph.core.models import Layout, Task
from heliograph.core.pictures import Float32Array, Picture, PictureHeader, PictureLimits
from heliograph.core.ports import Engine, EngineOptions, ModelFile
from heliograph.core.predictions import most_likely

CONVERTED = "model.onnx"
SIDES = (200, 301)
TOP = 3
REPEATS = 3
OF_A_VALUE, OF_THE_LARGEST = 1e-3, 1e-5
"""How much of what a value reaches, and of the largest one, sums in another order may change."""


def main() -> None:
    """Does what the request asks, and reports it; a problem too."""
    request, limits = confine()
    try:
        outcome = ACTIONS[request["action"]](request)
    except errors.HeliographError as error:
        outcome = Outcome(problem=_want_of_memory(limits) if _lacked_memory(error) else error.message[:4_000])
    except MemoryError:
        outcome = Outcome(problem=_want_of_memory(limits))
    except Exception as error:  # whatever a strange file makes a library raise
        outcome = Outcome(problem=f"The file cannot be read: {errors.excerpt(error) or type(error).__name__}")
    report(outcome.model_dump_json().encode())


def _want_of_memory(limits: Limits) -> str:
    return f"The model needs more than {limits.memory_bytes / GIGABYTE:.1f} GB of memory."


def _lacked_memory(error: BaseException | None) -> bool:
    """Whether that is what is behind an error; runtimes have no class of their own for it."""
    while error is not None:
        if isinstance(error, MemoryError) or "alloc" in str(error).lower():
            return True
        error = error.__cause__
    return False


def look(request: Mapping[str, Any]) -> Outcome:
    """Converts the file to ONNX beside the request, if it is not ONNX already; what it is."""
    path = Path(request["file"])
    return Outcome(findings=READERS[path.suffix.lower()](path))


def _keras(path: Path) -> Findings:
    from heliograph.adapters.models import keras_reader

    made = keras_reader.convert(path, two_classes=True)
    Path(CONVERTED).write_bytes(made.data)
    preset, reason = None, ""
    if made.preprocessing:
        preset = "none"
        reason = f"the model begins with {', '.join(step.kind for step in made.preprocessing)}"[:300]
    else:
        family = next((name for name in made.families if by_family(name)), None)
        if family is not None:
            preset, reason = by_family(family), f"{family} is trained so"
    outputs = tuple(FoundOutput(name=o.name, shape=o.shape, activation=o.activation) for o in made.outputs)
    return Findings(
        channels=made.channels,
        height=made.height,
        width=made.width,
        layout=Layout.NCHW,
        outputs=outputs,
        preset=preset,
        reason=reason,
    )


def _u2net(path: Path) -> Findings:
    from heliograph.adapters.models import state_dicts, u2net

    state = state_dicts.read_state_dict(path.read_bytes())
    architecture = u2net.recognise(state)
    Path(CONVERTED).write_bytes(u2net.convert(state))
    side = u2net.SIDE_PIXELS
    matte = FoundOutput(name="", shape=(None, 1, side, side), activation="sigmoid")
    return Findings(
        channels=3,
        height=side,
        width=side,
        layout=Layout.NCHW,
        outputs=(matte,),
        architecture=architecture.name,
    )


def _onnx(path: Path) -> Findings:
    from heliograph.adapters.engines import onnxruntime
    from heliograph.adapters.models import onnx_classes

    inputs, outputs = onnxruntime.describe(path)
    if len(inputs) != 1:
        raise errors.ModelInvalid(
            f"The graph has {len(inputs)} inputs; Heliograph serves models that take one picture."
        )
    shape = inputs[0].dimensions or (None,) * 4
    if not inputs[0].float32 or len(shape) != 4:
        raise errors.ModelInvalid(
            "The graph's input must be float32 with four axes, (n, channels, height, width) or (n, height, width, "
            f"channels); it has {'float32' if inputs[0].float32 else 'another type'} and {len(shape)} axes."
        )
    if shape[0] not in (None, 1):
        raise errors.ModelInvalid(
            f"The graph takes {shape[0]} pictures at once, neither more nor fewer; export it with a free batch "
            "(dynamic_axes or dynamic_shapes of torch.onnx.export)."
        )
    layout, channels, height, width = _axes(shape)
    data = path.read_bytes()
    found = []
    for output in outputs[:64]:
        row, activation = output.dimensions or (), "unknown"
        if len(row) == 2 and row[1] == 1 and output.float32:
            data, activation = onnx_classes.two_classes(data, output.name, batch=row[0])
            row = row if activation == "unknown" else (row[0], 2)
        found.append(FoundOutput(name=output.name[:300], shape=row, activation=activation))
    Path(CONVERTED).write_bytes(data)
    return Findings(channels=channels, height=height, width=width, layout=layout, outputs=tuple(found))


def _axes(shape: Sequence[int | None]) -> tuple[Layout | None, int | None, int | None, int | None]:
    """The layout as far as the lengths tell it, channels, height and width."""
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        return Layout.NCHW, shape[1], shape[2], shape[3]
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        return Layout.NHWC, shape[3], shape[1], shape[2]
    return None, None, None, None


def try_out(request: Mapping[str, Any]) -> Outcome:
    """Answers a grey picture, a drawn one and those that were given, through the real engine."""
    from heliograph.adapters.imaging.codec import PictureCodec

    folder = Path(request["package"])
    spec = read_package(folder)
    variant = spec.variants[0]
    codec = PictureCodec(PictureLimits())
    given = [Path(name).read_bytes() for name in request["pictures"]]
    pictures = [*_own_pictures(), *(codec.decode(data, codec.inspect(data)) for data in given)]
    file = ModelFile(spec=spec, variant=variant, path=folder / variant.file)
    prepared = np.stack([codec.prepare(picture, spec.input) for picture in pictures])
    engine = engines.loader()(file, EngineOptions(max_batch=1))
    rows = [engine.run(prepared[number : number + 1])[0] for number in range(len(prepared))]
    if not all(np.isfinite(row).all() for row in rows):
        raise errors.ModelInvalid("The model answers with numbers that are not finite.")
    if len({row.shape for row in rows}) > 1:
        raise errors.ModelInvalid("The model answers to different pictures with different numbers of values.")
    again = np.concatenate([engine.run(prepared[1:2]) for _ in range(REPEATS)])
    if not _are_equal(again, np.stack([rows[1]] * REPEATS)):
        raise errors.ModelInvalid(
            "The model answers the same picture differently each time, as with dropout; export it for inference."
        )
    labels: tuple[tuple[str, ...], ...] = ()
    if spec.task is Task.CLASSIFICATION and rows[0].size == len(spec.labels):
        best = [
            most_likely(row.reshape(-1), spec.labels, meaning=spec.output.meaning, top=TOP) for row in rows
        ]
        labels = tuple(tuple(label.label for label in found) for found in best[2:])
    return Outcome(
        trial=Trial(
            row=rows[0].shape,
            low=min(float(row.min()) for row in rows),
            high=max(float(row.max()) for row in rows),
            shares=all(_are_shares(row) for row in rows),
            seconds=engine.trial_seconds,
            together=_are_together(engine, prepared, rows, spec.max_batch),
            labels=labels,
        )
    )


def _are_together(
    engine: Engine, pictures: Float32Array, rows: Sequence[Float32Array], max_batch: int
) -> bool:
    """Whether the largest batch of pictures, in turns, gets the rows that each of them got alone."""
    chosen = [number % len(pictures) for number in range(max_batch)]
    try:
        found = engine.run(np.ascontiguousarray(pictures[chosen]))
    except errors.EngineFailed:
        return False
    return _are_equal(found, np.stack([rows[number] for number in chosen]))


def _are_equal(found: Float32Array, expected: Float32Array) -> bool:
    """Whether rows are the same but for sums in another order: each value beside what it and the others reach."""
    if found.shape != expected.shape:
        return False
    sizes = np.abs(expected)
    tolerance = OF_A_VALUE * sizes.max(axis=0, initial=0) + OF_THE_LARGEST * sizes.max(initial=0)
    return bool((np.abs(found - expected) <= tolerance).all())


def _are_shares(row: Float32Array) -> bool:
    return bool(row.min() >= 0 and row.max() <= 1.001 and abs(float(row.sum()) - 1) < 1e-2)


def _own_pictures() -> list[Picture]:
    """A grey picture, and one with slopes of colour, a bright disc and some grain."""
    height, width = SIDES
    grey = np.full((height, width, 3), 128, np.uint8)
    rows, columns = np.mgrid[:height, :width]
    drawn = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=-1)
    drawn[np.hypot(rows - height / 2, columns - width / 2) < height / 4] = (230, 190, 60)
    grain = np.random.default_rng(0).integers(-12, 13, drawn.shape)
    drawn = np.clip(drawn + grain, 0, 255).astype(np.uint8)
    header = PictureHeader(format="PNG", width=width, height=height)
    return [Picture(header=header, rgb=rgb) for rgb in (grey, drawn)]


READERS: Mapping[str, Callable[[Path], Findings]] = {
    ".keras": _keras,
    ".h5": _keras,
    ".hdf5": _keras,
    ".onnx": _onnx,
    ".pth": _u2net,
    ".pt": _u2net,
}
ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], Outcome]] = {"look": look, "try": try_out}

if __name__ == "__main__":
    main()
