"""What ``heliograph models add`` tells from a file, what it must be told, and what cannot be said of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from heliograph.adapters.models.manifest import read_package
from heliograph.core.models import Meaning, Task
from integration.model_adding import add, answer_of, graph, labels, left, means
from keras_archives import input_layer, layer, sequential, write_keras
from torch_files import published_u2netp, write_state_dict

pytestmark = pytest.mark.timeout(400)  # each file has a process of its own, slow to start on a busy machine


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOGRAPH_MODEL_DIR", str(tmp_path / "store"))
    return tmp_path / "store"


def test_numbers_of_a_sigmoid_get_no_softmax_unasked(tmp_path: Path, store: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Sigmoid", ["means"], ["y"]),
    ]
    file = tmp_path / "tags.onnx"
    file.write_bytes(graph(nodes, ["n", 3, 8, 8], ["n", 3]))
    said_of_it = (file, "--preprocessing", "signed", "--labels", labels(tmp_path, "red", "green", "blue"))
    status, said = add(*said_of_it)
    assert status == 1
    assert "--meaning says it: probabilities" in said
    assert left(store) == []
    assert "leave it out" in add(*said_of_it, "--meaning", "matte")[1]
    status, said = add(*said_of_it, "--meaning", "probabilities")
    assert status == 0, said
    assert read_package(store / "tags").output.meaning is Meaning.PROBABILITIES


def test_shares_that_the_layers_do_not_tell_are_known_by_their_values(tmp_path: Path, store: Path) -> None:
    config = sequential(
        input_layer(8, 8, 3),
        layer("GlobalAveragePooling2D", "mean"),
        layer("Softmax", "shares"),
        layer("Rescaling", "same", scale=1.0, offset=0.0),
    )
    file = write_keras(tmp_path / "shares.keras", config)
    status, said = add(file, "--preprocessing", "unit", "--labels", labels(tmp_path, "a", "b", "c"))
    assert status == 0, said
    assert read_package(store / "shares").output.meaning is Meaning.PROBABILITIES


def channels_last(folder: Path) -> Path:
    """Answers (n, 1, 1, 3)."""
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=1)
    path = folder / "channels-last.onnx"
    path.write_bytes(graph([node], ["n", 8, 8, 3], ["n", 1, 1, 3]))
    return path


def test_axes_of_length_one_do_not_hide_classes(tmp_path: Path, store: Path) -> None:
    named = labels(tmp_path, "red", "green", "blue")
    status, said = add(channels_last(tmp_path), "--labels", named, "--preprocessing", "none")
    assert status == 0, said
    assert read_package(store / "channels-last").task is Task.CLASSIFICATION


def one_number(*last: onnx.NodeProto) -> bytes:
    """Answers (n, 1): the sum of the mean of each channel, less 1, and what ``last`` makes of it."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["gemm" if last else "y"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((3, 1), np.float32), "kernel"),
        numpy_helper.from_array(np.full(1, -1, np.float32), "bias"),
    ]
    return graph([*nodes, *last], ["n", 3, 8, 8], ["n", 1], weights)


