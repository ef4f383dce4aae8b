"""A model that Keras saved → an ONNX file that computes the same, without Keras and without running anything of it.

The description is followed layer by layer. Layers are known by name and written down in ONNX by the
``keras_…`` modules beside this one; code in the file (a Lambda layer, a class of somebody's own) is
never looked at, only named in the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.adapters.models.endings import ending, without_activation
from heliograph.adapters.models.keras_files import open_keras
from heliograph.adapters.models.keras_network import Network, Preprocessing
from heliograph.adapters.models.onnx_folding import fold
from heliograph.adapters.models.onnx_graph import Graph, Shape, Tensor, onnx_file
from heliograph.core import errors

INPUT = "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One answer of a network: its name in the ONNX file, its shape there, and the activation it comes out of.

    ``activation`` is as in `endings.Ending`: "softmax", "sigmoid", "linear" or "unknown".
    """

    name: str
    shape: Shape
    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The ONNX file, and what the model said of itself.

    ``data`` has one input, `INPUT`: (n, channels, height, width), where height and width are None if the
    model takes pictures of any size. Pictures that come out are (n, channels, height, width) too.
    ``preprocessing`` are the layers that scale the values of pictures before anything else, in their order:
    the file has them in it. ``families`` are names of the model and of models inside it that get the picture
    as it comes, such as "mobilenetv2_1.00_224".
    """

    data: bytes
    name: str
    channels: int
    height: int | None
    width: int | None
    outputs: tuple[Output, ...]
    preprocessing: tuple[Preprocessing, ...]
    families: tuple[str, ...]


def convert(
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    logits: bool = False,
    temperature: float = 1.0,
    two_classes: bool = False,
) -> Converted:
    """The ONNX file of a ``.keras`` archive or ``.h5`` file.

    Args:
        path: the file that ``model.save`` wrote, with Keras 2 or 3.
        metadata: names and values to write into the file, such as its licence.
        logits: leave the softmax or sigmoid at the end out.
        temperature: divide the answers by it.
        two_classes: make two answers of a single one that says yes or no: no and yes.

    Raises:
        ModelInvalid: the file is damaged, is not a whole model, takes anything but one picture, or has a layer
            that is not known; the message names the layer.
    """
    with open_keras(path) as saved:
        network = Network(saved)
        try:
            outputs = network.run()
        except RecursionError as error:
            raise errors.ModelInvalid("The model has too many models inside each other.") from error
    graph = network.graph
    answers = tuple(
        _answer(graph, tensor, logits=logits, temperature=temperature, two_classes=two_classes)
        for tensor in outputs
    )
    shapes = {answer.name: answer.shape for answer in answers}
    if len(shapes) < len(answers):
        raise errors.ModelInvalid("The model answers the same value twice.")
    fold(graph, shapes)
    data = onnx_file(graph, {INPUT: network.input_shape}, shapes, metadata=metadata or {})
    _, channels, height, width = network.input_shape
    return Converted(
        data=data,
        name=network.name,
        channels=channels or 0,
        height=height,
        width=width,
        outputs=answers,
        preprocessing=tuple(network.preprocessing),
        families=tuple(network.families),
    )


def _no_and_yes(graph: Graph, tensor: Tensor, activation: str) -> Tensor:
    """What one unit says of two classes: probabilities of a sigmoid, else logits of which the first is zero.

    Of a sigmoid, ``tensor`` is what goes into it.
    """
    graph.scope = "classes"
    zero = graph.node("Mul", [tensor.name, graph.number(0.0)])
    both = Tensor(graph.node("Concat", [zero, tensor.name], axis=1), (tensor.shape[0], 2))
    return graph.apply("Softmax", both, axis=1) if activation == "sigmoid" else both


def _answer(graph: Graph, tensor: Tensor, *, logits: bool, temperature: float, two_classes: bool) -> Output:
    graph.scope = "answer"
    end = ending(graph.nodes, graph.weights, tensor.name)
    activation = end.activation
    one_unit = two_classes and tensor.shape[1:] == (1,) and activation in ("sigmoid", "linear")
    if logits or one_unit:
        tensor = replace(tensor, name=without_activation(graph, end, tensor.name))
    if one_unit:
        tensor = _no_and_yes(graph, tensor, "linear" if logits else activation)
        activation = "softmax" if activation == "sigmoid" else activation
    if logits and activation != "unknown":
        activation = "linear"
    if temperature != 1.0:
        tensor = graph.affine(tensor, 1 / temperature, 0.0)
    if tensor.name == INPUT:
        tensor = graph.apply("Identity", tensor)
    shape = tensor.shape
    if tensor.channels_first:
        shape = (shape[0], shape[3], shape[1], shape[2])
    return Output(name=tensor.name, shape=shape, activation=activation)
