"""U²-Net and its small sister U²-Netp: the authors' PyTorch weights → an ONNX file, without PyTorch.

The architecture (https://github.com/xuebinqin/U-2-Net, Apache-2.0) is a U of eleven blocks, each of which
is a U itself. It is known by the names and shapes of its tensors; nothing else in the file counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heliograph.adapters.models.onnx_folding import fold
from heliograph.adapters.models.onnx_graph import Array, Graph, Tensor, onnx_file
from heliograph.core import errors

SIDE_PIXELS = 320
EPSILON = 1e-5
INPUT = "pictures"
COUNTER = ".num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One of the two: its name, and (levels, middle, out) channels of each block; levels 0 is the flat block."""

    name: str
    down: tuple[tuple[int, int, int], ...]
    up: tuple[tuple[int, int, int], ...]


U2NET = Architecture(
    "u2net",
    ((7, 32, 64), (6, 32, 128), (5, 64, 256), (4, 128, 512), (0, 256, 512), (0, 256, 512)),
    ((7, 16, 64), (6, 32, 64), (5, 64, 128), (4, 128, 256), (0, 256, 512)),
)
U2NETP = Architecture(
    "u2netp",
    ((7, 16, 64), (6, 16, 64), (5, 16, 64), (4, 16, 64), (0, 16, 64), (0, 16, 64)),
    ((7, 16, 64), (6, 16, 64), (5, 16, 64), (4, 16, 64), (0, 16, 64)),
)
FLAT_DILATIONS = (1, 2, 4, 8)


def recognise(state: Mapping[str, Array]) -> Architecture:
    """Which of the two these weights are of.

    Raises:
        ModelInvalid: neither.
    """
    first = _plain_names(state).get("stage1.rebnconv1.conv_s1.weight")
    for architecture in (U2NET, U2NETP):
        if first is not None and first.shape == (architecture.down[0][1], 64, 3, 3):
            return architecture
    raise errors.ModelInvalid(
        "The state dict is not one of U²-Net or U²-Netp, the PyTorch weights whose architecture is known here; "
        "export the model to ONNX (torch.onnx.export) and add that file."
    )


def convert(state: Mapping[str, Array]) -> bytes:
    """The ONNX file with these weights: `INPUT` (N, 3, 320, 320) → the matte (N, 1, 320, 320).

    Raises:
        ModelInvalid: the weights are of something else, a tensor is missing, has another shape or is not finite,
            or the ``onnx`` package is not installed.
    """
    architecture = recognise(state)
    network = _Network(_plain_names(state))
    answer = network.run(architecture)
    network.check_all_used()
    fold(network.graph, [answer.name])
    shape = (None, 1, SIDE_PIXELS, SIDE_PIXELS)
    inputs = {INPUT: (None, 3, SIDE_PIXELS, SIDE_PIXELS)}
    return onnx_file(network.graph, inputs, {answer.name: shape}, metadata={"licence": "Apache-2.0"})


def _plain_names(state: Mapping[str, Array]) -> dict[str, Array]:
    """Without the prefix of a model that was trained on several GPUs, and without counters of training."""
    names = {name.removeprefix("module."): values for name, values in state.items()}
    return {name: values for name, values in names.items() if not name.endswith(COUNTER)}


