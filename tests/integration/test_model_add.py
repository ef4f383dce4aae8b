"""``heliograph models add`` as a person calls it: good files become packages, hostile ones leave no trace."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from heliograph.adapters.models.manifest import read_package
from heliograph.core.models import Channels, Layout, Meaning, Task
from integration.model_adding import add, answer_of, graph, labels, left, means
from keras_archives import brightness, input_layer, layer, sequential, write_keras
from torch_files import published_u2netp, write_state_dict

pytestmark = pytest.mark.timeout(
    400
)  # each file has a process of its own, which is slow to start on a busy machine


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOGRAPH_MODEL_DIR", str(tmp_path / "store"))
    return tmp_path / "store"


def test_a_keras_file_becomes_a_package_that_answers(tmp_path: Path, store: Path) -> None:
    picture = tmp_path / "white.png"
    picture.write_bytes(white_picture())
    named = labels(tmp_path, "dark", "bright")
    file = brightness(tmp_path / "My net.keras")
    status, said = add(file, "--labels", named, "--try", picture, "--licence", "MIT")
    assert status == 0, said
    assert "white.png: bright, dark" in said
    assert "the model begins with Rescaling" in said
    spec = read_package(store / "my-net")
    assert (spec.task, spec.labels, spec.licence) == (Task.CLASSIFICATION, ("dark", "bright"), "MIT")
    assert spec.output.meaning is Meaning.PROBABILITIES
    assert (spec.input.width, spec.input.mean, spec.input.std) == (8, (0.0,) * 3, (1.0,) * 3)
    assert "my-net" in spec.card
    again, refused = add(file, "--labels", named)
    assert again == 1
    assert "--replace" in refused
    assert add(file, "--labels", named, "--replace")[0] == 0
    assert left(store) == ["my-net"]


def white_picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 30), "white").save(stream, "PNG")
    return stream.getvalue()


def test_what_an_onnx_file_does_not_say_is_asked_for(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(means("NHWC"))
    named = labels(tmp_path, "red", "green", "blue")
    status, said = add(file, "--labels", named)
    assert status == 1
    assert "--preprocessing says it" in said
    assert "signed" in said
    assert left(store) == []
    scaled = ("--mean", "0", "--std", "255", "--channels", "BGR", "--name", "colours", "--meaning", "logits")
    status, said = add(file, "--labels", named, *scaled)
    assert status == 0, said
    spec = read_package(store / "colours")
    assert (spec.input.layout, spec.input.channels) == (Layout.NHWC, Channels.BGR)
    assert spec.output.meaning is Meaning.LOGITS


def test_labels_must_be_as_many_as_classes(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(means())
    assert "--labels FILE names them" in add(file, "--preprocessing", "unit")[1]
    status, said = add(file, "--preprocessing", "unit", "--labels", labels(tmp_path, "one", "two"))
    assert status == 1
    assert "has 3 classes, and the labels file has 2" in said
    assert left(store) == []


def test_a_background_remover_must_answer_with_a_matte(tmp_path: Path, store: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=1)
    file = tmp_path / "cut.onnx"
    file.write_bytes(graph([mean], ["n", 3, 8, 8], ["n", 1, 8, 8]))
    status, said = add(file, "--preprocessing", "none")
    assert status == 1
    assert "a matte has 0 to 1" in said
    status, said = add(file, "--preprocessing", "unit")
    assert status == 0, said
    assert read_package(store / "cut").task is Task.BACKGROUND_REMOVAL


def test_weights_of_pytorch_become_a_package_that_answers(
    tmp_path: Path, store: Path, data_folder: Path
) -> None:
    file = write_state_dict(tmp_path / "My remover.pth", published_u2netp(data_folder))
    status, said = add(file, "--licence", "Apache-2.0")
    assert status == 0, said
    spec = read_package(store / "my-remover")
    assert (spec.task, spec.output.meaning) == (Task.BACKGROUND_REMOVAL, Meaning.MATTE)
    assert (spec.input.width, spec.input.channels, spec.input.layout) == (320, Channels.RGB, Layout.NCHW)
    assert left(store) == ["my-remover"]
    picture = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
    answer = answer_of(store / "my-remover" / spec.variants[0].file, picture)
    reference = answer_of(data_folder / "u2net" / "u2netp_fp16w.onnx", picture)
    assert np.abs(answer - reference).max() < 1e-5


def test_a_whole_model_of_pytorch_is_told_from_its_weights(tmp_path: Path, store: Path) -> None:
    status, said = add(pickle_bomb(tmp_path))
    assert status == 1
    assert "save its state_dict(), or export it to ONNX" in said


def test_other_weights_of_pytorch_are_refused_with_what_helps(tmp_path: Path, store: Path) -> None:
    file = write_state_dict(tmp_path / "net.pth", {"fc.weight": np.zeros((2, 2), np.float32)})
    status, said = add(file)
    assert status == 1
    assert "torch.onnx.export" in said
    assert left(store) == []


def test_a_name_that_ships_is_not_hidden_by_chance(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "kmnist.onnx"
    file.write_bytes(means())
    status, said = add(file, "--preprocessing", "unit", "--labels", labels(tmp_path, "a", "b", "c"))
    assert status == 1
    assert "comes with Heliograph" in said


def lambda_layer(folder: Path) -> Path:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
    config = sequential(
        input_layer(4, 4, 3), layer("Lambda", "evil", function=code), layer("Flatten", "flat")
    )
    return write_keras(folder / "lambda.keras", config)


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "was-here"

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def pickle_bomb(folder: Path) -> Path:
    path = folder / "evil.pth"
    path.write_bytes(pickle.dumps({"weight": Evil(folder)}, protocol=2))
    return path


def zipped_pickle(folder: Path) -> Path:
    path = folder / "evil-zip.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(Evil(folder), protocol=2))
    return path


def external_data(folder: Path) -> Path:
    weight = numpy_helper.from_array(np.zeros(8, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    path = folder / "external.onnx"
    path.write_bytes(
        graph([helper.make_node("Mul", ["x", "w"], ["y"])], ["n", 3, 8, 8], ["n", 3, 8, 8], [weight])
    )
    return path


def hundred_gigabytes(folder: Path) -> Path:
    """A graph of a few bytes that asks for 100 GB when it runs."""
    size = numpy_helper.from_array(np.array([25_000_000_000], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["one"], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["means", "one"], ["y"]),
    ]
    path = folder / "hungry.onnx"
    path.write_bytes(graph(nodes, ["n", 3, 8, 8], ["n", 3], [size]))
    return path


def absurd_shape(folder: Path) -> Path:
    path = folder / "absurd.onnx"
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)
    path.write_bytes(graph([node], ["n", 3, 1 << 40, 1 << 40], ["n", 3]))
    return path


def cut_off(folder: Path) -> Path:
    path = folder / "cut.onnx"
    path.write_bytes(means()[:-20])
    return path


def picture(folder: Path) -> Path:
    path = folder / "picture.onnx"
    path.write_bytes(white_picture())
    return path


def another_picture(folder: Path) -> Path:
    path = folder / "picture.h5"
    path.write_bytes(white_picture())
    return path


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.onnx")
    return folder / "pipe.onnx"


def empty(folder: Path) -> Path:
    (folder / "empty.h5").touch()
    return folder / "empty.h5"


def not_finite(folder: Path) -> Path:
    path = folder / "nan.onnx"
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["m", "m"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["y"]),
    ]
    path.write_bytes(graph(nodes, ["n", 3, 8, 8], ["n", 3]))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda_layer, "evil (Lambda) holds code"),
        (pickle_bomb, "not allowed"),
        (zipped_pickle, "not allowed"),
        (external_data, "keeps weights in other files"),
        (hundred_gigabytes, "GB of memory"),
        (absurd_shape, "at most 4,096 a side"),
        (cut_off, "ONNX"),
        (picture, "ONNX"),
        (another_picture, "was not saved by Keras"),
        (pipe, "is not a file"),
        (empty, "0 bytes"),
        (not_finite, "not finite"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_hostile_file_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, store: Path, make: Callable[[Path], Path], says: str
) -> None:
    file = make(tmp_path)
    status, said = add(file, "--preprocessing", "unit", "--labels", labels(tmp_path, "a", "b", "c"))
    assert status == 1, said
    assert says in said
    assert said.startswith("heliograph: ")
    assert len(said.strip().splitlines()) == 1, said
    assert left(store) == []
    assert not (tmp_path / "was-here").exists()
