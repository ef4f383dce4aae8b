"""How a saved Keras model is described: layers, their names, and which value each is called with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from heliograph.adapters.models.keras_layers import Step
from heliograph.adapters.models.keras_operations import OPERATIONS
from heliograph.core import errors

Json: TypeAlias = Any
"""A part of the description, or of the arguments made of it; what it is must be looked at."""

LAYERS_MOST = 20_000

FUNCTIONAL = ("Functional", "Model")
NESTED = (*FUNCTIONAL, "Sequential")
OPERATION_ROOMS = ("keras.src.ops", "keras.ops")


class Reference(NamedTuple):
    """A value in a description: what which layer answered in which of its calls."""

    layer: str
    call: int
    output: int


def described_as(value: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The class and the settings of a layer or model."""
    kind, config = value.get("class_name"), value.get("config")
    if isinstance(config, list):  # a Sequential model of Keras before 2.2
        config = {"layers": config}
    if not isinstance(kind, str) or not isinstance(config, Mapping):
        raise errors.ModelInvalid("The description of the model has a layer without a class or settings.")
    return kind, config


def is_operation(described: Mapping[str, Any]) -> bool:
    """Whether it is an operation and not a layer.

    Some have one name, and .h5 files do not say where it is from; only layers can be trained.
    """
    if described.get("module") is not None:
        return str(described["module"]).startswith(OPERATION_ROOMS)
    kind, config = described_as(described)
    return kind in OPERATIONS and "trainable" not in config


def steps_of(config: Mapping[str, Any]) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """The layers of a model with their names, and what Keras 3 calls their groups: their kinds, counted."""
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > LAYERS_MOST:
        raise errors.ModelInvalid("The model has no list of layers, or far too long a one.")
    counts: dict[str, int] = {}
    for described in layers:
        if not isinstance(described, Mapping):
            raise errors.ModelInvalid("The description of the model has a layer that is none.")
        kind, settings = described_as(described)
        name = described.get("name", settings.get("name"))
        if not isinstance(name, str):
            raise errors.ModelInvalid(f"The model has a {errors.excerpt(kind)} without a name.")
        key = _snake_case(kind)
        if not is_operation(described):
            count = counts[key] = counts.get(key, -1) + 1
            key = f"{key}_{count}" if count else key
        yield Step(name, key), described


def _snake_case(name: str) -> str:
    """``conv2d_transpose`` for ``Conv2DTranspose``, by Keras' rule."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def input_shape(kind: str, config: Mapping[str, Any]) -> Sequence[int | None]:
    """What a model takes, the batch first: from its input layer, or the first layer of a sequential one."""
    steps = {step.name: described for step, described in steps_of(config)}
    wanted = list(steps)[:1]
    if kind != "Sequential":
        wanted = [place.layer for place in references(config.get("input_layers"))]
        if len(wanted) != 1:
            raise errors.ModelInvalid(
                f"The model takes {len(wanted)} values; Heliograph serves models that take one picture."
            )
    for name in wanted:
        inner, settings = described_as(steps.get(name, {}))
        if inner in NESTED:
            return input_shape(inner, settings)
        for found in (settings.get("batch_shape"), settings.get("batch_input_shape")):
            if isinstance(found, list):
                return found
    build = config.get("build_input_shape")
    if isinstance(build, list):
        return build
    raise errors.ModelInvalid(
        "The model does not say which pictures it takes: save it after it has been built."
    )


def references(value: Json) -> list[Reference]:
    """References in ``input_layers`` and ``output_layers``: one, or several in lists or a dictionary."""
    if _is_reference(value):
        return [Reference(*value[:3])]
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        raise errors.ModelInvalid("The model does not say what goes in and what comes out.")
    return [reference for each in value for reference in references(each)]


def _is_reference(value: Json) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:3])
    )


def arguments_of(node: Json) -> tuple[list[Any], dict[str, Any]]:
    """How a layer is called: arguments and named ones, with references in them."""
    if isinstance(node, Mapping):
        arguments, named = _revived(node.get("args", [])), _revived(node.get("kwargs", {}))
        if isinstance(arguments, list) and isinstance(named, dict):
            return arguments, {name: value for name, value in named.items() if value is not None}
    elif _is_reference(node):
        return arguments_of([node])
    elif isinstance(node, list) and all(_is_reference(each) for each in node):
        named = {}
        for each in node:
            if len(each) == 4 and isinstance(each[3], Mapping):
                named.update({name: _old_value(value) for name, value in each[3].items()})
        return [one_or_all([Reference(*each[:3]) for each in node])], named
    raise errors.ModelInvalid("The model calls a layer in a way that cannot be read.")


def _old_value(value: Json) -> Json:
    if _is_reference(value):
        return Reference(*value[:3])
    return [_old_value(each) for each in value] if isinstance(value, list) else value


def _revived(value: Json) -> Json:
    """Arguments as Keras 3 writes them; values of the graph become references, slices slices."""
    if isinstance(value, list):
        return [_revived(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__" and isinstance(config, Mapping):
        history: Json = config.get("keras_history")
        if not _is_reference(history):
            raise errors.ModelInvalid("The model calls a layer with a value that comes from nowhere.")
        return Reference(*history[:3])
    if kind == "__slice__" and isinstance(config, Mapping):
        return slice(config.get("start"), config.get("stop"), config.get("step"))
    if kind in ("__tuple__", "__numpy__", "__tensor__"):
        inner = value.get("config", {})
        return _revived(inner.get("value") if isinstance(inner, Mapping) else inner)
    return {name: _revived(each) for name, each in value.items()}


def inner_references(value: Json) -> list[Reference]:
    """The references in arguments."""
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [reference for each in value for reference in inner_references(each)]
    return []


def one_or_all(values: list[Json]) -> Json:
    """The only value, or all of them, as Keras calls layers."""
    return values[0] if len(values) == 1 else values
