"""``heliograph models add`` as a person calls it, and small ONNX files for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper
from typer.testing import CliRunner

from heliograph.cli.app import app
from heliograph.core.pictures import Float32Array


def add(*arguments: object) -> tuple[int, str]:
    """The exit status and what was said."""
    result = CliRunner().invoke(app, ["models", "add", *map(str, arguments)])
    return result.exit_code, result.output


def labels(folder: Path, *names: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(names) + "\n")
    return path


def graph(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    out: Sequence[int | str],
    weights: Sequence[onnx.TensorProto] = (),
) -> bytes:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
    body = helper.make_graph(list(nodes), "net", [given], [answer], list(weights))
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def means(layout: str = "NCHW") -> bytes:
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    shape: list[int | str] = ["n", 3, 8, 8] if layout == "NCHW" else ["n", 8, 8, 3]
    return graph([helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0)], shape, ["n", 3])


def left(store: Path) -> list[str]:
    return (
        sorted(path.name for path in store.iterdir() if path.name != ".adding.lock") if store.exists() else []
    )


def answer_of(path: Path, picture: Float32Array) -> Float32Array:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer: Float32Array = session.run(None, {session.get_inputs()[0].name: picture})[0]
    return answer
