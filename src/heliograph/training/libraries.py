"""Whether what training needs is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec

from heliograph.training.runs import TrainingRefused

NEEDED = ("keras", "h5py", "onnx", "matplotlib")
BACKENDS = ("tensorflow", "torch", "jax")


def check() -> None:
    """Returns if training can begin; chooses Keras' backend where nobody has and TensorFlow is not installed.

    Raises:
        TrainingRefused: a library is missing; the message says the command that helps.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    backend = os.environ.get("KERAS_BACKEND")
    if backend is None:
        backend = next((name for name in BACKENDS if find_spec(name)), BACKENDS[0])
        os.environ["KERAS_BACKEND"] = backend
    if find_spec(backend) is None:
        missing.append(backend)
    if missing:
        raise TrainingRefused(
            f"Training needs the extra train, for {' and '.join(missing)}: pip install 'heliograph[train]', "
            "or `make train` in a checkout."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # or TensorFlow tells how it was built
