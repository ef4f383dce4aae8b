"""Follows the description of a Keras model from its input to its answers, also into models inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.adapters.models import (
    keras_activations,
    keras_arithmetic,
    keras_convolutions,
    keras_operations,
    keras_shapes,
)
from heliograph.adapters.models.keras_description import (
    FUNCTIONAL,
    NESTED,
    Json,
    Reference,
    arguments_of,
    described_as,
    inner_references,
    input_shape,
    is_operation,
    one_or_all,
    references,
    steps_of,
)
from heliograph.adapters.models.keras_files import SavedModel
from heliograph.adapters.models.keras_layers import Address, Layer, Step
from heliograph.adapters.models.onnx_graph import Graph, Shape, Tensor
from heliograph.core import errors

CALLS_MOST = 50_000
DEPTH_MOST = 20

CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
"""Layers that would run code or other programs out of the file."""

SCALING = ("Rescaling", "Normalization")
MOVING = (
    "CenterCrop", "Cropping2D", "Resizing", "UpSampling2D", "ZeroPadding2D", *keras_arithmetic.ONLY_IN_TRAINING,
)  # fmt: skip
"""Layers that leave the values of pixels as they are."""
RECKONING = ("TrueDivide", "Divide", "Multiply", "Subtract", "Add")
"""Operations that scale values where they are done with numbers, as ``preprocess_input`` does."""

Writer = Callable[[Graph, Layer, Sequence[Tensor]], Tensor]
WRITERS: Mapping[str, Writer] = {
    **keras_activations.WRITERS,
    **keras_arithmetic.WRITERS,
    **keras_convolutions.WRITERS,
    **keras_shapes.WRITERS,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """A layer that scales values before the network: its kind and its settings."""

    kind: str
    settings: Mapping[str, object]


class Network:
    """A saved model as a graph; what else it has is known once it ran.

    ``input_shape`` is (None, channels, height, width).
    """

    def __init__(self, saved: SavedModel) -> None:
        self.graph = Graph()
        self.preprocessing: list[Preprocessing] = []
        self.input_shape: Shape = ()
        self.name = ""
        self.families: list[str] = []
        self._saved = saved
        self._layers: dict[Address, Layer] = {}
        self._calls = 0
        self._raw: set[str] = set()

    def run(self) -> list[Tensor]:
        """What the model answers; what it is asked is one picture.

        Raises:
            ModelInvalid: a layer is not known or wrong, or the description makes no sense.
        """
        kind, config = described_as(self._saved.config)
        if kind not in NESTED:
            raise errors.ModelInvalid(
                f"The model is a class of its own, {errors.excerpt(kind)}, whose code is not in the file; "
                "export it to ONNX and add that file."
            )
        self.name = str(config.get("name", ""))[:200]
        self.families.append(self.name)
        picture = self._input(input_shape(kind, config))
        self._raw.add(picture.name)
        return self._model(kind, config, [picture], ())

    def _input(self, shape: Sequence[int | None]) -> Tensor:
        """The picture: (batch, height, width, channels), or without the last where there are no colours."""
        lengths = tuple(shape)
        wrong = any(n is not None and (not isinstance(n, int) or not 0 < n < 1 << 16) for n in lengths[1:])
        if len(lengths) not in (3, 4) or wrong or lengths[-1 if len(lengths) == 4 else 0] == 0:
            raise errors.ModelInvalid(f"The model takes values of shape {lengths}, not pictures.")
        grey = len(lengths) == 3
        height, width = lengths[1:3]
        channels = 1 if grey else lengths[3]
        if channels not in (1, 3):
            raise errors.ModelInvalid(f"The model takes pictures of {channels} channels instead of 1 or 3.")
        self.input_shape = (None, channels, height, width)
        if not grey:
            return Tensor("pictures", (None, height, width, channels), True)
        axes = self.graph.weight([1], "axes")
        return Tensor(self.graph.node("Squeeze", ["pictures", axes]), (None, height, width))

    def _model(
        self, kind: str, config: Mapping[str, Any], inputs: Sequence[Tensor], address: Address
    ) -> list[Tensor]:
        if len(address) > DEPTH_MOST:
            raise errors.ModelInvalid("The model has too many models inside each other.")
        steps = list(steps_of(config))
        if kind == "Sequential":
            tensors = list(inputs)
            for step, described in steps:
                tensors = self.call(described, (*address, step), [one_or_all(tensors)], {})
            return tensors
        return _Wiring(self, config, steps, address).run(inputs)

    def call(
        self,
        described: Mapping[str, Any],
        address: Address,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
    ) -> list[Tensor]:
        """What one layer, or a model inside this one, answers when it is called once."""
        self._calls += 1
        if self._calls > CALLS_MOST:
            raise errors.ModelInvalid("The model has too many layers.")
        kind, config = described_as(described)
        tensors = [*tensors_in(arguments), *tensors_in(list(named.values()))]
        if kind in NESTED:
            if any(tensor.name in self._raw for tensor in tensors):
                self.families.append(address[-1].name[:200])
            return self._model(kind, config, tensors, address)
        if kind == "InputLayer":
            return tensors
        layer = self._layer(kind, config, address)
        self.graph.scope = layer.name
        if is_operation(described) or kind in ("TFOpLambda", "SlicingOpLambda"):
            call = keras_operations.Call(self.graph, layer, arguments, named)
            call = keras_operations.named(call) if kind == "TFOpLambda" else call
            made = keras_operations.write(call)
            self._note(call.layer, tensors, made)
            return [made]
        made = self._writer(layer)(self.graph, layer, tensors)
        self._note(layer, tensors, made)
        return [made]

    def _layer(self, kind: str, config: Mapping[str, Any], address: Address) -> Layer:
        if address not in self._layers:
            layer = Layer(address[-1].name, kind, config, version=self._saved.version)
            if kind in WRITERS:
                layer.weights = self._saved.weights.of(address)
            self._layers[address] = layer
        return self._layers[address]

    def _writer(self, layer: Layer) -> Writer:
        if layer.kind in CODE:
            layer.fail(
                "holds code, and no code out of a model file is run; build the model of Keras' own layers"
            )
        writer = WRITERS.get(layer.kind)
        if writer is None:
            layer.fail("is of a kind that is not known; export the model to ONNX and add that file")
        return writer

    def _note(self, layer: Layer, inputs: Sequence[Tensor], made: Tensor) -> None:
        """Remembers a layer that only scales the values of the picture that came in."""
        raw = len(inputs) == 1 and inputs[0].name in self._raw and inputs[0].rank in (3, 4)
        if raw and layer.kind in (*SCALING, *RECKONING):
            self.preprocessing.append(Preprocessing(layer.kind, layer.config))
            self._raw.add(made.name)
        elif raw and layer.kind in MOVING:
            self._raw.add(made.name)


class _Wiring:
    """One functional model while it is followed: which layers were called, and what they answered."""

    def __init__(
        self,
        network: Network,
        config: Mapping[str, Any],
        steps: Sequence[tuple[Step, Mapping[str, Any]]],
        address: Address,
    ) -> None:
        self._network = network
        self._config = config
        self._address = address
        self._steps = {step.name: (step, described) for step, described in steps}
        self._values: dict[tuple[str, int], list[Tensor]] = {}
        if len(self._steps) < len(steps):
            raise errors.ModelInvalid("Two layers of the model have the same name.")
        self._bases = self._old_bases()

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """What the model answers to ``inputs``."""
        places = references(self._config.get("input_layers"))
        if len(places) != len(inputs):
            raise errors.ModelInvalid(
                f"The model {errors.excerpt(self._config.get('name'))} takes {len(places)} values; "
                "Heliograph serves models that take one picture."
            )
        for place, tensor in zip(places, inputs, strict=True):
            self._values[place.layer, 0] = [tensor]
        self._follow()
        return [self._answer(place) for place in references(self._config.get("output_layers"))]

    def _follow(self) -> None:
        """Calls each layer as soon as what it wants is there, in the order of the description."""
        waiting = [
            (name, number, node)
            for name, (_, described) in self._steps.items()
            for number, node in enumerate(described.get("inbound_nodes") or [])
            if (name, number) not in self._values
        ]
        while waiting:
            later = []
            for name, number, node in waiting:
                arguments, named = arguments_of(node)
                if all(self._known(reference) for reference in inner_references([arguments, named])):
                    step, described = self._steps[name]
                    self._values[name, number] = self._network.call(
                        described, (*self._address, step), self._filled(arguments), self._filled(named)
                    )
                else:
                    later.append((name, number, node))
            if len(later) == len(waiting):
                raise errors.ModelInvalid(
                    f"Layer {errors.excerpt(later[0][0])} waits for a value that never comes."
                )
            waiting = later

    def _known(self, reference: Reference) -> bool:
        if reference.layer not in self._steps:
            raise errors.ModelInvalid(f"The model has no layer {errors.excerpt(reference.layer)}.")
        return (reference.layer, self._number(reference)) in self._values

    def _number(self, reference: Reference) -> int:
        return reference.call - self._bases.get(reference.layer, 0)

    def _value(self, reference: Reference) -> Tensor:
        values = self._values[reference.layer, self._number(reference)]
        if not 0 <= reference.output < len(values):
            raise errors.ModelInvalid(
                f"Layer {errors.excerpt(reference.layer)} has fewer answers than are used."
            )
        return values[reference.output]

    def _answer(self, reference: Reference) -> Tensor:
        """An answer of the model. Keras 3 counts calls of functional models from one in this place alone."""
        _, described = self._steps.get(reference.layer, (None, {}))
        if described.get("class_name") in FUNCTIONAL and reference.layer not in self._bases:
            reference = reference._replace(call=reference.call - 1)
        if not self._known(reference):
            raise errors.ModelInvalid(f"Layer {errors.excerpt(reference.layer)} is never called.")
        return self._value(reference)

    def _filled(self, value: Json) -> Json:
        """The same arguments with values of the graph in the place of references."""
        if isinstance(value, Reference):
            return self._value(value)
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, Mapping):
            return {name: self._filled(each) for name, each in value.items()}
        return value

    def _old_bases(self) -> dict[str, int]:
        """Keras 2 counts the calls of a model inside a model from one, because making it counts as a call."""
        nodes = [
            node for _, described in self._steps.values() for node in described.get("inbound_nodes") or []
        ]
        if any(isinstance(node, Mapping) for node in nodes):
            return {}
        used = list(references(self._config.get("output_layers")))
        for node in nodes:
            used += inner_references(list(arguments_of(node)))
        bases: dict[str, int] = {}
        for reference in used:
            if self._steps.get(reference.layer, (None, {}))[1].get("class_name") in NESTED:
                bases[reference.layer] = min(reference.call, bases.get(reference.layer, reference.call))
        return bases


def tensors_in(value: Json) -> Iterator[Tensor]:
    """The values of the graph in arguments, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)
