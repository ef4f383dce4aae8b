"""Keras files are followed without Keras; what is hostile or not known is named in one sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest

from heliograph.adapters.models import keras_reader
from heliograph.core import errors
from keras_archives import brightness, input_layer, layer, sequential, weights_file, write_keras


def answer(data: bytes, pictures: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {keras_reader.INPUT: np.asarray(pictures, np.float32)})[0]


def test_a_network_answers_as_its_layers_say(tmp_path: Path) -> None:
    made = keras_reader.convert(brightness(tmp_path / "net.keras"))
    assert (made.channels, made.height, made.width) == (3, 8, 8)
    assert [(output.shape, output.activation) for output in made.outputs] == [((None, 2), "softmax")]
    assert [step.kind for step in made.preprocessing] == ["Rescaling"]
    answers = answer(made.data, [np.full((3, 8, 8), value) for value in (0.0, 127.5, 255.0)])
    odds = np.exp(1) / (1 + np.exp(1))
    assert np.allclose(answers, [[odds, 1 - odds], [0.5, 0.5], [1 - odds, odds]], atol=1e-6)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = brightness(tmp_path / "net.keras")
    assert keras_reader.convert(path).data == keras_reader.convert(path).data


def test_one_unit_that_says_yes_or_no_becomes_two_classes(tmp_path: Path) -> None:
    config = sequential(
        input_layer(2, 2, 1), layer("Flatten", "flat"), layer("Dense", "yes", units=1, activation="sigmoid")
    )
    path = write_keras(tmp_path / "net.keras", config, {"dense": [[[0.5]] * 4, [-1.0]]})
    made = keras_reader.convert(path, two_classes=True)
    yes = 1 / (1 + np.exp(-(0.5 * 4 * 3 - 1)))
    assert np.allclose(answer(made.data, np.full((1, 1, 2, 2), 3)), [[1 - yes, yes]], atol=1e-6)
    assert made.outputs[0].activation == "softmax"


def test_logits_come_without_their_softmax_and_cooled(tmp_path: Path) -> None:
    made = keras_reader.convert(brightness(tmp_path / "net.keras"), logits=True, temperature=2.0)
    assert np.allclose(answer(made.data, np.full((1, 3, 8, 8), 255)), [[0.0, 0.5]], atol=1e-6)
    assert made.outputs[0].activation == "linear"


MOVING = (
    layer("Resizing", "resized", height=8, width=8),
    layer("CenterCrop", "cropped", height=6, width=6),
    layer("ZeroPadding2D", "padded", padding=[[1, 1], [1, 1]]),
    layer("RandomFlip", "flipped"),
)


@pytest.mark.parametrize(
    ("behind", "found"),
    [((), []), ((layer("Rescaling", "scaled", scale=1 / 255, offset=0.0),), ["Rescaling"])],
    ids=["nothing", "rescaling"],
)
def test_only_layers_that_change_values_are_preprocessing(
    tmp_path: Path, behind: Any, found: list[str]
) -> None:
    config = tiny(*MOVING, *behind, layer("GlobalAveragePooling2D", "mean"))
    made = keras_reader.convert(write_keras(tmp_path / "net.keras", config))
    assert [step.kind for step in made.preprocessing] == found


FLAT = layer("Flatten", "flat")
ONE_UNIT = [np.full((4, 1), 0.5), [-1.0]]


@pytest.mark.parametrize(
    ("last", "activation"),
    [
        ((), "linear"),
        ((layer("Softmax", "shares"), layer("Reshape", "shape", target_shape=[2])), "softmax"),
        (
            (
                layer("Activation", "yes", activation="sigmoid"),
                layer("Reshape", "shape", target_shape=[1, 2]),
                layer("Flatten", "again"),
                layer("Dropout", "dropout", rate=0.5),
                layer("Activation", "nothing", activation="linear"),
            ),
            "sigmoid",
        ),
        ((layer("Rescaling", "cooled", scale=0.5, offset=1.0),), "linear"),
        ((layer("Softmax", "shares"), layer("Rescaling", "scaled", scale=2.0)), "unknown"),
        ((layer("Softmax", "shares"), layer("Add", "sum")), "softmax"),
        ((layer("ReLU", "relu"),), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(each["class_name"] for each in value),
)
def test_what_the_answer_comes_out_of_is_seen(tmp_path: Path, last: Any, activation: str) -> None:
    config = sequential(input_layer(2, 2, 1), FLAT, layer("Dense", "dense", units=2), *last)
    path = write_keras(tmp_path / "net.keras", config, {"dense": [np.eye(4, 2), [0.0, 1.0]]})
    assert keras_reader.convert(path).outputs[0].activation == activation


def test_a_sum_of_shares_is_not_taken_for_logits(tmp_path: Path) -> None:
    def after(kind: str, *before: str, **config: Any) -> dict[str, Any]:
        history = [
            {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in before
        ]
        arguments = history if len(history) == 1 else [history]
        return {
            **layer(kind, kind, **config),
            "name": kind,
            "inbound_nodes": [{"args": arguments, "kwargs": {}}],
        }

    layers = [
        {**input_layer(2, 2, 3), "name": "picture", "inbound_nodes": []},
        after("GlobalAveragePooling2D", "picture"),
        after("Softmax", "GlobalAveragePooling2D"),
        after("ReLU", "GlobalAveragePooling2D"),
        after("Add", "Softmax", "ReLU"),
    ]
    parts = {"layers": layers, "input_layers": ["picture", 0, 0], "output_layers": ["Add", 0, 0]}
    path = write_keras(tmp_path / "net.keras", {"class_name": "Functional", "config": parts})
    assert keras_reader.convert(path).outputs[0].activation == "unknown"


def test_an_activation_is_left_out_from_before_a_change_of_shape(tmp_path: Path) -> None:
    yes = layer("Dense", "yes", units=1, activation="sigmoid")
    config = sequential(
        input_layer(2, 2, 1),
        FLAT,
        yes,
        layer("Reshape", "column", target_shape=[1, 1]),
        layer("Flatten", "a"),
    )
    path = write_keras(tmp_path / "net.keras", config, {"dense": ONE_UNIT})
    logit = 0.5 * 4 * 3 - 1
    picture = np.full((1, 1, 2, 2), 3)
    assert np.allclose(answer(keras_reader.convert(path, logits=True).data, picture), [[logit]])
    made = keras_reader.convert(path, two_classes=True)
    share = 1 / (1 + np.exp(-logit))
    assert np.allclose(answer(made.data, picture), [[1 - share, share]], atol=1e-6)
    assert made.outputs[0].activation == "softmax"


def tiny(*layers: dict[str, Any]) -> dict[str, Any]:
    return sequential(input_layer(4, 4, 3), *layers)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (tiny(layer("Lambda", "evil", function="0000")), r"evil \(Lambda\) holds code"),
        (tiny(layer("TFSMLayer", "other", filepath="saved")), r"other \(TFSMLayer\) holds code"),
        (tiny(layer("MyLayer", "mine")), r"mine \(MyLayer\) is of a kind that is not known; export"),
        (tiny(layer("Activation", "act", activation="my_own")), r"act \(my_own\) has an activation"),
        (tiny(layer("Dense", "dense", units=1 << 40)), "units that is not a whole number"),
        (tiny(layer("Dense", "dense", units=7)), "0 weights in the file"),
        (tiny(layer("Reshape", "shape", target_shape=[1 << 60])), "cannot bring"),
        (tiny(layer("UpSampling2D", "up", size="big")), "not a whole number"),
        ({"class_name": "MyModel", "config": {}}, "a class of its own, MyModel"),
        (sequential(input_layer(784)), "not pictures"),
        (sequential(input_layer(4, 4, 7)), "7 channels"),
        (sequential(layer("Flatten", "flat")), "does not say which pictures"),
        ({"class_name": "Functional", "config": {"layers": []}}, "what goes in"),
        ([], "does not describe a model"),
    ],
    ids=str,
)
def test_what_cannot_be_converted_is_named(tmp_path: Path, config: Any, says: str) -> None:
    path = write_keras(tmp_path / "net.keras", json.dumps(config))
    with pytest.raises(errors.ModelInvalid, match=says):
        keras_reader.convert(path)


def test_models_inside_each_other_have_an_end(tmp_path: Path) -> None:
    config = sequential(input_layer(4, 4, 3))
    for _ in range(100):
        config = {**sequential(config), "config": {"name": "net", "layers": [config]}}
    with pytest.raises(errors.ModelInvalid):
        keras_reader.convert(write_keras(tmp_path / "net.keras", config))


def test_json_of_a_million_brackets_is_refused(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "net.keras", '{"a":' + "[" * 1_000_000)
    with pytest.raises(errors.ModelInvalid, match="JSON"):
        keras_reader.convert(path)


def test_a_layer_that_waits_for_itself_is_refused(tmp_path: Path) -> None:
    history = {"class_name": "__keras_tensor__", "config": {"keras_history": ["loop", 0, 0]}}
    loop = {**layer("ReLU", "loop"), "name": "loop", "inbound_nodes": [{"args": [history], "kwargs": {}}]}
    first = {**input_layer(4, 4, 3), "name": "picture", "inbound_nodes": []}
    parts = {"layers": [first, loop], "input_layers": ["picture", 0, 0], "output_layers": ["loop", 0, 0]}
    path = write_keras(tmp_path / "net.keras", {"class_name": "Functional", "config": parts})
    with pytest.raises(errors.ModelInvalid, match="loop waits for a value"):
        keras_reader.convert(path)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_zip_bomb_is_refused_before_it_is_large(tmp_path: Path, member: str) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "model.weights.h5"):
            archive.writestr(name, bytes(200_000_000) if name == member else "{}")
    with pytest.raises(errors.ModelInvalid, match="unpacks to far more"):
        keras_reader.convert(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = brightness(tmp_path / "whole.keras").read_bytes()
    path = tmp_path / "cut.keras"
    for size in range(0, len(whole), 101):
        path.write_bytes(whole[:size])
        with pytest.raises(errors.ModelInvalid):
            keras_reader.convert(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    config = tiny(layer("Flatten", "flat"), layer("Dense", "dense", units=1))
    path = write_keras(tmp_path / "net.keras", config, {"dense": [np.full((48, 1), np.nan), [0.0]]})
    with pytest.raises(errors.ModelInvalid, match="not finite"):
        keras_reader.convert(path)


def test_weights_without_their_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(weights_file({"dense": [[1.0]]}))
    with pytest.raises(errors.ModelInvalid, match="weights without their model"):
        keras_reader.convert(path)


def test_an_old_file_is_read_with_layers_named_inside_a_model(tmp_path: Path) -> None:
    """As Keras 2 wrote it: lists for calls, names with ``:0``, calls of an inner model counted from one."""
    inner = {
        "class_name": "Functional",
        "config": {
            "name": "inner",
            "layers": [
                old("InputLayer", "x", batch_input_shape=[None, 4, 4, 1]),
                old("Dense", "mix", "x", units=1),
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["mix", 0, 0]],
        },
    }
    layers = [
        old("InputLayer", "picture", batch_input_shape=[None, 4, 4, 1]),
        {**inner, "name": "inner", "inbound_nodes": [[["picture", 0, 0, {}]]]},
        old("TFOpLambda", "plus", "inner", 1, {"y": 3.0}, function="__operators__.add"),
        old("GlobalAveragePooling2D", "mean", "plus"),
    ]
    config = {"layers": layers, "input_layers": [["picture", 0, 0]], "output_layers": [["mean", 0, 0]]}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        file.attrs["keras_version"] = "2.15.0"
        kept = file.create_group("model_weights/inner")
        kept.attrs["weight_names"] = [b"mix/kernel:0", b"mix/bias:0"]
        kept["mix/kernel:0"], kept["mix/bias:0"] = np.array([[2.0]], "f4"), np.array([0.5], "f4")
    made = keras_reader.convert(tmp_path / "old.h5")
    assert np.allclose(answer(made.data, np.full((1, 1, 4, 4), 10.0)), [[23.5]])


def old(
    kind: str, name: str, before: str = "", call: int = 0, named: dict[str, Any] | None = None, **config: Any
) -> dict[str, Any]:
    nodes = [[[before, call, 0, named or {}]]] if before else []
    settings = {"name": name, "trainable": True, **config}
    return {"class_name": kind, "name": name, "config": settings, "inbound_nodes": nodes}
