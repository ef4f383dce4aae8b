"""A trained network as an ONNX file, proven to compute the same, and what such a file answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from heliograph.adapters.models.keras_reader import convert
from heliograph.core.pictures import Float32Array

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
BATCH = 16
HALF = "_half"
"""What the name of a weight ends with in half precision."""

Runner: TypeAlias = Callable[[Float32Array], list[Float32Array]]
"""(n, height, width, channels) pictures → the outputs, each (n, …); pictures among them have their channels first."""


class ExportFailed(Exception):
    """The file computes something else than the network."""


def export(
    model: keras.Model,
    path: Path,
    *,
    probes: Float32Array,
    temperature: float = 1.0,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a Keras model with one output of logits: (n, channels, height, width) in, (n, classes) out, any n.

    Args:
        model: a ``keras.Model``.
        path: the file; it appears only if it computes what ``model`` does.
        probes: (n, height, width, channels) pictures to prove that with.
        temperature: the logits are divided by it.
        metadata: names and values for the file, such as its licence.

    Raises:
        ModelInvalid: the model has a layer that cannot be written.
        ExportFailed: the file's logits differ from the model's by more than 1e-4.
    """
    data = converted(model, temperature=temperature, metadata=metadata)
    (logits,) = runner(data)(probes)
    expected = model.predict(probes, batch_size=BATCH, verbose=0) / temperature
    difference = float(np.abs(logits - expected).max())
    if not difference <= TOLERANCE:
        raise ExportFailed(f"The file's logits differ from the network's by {difference:.2g}.")
    path.write_bytes(data)


def converted(
    model: keras.Model, *, temperature: float = 1.0, metadata: Mapping[str, str] | None = None
) -> bytes:
    """The ONNX file of a Keras model, in which channels come first. Raises `ModelInvalid` as `export`."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        return convert(saved, metadata=metadata, temperature=temperature).data


def halved(data: bytes) -> bytes:
    """An ONNX file with its weights in half precision, which are made single again before they are computed with."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(data)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name, values = tensor.name, numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}{HALF}"))
            casts.append(
                helper.make_node("Cast", [f"{name}{HALF}"], [name], f"{name}_single", to=TensorProto.FLOAT)
            )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def weights_of(file: Path) -> dict[str, Float32Array]:
    """The weights in an ONNX file by the names that `converted` gives, in single precision."""
    import onnx
    from onnx import numpy_helper

    return {
        tensor.name.removesuffix(HALF): numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in onnx.load(file).graph.initializer
    }


def runner(file: Path | bytes) -> Runner:
    """Runs an ONNX file on as many cores as there are, a few pictures at a time."""
    from heliograph.adapters.engines.onnxruntime import open_session

    session = open_session(file)
    name = session.get_inputs()[0].name

    def run(pictures: Float32Array) -> list[Float32Array]:
        planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        parts = [
            session.run(None, {name: planes[start : start + BATCH]}) for start in range(0, len(planes), BATCH)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return run