class _Network:
    """The graph while it grows; ``_unused`` are tensors of the state dict that nothing has asked for."""

    def __init__(self, state: Mapping[str, Array]) -> None:
        self.graph = Graph()
        self._state = state
        self._unused = set(state)

    def run(self, architecture: Architecture) -> Tensor:
        last = Tensor(INPUT, (None, SIDE_PIXELS, SIDE_PIXELS, 3), True)
        levels: list[Tensor] = []
        for number, block in enumerate(architecture.down, start=1):
            last = self._block(last if number == 1 else self._halved(last), f"stage{number}", *block)
            levels.append(last)
        sides = [self._side(last, 6)]
        for number in range(5, 0, -1):
            joined = self._joined(self._enlarged(last, 2), levels[number - 1])
            last = self._block(joined, f"stage{number}d", *architecture.up[number - 1])
            sides.append(self._side(last, number))
        fused = self._joined(
            *[self._enlarged(side, SIDE_PIXELS // (side.shape[1] or 1)) for side in sides[::-1]]
        )
        fused = self._convolved(fused, "outconv", (1, 6, 1, 1))
        return self.graph.apply("Sigmoid", fused)

    def check_all_used(self) -> None:
        """Raises `ModelInvalid` if the state dict has tensors that the architecture has not."""
        if self._unused:
            raise errors.ModelInvalid(
                f"The state dict has {len(self._unused)} tensors that U²-Net has not, {min(self._unused)} among them."
            )

    def _block(self, tensor: Tensor, name: str, levels: int, middle: int, out: int) -> Tensor:
        """A residual U-block of so many levels; of none: one that dilates where others shrink."""
        start = self._layer(tensor, f"{name}.rebnconvin", out)
        flat = levels == 0
        count = len(FLAT_DILATIONS) if flat else levels
        downs = [self._layer(start, f"{name}.rebnconv1", middle)]
        for number in range(2, count + 1):
            wanted = FLAT_DILATIONS[number - 1] if flat else 2 if number == count else 1
            small = downs[-1] if flat or number == count else self._halved(downs[-1])
            downs.append(self._layer(small, f"{name}.rebnconv{number}", middle, dilation=wanted))
        last = downs.pop()
        for number in range(count - 1, 0, -1):
            before = downs.pop()
            grown = last if flat or number == count - 1 else self._enlarged(last, 2)
            dilation = FLAT_DILATIONS[number - 1] if flat else 1
            width = middle if number > 1 else out
            last = self._layer(
                self._joined(grown, before), f"{name}.rebnconv{number}d", width, dilation=dilation
            )
        self.graph.scope = name
        return self.graph.apply("Add", last, start.name)

    def _layer(self, tensor: Tensor, name: str, filters: int, *, dilation: int = 1) -> Tensor:
        """A convolution of 3 × 3, normalised, without what is below zero."""
        shape = (filters, tensor.shape[-1] or 0, 3, 3)
        made = self._convolved(tensor, f"{name}.conv_s1", shape, dilation=dilation)
        scale, shift = (self._tensor(f"{name}.bn_s1.{what}", (filters,)) for what in ("weight", "bias"))
        mean = self._tensor(f"{name}.bn_s1.running_mean", (filters,))
        variance = self._tensor(f"{name}.bn_s1.running_var", (filters,))
        if variance.min() < 0:
            raise errors.ModelInvalid(f"{name} has a negative variance.")
        scale = scale / np.sqrt(variance + EPSILON)
        return self.graph.apply("Relu", self.graph.affine(made, scale, shift - mean * scale))

    def _side(self, tensor: Tensor, number: int) -> Tensor:
        return self._convolved(tensor, f"side{number}", (1, tensor.shape[-1] or 0, 3, 3))

    def _convolved(
        self, tensor: Tensor, name: str, shape: tuple[int, int, int, int], *, dilation: int = 1
    ) -> Tensor:
        self.graph.scope = name
        weight = self.graph.weight(self._tensor(f"{name}.weight", shape), "weight")
        bias = self.graph.weight(self._tensor(f"{name}.bias", shape[:1]), "bias")
        pad = dilation * (shape[2] // 2)
        return self.graph.apply(
            "Conv",
            tensor,
            weight,
            bias,
            shape=(*tensor.shape[:3], shape[0]),
            kernel_shape=list(shape[2:]),
            pads=[pad] * 4,
            dilations=[dilation] * 2,
        )

    def _halved(self, tensor: Tensor) -> Tensor:
        batch, height, width, channels = tensor.shape
        shape = (batch, (height or 0) // 2, (width or 0) // 2, channels)
        return self.graph.apply("MaxPool", tensor, shape=shape, kernel_shape=[2, 2], strides=[2, 2])

    def _enlarged(self, tensor: Tensor, times: int) -> Tensor:
        """Bilinear, half-pixel centres: PyTorch's ``align_corners=False``."""
        if times == 1:
            return tensor
        batch, height, width, channels = tensor.shape
        shape = (batch, (height or 0) * times, (width or 0) * times, channels)
        scales = self.graph.weight([1.0, 1.0, float(times), float(times)], "scales")
        centres = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.graph.apply("Resize", tensor, "", scales, shape=shape, **centres)

    def _joined(self, *tensors: Tensor) -> Tensor:
        channels = sum(tensor.shape[-1] or 0 for tensor in tensors)
        others = [tensor.name for tensor in tensors[1:]]
        return self.graph.apply(
            "Concat", tensors[0], *others, shape=(*tensors[0].shape[:3], channels), axis=1
        )

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        values = self._state.get(name)
        if values is None or values.shape != shape:
            raise errors.ModelInvalid(f"The state dict has no {errors.excerpt(name)} of shape {shape}.")
        if not np.isfinite(values).all():
            raise errors.ModelInvalid(f"{errors.excerpt(name)} has numbers that are not finite.")
        self._unused.discard(name)
        return values.astype(np.float64)