@pytest.mark.parametrize(
    ("last", "meaning", "answers"),
    [
        ([], Meaning.LOGITS, [0.0, 2.0]),
        (["Sigmoid"], Meaning.PROBABILITIES, [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))]),
    ],
    ids=["logit", "sigmoid"],
)
def test_one_number_that_says_yes_or_no_becomes_two_classes(
    tmp_path: Path, store: Path, last: list[str], meaning: Meaning, answers: list[float]
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(one_number(*(helper.make_node(kind, ["gemm"], ["y"]) for kind in last)))
    named = labels(tmp_path, "no", "yes")
    status, said = add(file, "--labels", named, "--preprocessing", "unit", "--output", "y")
    assert status == 0, said
    assert read_package(store / "net").output.meaning is meaning
    found = answer_of(store / "net" / "net.onnx", np.ones((2, 3, 8, 8), np.float32))
    assert np.allclose(found, [answers, answers])


def test_one_number_of_which_nothing_is_known_is_refused(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(one_number(helper.make_node("Relu", ["gemm"], ["y"])))
    status, said = add(file, "--labels", labels(tmp_path, "no", "yes"), "--preprocessing", "unit")
    assert status == 1
    assert "end it with a sigmoid" in said


def test_what_is_known_of_weights_cannot_be_said_otherwise(
    tmp_path: Path, store: Path, data_folder: Path
) -> None:
    file = write_state_dict(tmp_path / "net.pth", published_u2netp(data_folder))
    status, said = add(file, "--labels", labels(tmp_path, "a", "b"), "--size", "64", "--std", "2")
    assert status == 1
    assert "leave --labels, --size, --mean, --std out" in said
    assert left(store) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--std", "nan"), "those of --std above 0"),
        (("--mean", "inf"), "--mean and --std want"),
        (("--size", "9999"), "fixes the model's size at 8 × 8 pixels; leave --size out"),
        (("--title", "two\nlines"), "--title is one line"),
        (("--licence", ""), "--licence is one line"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_an_option_that_does_not_fit_is_named(
    tmp_path: Path, store: Path, options: tuple[str, ...], says: str
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(means())
    named = labels(tmp_path, "a", "b", "c")
    status, said = add(file, "--labels", named, "--preprocessing", "unit", *options)
    assert status == 1
    assert says in said
    assert ".adding" not in said


def test_a_label_that_cannot_be_printed_is_named(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(means())
    named = labels(tmp_path, "a", "b\x1b", "c")
    status, said = add(file, "--labels", named, "--preprocessing", "unit")
    assert status == 1
    assert f"{named}: line 2 must have" in said


def mixing() -> list[onnx.NodeProto]:
    """The answer to each picture less what it differs from the mean of all, as a normalisation by batch does."""
    return [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["means"], ["batch"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["means", "batch"], ["difference"]),
        helper.make_node("Sub", ["means", "difference"], ["y"]),
    ]


def failing() -> list[onnx.NodeProto]:
    """The first picture's answer alone."""
    return [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "from", "to", "axis"], ["y"]),
    ]


@pytest.mark.parametrize("nodes", [mixing(), failing()], ids=["mixing", "failing"])
def test_a_model_that_cannot_answer_a_batch_gets_one_picture_at_a_time(
    tmp_path: Path, store: Path, nodes: list[onnx.NodeProto]
) -> None:
    file = tmp_path / "net.onnx"
    numbers = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("from", 0), ("to", 1), ("axis", 0))
    ]
    file.write_bytes(graph(nodes, ["n", 3, 8, 8], ["n", 3], numbers))
    named = labels(tmp_path, "red", "green", "blue")
    status, said = add(file, "--preprocessing", "signed", "--labels", named)
    assert status == 0, said
    assert "one picture at a time" in said
    assert read_package(store / "net").max_batch == 1


def longer() -> list[onnx.NodeProto]:
    """One row for all pictures, longer with each."""
    return [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Shape", ["means"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Transpose", ["means"], ["turned"]),
        helper.make_node("MatMul", ["zeros", "turned"], ["nothing"]),
        helper.make_node("Concat", ["means", "nothing"], ["y"], axis=1),
    ]


def test_rows_that_grow_with_the_batch_are_answered_one_by_one(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(graph(longer(), ["n", 3, 8, 8], ["n", "m"]))
    named = labels(tmp_path, "red", "green", "blue", "none")
    status, said = add(file, "--preprocessing", "signed", "--labels", named)
    assert status == 0, said
    assert read_package(store / "net").max_batch == 1


def test_a_model_that_throws_dice_is_refused(tmp_path: Path, store: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("RandomNormalLike", ["means"], ["noise"]),
        helper.make_node("Add", ["means", "noise"], ["y"]),
    ]
    file = tmp_path / "net.onnx"
    file.write_bytes(graph(nodes, ["n", 3, 8, 8], ["n", 3]))
    named = labels(tmp_path, "red", "green", "blue")
    status, said = add(file, "--preprocessing", "signed", "--labels", named)
    assert status == 1
    assert "answers the same picture differently each time" in said
    assert left(store) == []


def test_a_model_that_can_gets_batches(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(means())
    named = labels(tmp_path, "red", "green", "blue")
    status, said = add(file, "--preprocessing", "signed", "--labels", named)
    assert (status, "one picture at a time" in said) == (0, False)
    assert read_package(store / "net").max_batch == 4


def test_a_batch_of_one_size_is_refused_with_what_helps(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)
    file.write_bytes(graph([node], [8, 3, 8, 8], [8, 3]))
    status, said = add(file, "--labels", labels(tmp_path, "a", "b", "c"), "--preprocessing", "unit")
    assert status == 1
    assert "export it with a free batch" in said
