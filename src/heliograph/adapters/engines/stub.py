"""An engine for tests: arithmetic instead of a network, no file, no runtime."""

from __future__ import annotations

import numpy as np

from heliograph.adapters.engines import graphs
from heliograph.core import errors
from heliograph.core.models import Layout, ModelSpec
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import EngineOptions, ModelFile


class StubEngine:
    """Answers each row with its sum, so every answer can be matched to its picture.

    Row i of the answer is ``(sum of input row i) * (1, 2, …, classes)``, one column a label;
    a model without labels (a matte) gets the row's mean over channels instead, of shape
    (n, 1, height, width). A row whose first number is in ``fails_on`` fails its whole batch,
    as a network that crashes on one picture does. ``batches`` records the size of every
    batch in the order they came, also of failed ones.
    """

    name = "stub"

    def __init__(self, spec: ModelSpec, *, fails_on: frozenset[float] = frozenset()) -> None:
        self.batches: list[int] = []
        self.closed = False
        self.trial_seconds = 0.0
        self._fails_on = fails_on
        self._spec = spec
        self._signature = graphs.Signature(input="input", row_shape=spec.input.shape, output=0, batched=True)

    def run(self, batch: Float32Array) -> Float32Array:
        """See `core.ports.Engine.run`."""
        if self.closed:
            raise errors.EngineFailed("The engine is closed.")
        self._signature.check(batch)
        self.batches.append(len(batch))
        firsts = batch.reshape(len(batch), -1)[:, 0].tolist()
        if not self._fails_on.isdisjoint(firsts):
            raise errors.EngineFailed("A row is one of those that fail.")
        return self._answer(batch)

    def close(self) -> None:
        """See `core.ports.Engine.close`."""
        self.closed = True

    def _answer(self, batch: Float32Array) -> Float32Array:
        if not self._spec.labels:
            channels = 1 if self._spec.input.layout is Layout.NCHW else 3
            matte: Float32Array = batch.mean(axis=channels, dtype=np.float32)[:, None]
            return matte
        # A sum of float64 does not depend on what else is in the batch.
        sums = batch.reshape(len(batch), -1).sum(axis=1, dtype=np.float64)
        scores: Float32Array = np.outer(sums, np.arange(1, len(self._spec.labels) + 1)).astype(np.float32)
        return scores


def load(model: ModelFile, options: EngineOptions) -> StubEngine:
    """See `core.ports.EngineLoader`; the file is not read."""
    return StubEngine(model.spec)
