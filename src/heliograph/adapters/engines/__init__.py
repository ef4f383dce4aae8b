"""Runtimes that load a variant and run batches, one module each behind ``core.ports.EngineLoader``.

``loader`` imports a runtime only when it is asked for: each costs start-up time and memory,
and OpenVINO may not be installed. What the engines share, because it is about the graph and
not about the runtime, is in ``graphs`` and ``onnx_files``; no batching and no preparation
of pictures belongs here.
"""

from __future__ import annotations

import os
from importlib import import_module

from heliograph.core import errors
from heliograph.core.ports import EngineLoader

AUTO = "auto"
DEFAULT = "onnxruntime"
NAMES = ("onnxruntime", "openvino")


def loader(name: str = AUTO) -> EngineLoader:
    """The loader of this engine; ``auto`` is ONNX Runtime.

    Without a plan that was measured on this kind of machine ONNX Runtime is the safe default:
    it starts sooner, holds less memory and runs everywhere. ``benchmarks/engines.py`` shows
    what OpenVINO would gain.

    Raises:
        SettingsInvalid: there is no such engine, or its runtime is not installed.
    """
    chosen = DEFAULT if name == AUTO else name
    if chosen not in NAMES:
        raise errors.SettingsInvalid(
            f"There is no engine {errors.excerpt(name)!r}; there are {', '.join((AUTO, *NAMES))}."
        )
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its wheels write an id and report their use
    try:
        module = import_module(f"{__name__}.{chosen}")
    except ImportError as error:
        extra = "" if chosen == DEFAULT else f"[{chosen}]"
        raise errors.SettingsInvalid(
            f"The engine {chosen} cannot be imported ({errors.excerpt(error)}). "
            f"Install it with: pip install 'heliograph{extra}'"
        ) from error
    load: EngineLoader = module.load
    return load
