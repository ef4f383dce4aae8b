"""A layer as a saved Keras model describes it, and how its settings are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.adapters.models.onnx_graph import Array, Graph, Tensor
from heliograph.core import errors

Setting: TypeAlias = Any
"""A setting as it stands in the file; what it is must be looked at."""

SIZE_MOST = 1 << 24


@dataclass(frozen=True, slots=True)
class Step:
    """One layer on the way into nested models: its name, and what its group is called in a .keras file."""

    name: str
    key: str


Address = tuple[Step, ...]


@dataclass(slots=True)
class Layer:
    """One layer: its name, its kind (the class), its settings and its weights.

    ``version`` is Keras' major number; a few layers changed their meaning. Every method that reads
    a setting raises `ModelInvalid` with the layer's name if it is missing or of another type.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    weights: Sequence[Array] = ()
    version: int = 3
    shared: dict[str, str] = field(default_factory=dict)
    """Names of its weights in the graph, for a layer that is called several times."""

    def fail(self, problem: str) -> NoReturn:
        """Raises the error that names the layer."""
        raise errors.ModelInvalid(
            f"Layer {errors.excerpt(self.name)} ({errors.excerpt(self.kind)}) {problem}."
        )

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        return self._whole(key, self._value(key, default))

    def pair(self, key: str, default: int | None = None) -> tuple[int, int]:
        """Two whole numbers, for height and width; one stands for both."""
        value = self._value(key, default)
        if isinstance(value, list | tuple) and len(value) == 2:
            return self._whole(key, value[0]), self._whole(key, value[1])
        return self._whole(key, value), self._whole(key, value)

    def borders(self, key: str) -> tuple[int, int, int, int]:
        """Pixels at the top, left, bottom and right."""
        value = self._value(key, None)
        sides = value if isinstance(value, list | tuple) and len(value) == 2 else [value, value]
        both = [side if isinstance(side, list | tuple) and len(side) == 2 else [side, side] for side in sides]
        numbers = [self._whole(key, number) for side in both for number in side]
        if min(numbers) < 0:
            self.fail(f"has a negative {key}")
        return numbers[0], numbers[2], numbers[1], numbers[3]

    def number(self, key: str, default: float | None = None) -> float:
        """A number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"has {key} that is not a number")
        return float(value)

    def numbers(self, key: str, default: float | None = None) -> npt.NDArray[np.float64]:
        """A number or a list of them, as an array."""
        try:
            values = np.asarray(self._value(key, default), np.float64)
        except (TypeError, ValueError):
            self.fail(f"has {key} that is not numbers")
        return values

    def text(self, key: str, default: str) -> str:
        """A word."""
        value = self._value(key, default)
        if not isinstance(value, str):
            self.fail(f"has {key} that is not a word")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        return bool(self.config.get(key, default))

    def expect(self, key: str, *allowed: object) -> None:
        """Returns if the setting is missing or one of these."""
        value = self.config.get(key)
        if value is not None and value not in allowed:
            self.fail(f"has {key} = {errors.excerpt(value)}, which cannot be converted")

    def axes(self, rank: int) -> list[int]:
        """The setting ``axis`` as positive numbers; a single one is a list of one."""
        value = self._value("axis", -1)
        values = value if isinstance(value, list | tuple) else [value]
        return [self._whole("axis", each) % rank for each in values]

    def weight(self, position: int, *shape: int | None) -> Array:
        """One of its weights in double precision, of this shape; None is an axis of any length."""
        if position >= len(self.weights):
            self.fail(f"has {len(self.weights)} weights in the file, and wants more")
        values = self.weights[position]
        fits = len(values.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, values.shape, strict=True)
        )
        if not fits:
            self.fail(f"has a weight of shape {values.shape} where {shape} is wanted")
        if not np.isfinite(values).all():
            self.fail("has weights that are not finite")
        return values.astype(np.float64)

    def _value(self, key: str, default: object) -> Setting:
        value = self.config.get(key)
        if value is None:
            value = default
        if value is None:
            self.fail(f"does not say its {key}")
        return value

    def _whole(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > SIZE_MOST:
            self.fail(f"has {key} that is not a whole number")
        return value


def one_picture(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """The only input of a layer, with its channels first."""
    layer.expect("data_format", "channels_last")
    if len(inputs) != 1:
        layer.fail(f"has {len(inputs)} inputs instead of one")
    return graph.first(inputs[0])


def one_value(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """The only input of a layer."""
    if len(inputs) != 1:
        layer.fail(f"has {len(inputs)} inputs instead of one")
    return inputs[0]
