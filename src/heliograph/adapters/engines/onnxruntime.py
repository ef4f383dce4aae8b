"""ONNX Runtime on the processor: the default engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from heliograph.adapters.engines import graphs, onnx_files
from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import EngineOptions, ModelFile

_ERRORS_ONLY = 3


WRONG_OPTIMISATIONS = ("Pad_Fusion",)
"""It makes a border of zeros before a maximum that of the maximum itself, which ignores it (1.31.1)."""


class OnnxRuntimeEngine:
    """One session that all streams share; its weights are in memory once."""

    name = "onnxruntime"

    def __init__(self, session: onnxruntime.InferenceSession, signature: graphs.Signature) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._signature = signature
        self.trial_seconds = 0.0
        self._outputs = [session.get_outputs()[signature.output].name]

    def run(self, batch: Float32Array) -> Float32Array:
        """See `core.ports.Engine.run`."""
        session = self._session
        if session is None:
            raise errors.EngineFailed("The engine is closed.")
        self._signature.check(batch)

        def infer(rows: Float32Array) -> Float32Array:
            (answer,) = session.run(self._outputs, {self._signature.input: rows})
            return np.asarray(answer, dtype=np.float32)

        try:
            return self._signature.run(batch, infer)
        except errors.EngineFailed:
            raise
        except Exception as error:  # the runtime's errors have no base of their own
            raise errors.EngineFailed(f"ONNX Runtime failed on a batch of {len(batch)}.") from error

    def close(self) -> None:
        """See `core.ports.Engine.close`; runs that have begun end in peace."""
        self._session = None


def load(model: ModelFile, options: EngineOptions) -> OnnxRuntimeEngine:
    """See `core.ports.EngineLoader`; warmed by one row, since no other size costs extra."""
    return load_with(model, session_options(options))


def load_with(model: ModelFile, chosen: onnxruntime.SessionOptions) -> OnnxRuntimeEngine:
    """`load` with these session options, for measuring what each of them is worth."""
    session = _session(model.path, model.spec.name, chosen)
    engine = OnnxRuntimeEngine(session, graphs.signature(model.spec, *_terminals(session)))
    engine.trial_seconds = graphs.try_out(model.spec, engine.run)
    return engine


def describe(path: Path) -> tuple[list[graphs.Terminal], list[graphs.Terminal]]:
    """The inputs and the outputs of a file, as the runtime understands it.

    Raises:
        ModelInvalid: it is not a file that the runtime can load.
    """
    return _terminals(_session(path, path.name, session_options(EngineOptions())))


def open_session(
    file: Path | bytes, chosen: onnxruntime.SessionOptions | None = None
) -> onnxruntime.InferenceSession:
    """A session on the CPU for an ONNX file, without the optimisations that are known to be wrong."""
    return onnxruntime.InferenceSession(
        file if isinstance(file, bytes) else str(file),
        sess_options=chosen,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(WRONG_OPTIMISATIONS),
    )


def _session(path: Path, name: str, chosen: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    data = onnx_files.read(path)
    try:
        return open_session(data, chosen)
    except Exception as error:  # the runtime's errors have no base of their own
        raise errors.ModelInvalid(
            f"{name}: ONNX Runtime cannot load {path.name}: {errors.excerpt(error)}"
        ) from error


def _terminals(
    session: onnxruntime.InferenceSession,
) -> tuple[list[graphs.Terminal], list[graphs.Terminal]]:
    inputs = [_terminal(node) for node in session.get_inputs()]
    return inputs, [_terminal(node) for node in session.get_outputs()]


def session_options(options: EngineOptions) -> onnxruntime.SessionOptions:
    """What `load` asks of the runtime."""
    chosen = onnxruntime.SessionOptions()
    chosen.log_severity_level = _ERRORS_ONLY
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.inter_op_num_threads = 1
    # Each caller brings its own thread; the pool they share has the others.
    chosen.intra_op_num_threads = 1 + options.streams * (options.threads_per_stream - 1)
    # A waiting thread that spins takes the core from decoding and from other processes.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena reaches what its largest batches need and stays there. Without it the C library's
    # allocator gives pages back and fetches them again: slower, and memory goes up and down.
    chosen.enable_cpu_mem_arena = True
    # A plan of memory for each size of batch would be kept beside the plans of all others.
    chosen.enable_mem_pattern = False
    return chosen


def _terminal(node: onnxruntime.NodeArg) -> graphs.Terminal:
    # A scalar and an unknown number of axes both read as []; `try_out` tells them apart.
    dimensions = tuple(size if isinstance(size, int) else None for size in node.shape) or None
    return graphs.Terminal(name=node.name, float32=node.type == "tensor(float)", dimensions=dimensions)
