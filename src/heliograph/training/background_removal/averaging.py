"""One network out of several moments of its training: the mean of its weights there (P. Izmailov, 2018)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

Weights: TypeAlias = list[npt.NDArray[Any]]

FILE = "averages.npz"


class Averages:
    """The sum of a network's weights, each time their moving average, and of how many times.

    What they are good for: later epochs fit the photographs at hand better and others no better; the mean over epochs
    lies flatter, and does well on both.
    """

    def __init__(self) -> None:
        self._sums: Weights = []
        self._count = 0

    def take(self, model: keras.Model) -> None:
        """Adds the moving average of the weights that learn, which the optimiser of ``model`` keeps."""
        now = _values(model)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        taken = [value.astype(np.float64) for value in _values(model)]
        _assign(model, now)
        self._sums = [a + b for a, b in zip(self._sums, taken, strict=True)] if self._sums else taken
        self._count += 1

    def put(self, model: keras.Model) -> None:
        """Gives ``model`` the mean of what was taken, at least once."""
        _assign(model, [total / self._count for total in self._sums])

    def write(self, folder: Path) -> None:
        """Keeps them in a checkpoint."""
        np.savez(folder / FILE, *self._sums, count=np.int64(self._count))

    def read(self, folder: Path) -> None:
        """Takes them out of a checkpoint again."""
        with np.load(folder / FILE) as kept:
            self._count = int(kept["count"])
            self._sums = [kept[f"arr_{number}"] for number in range(len(kept.files) - 1)]


def _values(model: keras.Model) -> Weights:
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in model.trainable_variables]


def _assign(model: keras.Model, weights: Weights) -> None:
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value.astype(np.float32))
