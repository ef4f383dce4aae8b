"""A Keras network as an ONNX file, proven to compute the same.

Keras' own way to ONNX leads through a converter that no longer keeps up; the few layers that
our networks use are quicker written down than worked around.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from heliograph.core.pictures import Float32Array

OPSET = 17
IR_VERSION = 8
TOLERANCE = 1e-4
INPUT, OUTPUT = "pictures", "logits"

Array = npt.NDArray[Any]


class ExportFailed(Exception):
    """The network has a layer that we cannot write, or the file computes something else."""


def export(model: keras.Model, path: Path, *, probes: Float32Array, temperature: float = 1.0) -> None:
    """Writes the network: (n, 1, 28, 28) normalised pictures in, (n, classes) logits out, any n.

    Args:
        model: built of the layers that `Graph` knows.
        path: the file; it appears only if it computes what ``model`` does.
        probes: (n, 28, 28, 1) pictures to prove that with.
        temperature: the logits are divided by it.

    Raises:
        ExportFailed: it cannot be written, or its logits differ by more than 1e-4.
    """
    graph = Graph(model, temperature=temperature)
    proto = graph.proto()
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString()
    prove(data, probes, expected=model.predict(probes, verbose=0) / temperature)
    path.write_bytes(data)


def prove(data: bytes, probes: Float32Array, *, expected: Float32Array) -> None:
    """Raises `ExportFailed` unless the ONNX file answers ``expected`` for ``probes`` (n, 28, 28, 1)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {INPUT: probes.transpose(0, 3, 1, 2)})
    difference = float(np.abs(answer - expected).max())
    if not difference <= TOLERANCE:
        raise ExportFailed(f"The file's logits differ from the network's by {difference:.2g}.")


class Graph:
    """An ONNX graph that grows layer by layer, in the order of the network.

    Pictures are (n, channels, height, width) in it, where Keras has the channels last. Each
    normalisation is folded into the convolution before it.
    """

    def __init__(self, model: keras.Model, *, temperature: float) -> None:
        self._temperature = temperature
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._names: dict[int, str] = {}
        self._convolutions: dict[str, str] = {}
        self._input_shape, self._output_shape = model.input_shape, model.output_shape
        writers: dict[str, Callable[[keras.Layer, list[str], str], str]] = {
            "InputLayer": lambda layer, inputs, output: INPUT,
            "Dropout": lambda layer, inputs, output: inputs[0],
            "Conv2D": self._convolution,
            "BatchNormalization": self._normalisation,
            "ReLU": lambda layer, inputs, output: self._node("Relu", inputs, output),
            "Add": lambda layer, inputs, output: self._node("Add", inputs, output),
            "MaxPooling2D": self._max_pooling,
            "GlobalAveragePooling2D": self._average,
            "Dense": self._dense,
        }
        for layer in model.layers:
            kind = type(layer).__name__
            if kind not in writers:
                raise ExportFailed(f"{layer.name} is a {kind}, which we cannot write.")
            tensors = layer.input if isinstance(layer.input, list) else [layer.input]
            inputs = [] if kind == "InputLayer" else [self._names[id(tensor)] for tensor in tensors]
            last = layer is model.layers[-1]
            self._names[id(layer.output)] = writers[kind](layer, inputs, OUTPUT if last else layer.name)

    def proto(self) -> onnx.ModelProto:
        """The graph as a model."""
        _, height, width, channels = self._input_shape
        given = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["n", channels, height, width])
        answer = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["n", self._output_shape[-1]])
        weights = [
            numpy_helper.from_array(value.astype(np.float32), name) for name, value in self._weights.items()
        ]
        graph = helper.make_graph(self._nodes, "heliograph", [given], [answer], weights)
        return helper.make_model(
            graph,
            producer_name="heliograph",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: list[int]) -> str:
        node = helper.make_node(kind, inputs, [output], output)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return output

    def _convolution(self, layer: keras.Layer, inputs: list[str], output: str) -> str:
        height, width = layer.kernel_size
        plain = layer.padding == "same" and layer.strides == (1, 1) and layer.dilation_rate == (1, 1)
        if not plain or layer.groups != 1 or layer.use_bias or not height % 2 or not width % 2:
            raise ExportFailed(f"{layer.name}: only plain convolutions without a bias can be written.")
        weight, bias = f"{output}.weight", f"{output}.bias"
        self._weights[weight] = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
        self._weights[bias] = np.zeros(layer.filters)
        pads = [height // 2, width // 2] * 2
        return self._node("Conv", [*inputs, weight, bias], output, kernel_shape=[height, width], pads=pads)

    def _normalisation(self, layer: keras.Layer, inputs: list[str], output: str) -> str:
        (name,) = inputs
        weight, bias = f"{name}.weight", f"{name}.bias"
        if self._nodes[-1].op_type != "Conv" or self._nodes[-1].output[0] != name:
            raise ExportFailed(f"{layer.name} does not follow a convolution.")
        scale = np.asarray(layer.gamma) / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
        self._weights[weight] = self._weights[weight] * scale[:, None, None, None]
        self._weights[bias] = np.asarray(layer.beta) - np.asarray(layer.moving_mean) * scale
        return name

    def _max_pooling(self, layer: keras.Layer, inputs: list[str], output: str) -> str:
        if layer.padding != "valid":
            raise ExportFailed(f"{layer.name}: only pooling without padding can be written.")
        shape, strides = list(layer.pool_size), list(layer.strides)
        return self._node("MaxPool", inputs, output, kernel_shape=shape, strides=strides)

    def _average(self, layer: keras.Layer, inputs: list[str], output: str) -> str:
        pooled = self._node("GlobalAveragePool", inputs, f"{output}.pooled")
        return self._node("Flatten", [pooled], output)

    def _dense(self, layer: keras.Layer, inputs: list[str], output: str) -> str:
        if layer.activation is not keras.activations.linear:
            raise ExportFailed(f"{layer.name}: only a dense layer without an activation can be written.")
        weight, bias = f"{output}.weight", f"{output}.bias"
        self._weights[weight] = np.asarray(layer.kernel) / self._temperature
        self._weights[bias] = np.asarray(layer.bias) / self._temperature
        return self._node("Gemm", [*inputs, weight, bias], output)
