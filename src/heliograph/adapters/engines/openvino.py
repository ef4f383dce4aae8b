"""OpenVINO on the processor: an optional engine, faster where a plan has measured it to be."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from queue import LifoQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from heliograph.adapters.engines import graphs, onnx_files
from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import EngineOptions, ModelFile

if TYPE_CHECKING:
    from openvino import Core, InferRequest, Model, Output

_REPORTS_USAGE = "openvino.tools.ovc"

_Requests: TypeAlias = LifoQueue[Any]


def _import_runtime() -> ModuleType:
    """``openvino`` without its converter, which reports each import to its maker's servers.

    ``openvino`` imports the converter only if it can, and serving does not need it.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if "openvino" in modules or _REPORTS_USAGE in modules:
        return import_module("openvino")
    modules[_REPORTS_USAGE] = None
    try:
        return import_module("openvino")
    finally:
        del modules[_REPORTS_USAGE]


ov = _import_runtime()


class OpenVinoEngine:
    """One graph compiled for one row, and one infer request a stream.

    Batches run row by row: a graph for each batch size costs more time to load and more memory
    than larger batches gain on a processor (``benchmarks/engines.py``).
    """

    name = "openvino"

    def __init__(self, requests: _Requests, signature: graphs.Signature) -> None:
        self._requests: _Requests | None = requests
        self._signature = signature
        self.trial_seconds = 0.0

    def run(self, batch: Float32Array) -> Float32Array:
        """See `core.ports.Engine.run`; a caller beyond the number of streams waits."""
        requests = self._requests
        if requests is None:
            raise errors.EngineFailed("The engine is closed.")
        self._signature.check(batch)
        request = requests.get()
        try:
            return self._signature.run(batch, lambda row: _infer(request, row))
        except errors.EngineFailed:
            raise
        except Exception as error:  # the runtime's errors have no base of their own
            raise errors.EngineFailed(f"OpenVINO failed on a batch of {len(batch)}.") from error
        finally:
            requests.put(request)

    def close(self) -> None:
        """See `core.ports.Engine.close`; runs that have begun end in peace."""
        self._requests = None


def load(model: ModelFile, options: EngineOptions) -> OpenVinoEngine:
    """See `core.ports.EngineLoader`; warmed by one row, the only size there is."""
    data = onnx_files.read(model.path)
    try:
        core = ov.Core()
        graph = core.read_model(data)
        inputs = [_terminal(port) for port in graph.inputs]
        outputs = [_terminal(port, prefer=model.spec.output.name) for port in graph.outputs]
        signature = replace(graphs.signature(model.spec, inputs, outputs), batched=False)
        requests = _compile(core, graph, signature, options)
    except errors.ModelInvalid:
        raise
    except Exception as error:  # the runtime's errors have no base of their own
        raise errors.ModelInvalid(
            f"{model.spec.name}: OpenVINO cannot load {model.path.name}: {errors.excerpt(error)}"
        ) from error
    engine = OpenVinoEngine(requests, signature)
    engine.trial_seconds = graphs.try_out(model.spec, engine.run)
    return engine


def _compile(core: Core, graph: Model, signature: graphs.Signature, options: EngineOptions) -> _Requests:
    # Without its other outputs the graph does not compute what only they need.
    wanted = ov.Model([graph.outputs[signature.output].get_node()], graph.get_parameters(), "model")
    wanted.reshape({0: [1, *signature.row_shape]})
    compiled = core.compile_model(wanted, "CPU", _properties(options))
    requests: _Requests = LifoQueue()
    for _ in range(options.streams):
        requests.put(compiled.create_infer_request())
    return requests


def _properties(options: EngineOptions) -> dict[str, object]:
    return {
        "NUM_STREAMS": options.streams,
        "INFERENCE_NUM_THREADS": options.streams * options.threads_per_stream,
        # Where the processor has bfloat16 OpenVINO would choose it by itself.
        "INFERENCE_PRECISION_HINT": "f32",
        # Every container would pin its threads to the same first processors.
        "ENABLE_CPU_PINNING": False,
    }


def _infer(request: InferRequest, row: Float32Array) -> Float32Array:
    answers = request.infer({0: row}, share_inputs=True, share_outputs=True)
    # The request's own output is written again by its next run.
    return np.array(answers[0], dtype=np.float32, copy=True)


def _terminal(port: Output, *, prefer: str | None = None) -> graphs.Terminal:
    names = sorted(port.get_names()) or [""]
    shape = port.get_partial_shape()
    dimensions: graphs.Dimensions | None = None
    if shape.rank.is_static:
        dimensions = tuple(size.get_length() if size.is_static else None for size in shape)
    return graphs.Terminal(
        name=prefer if prefer is not None and prefer in names else names[0],
        float32=port.get_element_type() == ov.Type.f32,
        dimensions=dimensions,
    )
