"""What every engine promises: one suite over the stub, ONNX Runtime and OpenVINO."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engine_files import CLASSES, SIDE, answer, graph, model_file, network
from heliograph.adapters import engines
from heliograph.adapters.engines import loader, onnx_files, stub
from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import Engine, EngineOptions, ModelFile

RUNTIMES = engines.NAMES
HERE = Path(__file__).parent


def pictures(count: int, *, side: int = SIDE, seed: int = 3) -> Float32Array:
    return np.random.default_rng(seed).standard_normal((count, 3, side, side), np.float32)


def assert_close(found: Float32Array, wanted: Float32Array, *, tolerance: float = 1e-4) -> None:
    """Equal to within ``tolerance`` of the range of ``wanted``."""
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * np.ptp(wanted)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture(params=["stub", *RUNTIMES])
def engine(request: pytest.FixtureRequest, saved: Path) -> Iterator[Engine]:
    load = stub.load if request.param == "stub" else loader(request.param)
    loaded = load(model_file(saved), EngineOptions(streams=2, max_batch=8))
    assert (loaded.name, loaded.trial_seconds > 0.0) == (request.param, request.param != "stub")
    yield loaded
    loaded.close()


def test_one_row_for_each_picture(engine: Engine) -> None:
    for count in (1, 2, 3, 8):
        answered = engine.run(pictures(count))
        assert answered.shape == (count, CLASSES)
        assert answered.dtype == np.float32
        assert np.isfinite(answered).all()


def test_a_row_does_not_depend_on_its_batch(engine: Engine) -> None:
    batch = pictures(5)
    singles = np.concatenate([engine.run(batch[i : i + 1]) for i in range(5)])
    assert len(np.unique(singles[:, 0])) == 5
    for count in range(1, 6):
        assert_close(engine.run(batch[:count]), singles[:count], tolerance=1e-5)


def test_the_answer_belongs_to_the_caller(engine: Engine) -> None:
    answered = engine.run(pictures(2, seed=1))
    before = answered.copy()
    engine.run(pictures(2, seed=2))
    np.testing.assert_array_equal(answered, before)
    answered[:] = 0
    np.testing.assert_array_equal(engine.run(pictures(2, seed=1)), before)
    engine.close()
    assert not answered.any()


def test_the_batch_is_not_changed(engine: Engine) -> None:
    batch = pictures(2)
    engine.run(batch)
    np.testing.assert_array_equal(batch, pictures(2))
    frozen = pictures(2)
    frozen.flags.writeable = False
    np.testing.assert_array_equal(engine.run(frozen), engine.run(batch))


def test_many_callers_get_their_own_answers(engine: Engine) -> None:
    batches = [pictures(1 + number % 3, seed=number) for number in range(40)]
    wanted = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(engine.run, batches * 5))
    for index, answered in enumerate(found):
        assert_close(answered, wanted[index % len(wanted)], tolerance=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((0, 3, SIDE, SIDE), np.float32),
        np.zeros((1, 3, SIDE, SIDE + 1), np.float32),
        np.zeros((3, SIDE, SIDE), np.float32),
        np.zeros((1, 3, SIDE, SIDE), np.float64),
    ],
    ids=["empty", "wider", "no batch axis", "double precision"],
)
def test_a_batch_that_does_not_fit_fails_and_does_no_harm(engine: Engine, batch: Float32Array) -> None:
    with pytest.raises(errors.EngineFailed, match="does not fit rows of"):
        engine.run(batch)
    assert engine.run(pictures(1)).shape == (1, CLASSES)


def test_closed_is_closed(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(errors.EngineFailed, match="closed"):
        engine.run(pictures(1))


# The stub reads no file: what follows is about real graphs.


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_numbers_are_those_of_the_network(name: str, saved: Path) -> None:
    weights = {held.name: numpy_helper.to_array(held) for held in network().graph.initializer}
    batch = pictures(3)
    padded = np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    features = np.maximum(np.einsum("nchwij,kcij->nkhw", windows, weights["kernel"]), 0)
    wanted = features.mean(axis=(2, 3)) @ weights["dense"] + weights["bias"]
    load = loader(name)
    assert_close(load(model_file(saved), EngineOptions()).run(batch), wanted)
    assert_close(load(model_file(saved, output="scores"), EngineOptions()).run(batch), wanted)
    assert_close(load(model_file(saved, output="features"), EngineOptions()).run(batch), features)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_graph_for_one_picture_at_a_time_takes_batches(name: str, saved: Path, tmp_path: Path) -> None:
    single = tmp_path / "single.onnx"
    onnx.save(network(batch=1), single)
    wanted = loader(name)(model_file(saved), EngineOptions()).run(pictures(3))
    assert_close(loader(name)(model_file(single), EngineOptions()).run(pictures(3)), wanted)


@pytest.mark.parametrize(
    "options", [EngineOptions(threads_per_stream=2), EngineOptions(streams=3, threads_per_stream=2)]
)
@pytest.mark.parametrize("name", RUNTIMES)
def test_threads_do_not_change_the_answer(name: str, options: EngineOptions, saved: Path) -> None:
    wanted = loader(name)(model_file(saved), EngineOptions()).run(pictures(3))
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(loader(name)(model_file(saved), options).run, [pictures(3)] * 12):
            assert_close(found, wanted)


@pytest.mark.parametrize("name", RUNTIMES)
def test_refusals_name_what_is_wrong(name: str, saved: Path, tmp_path: Path) -> None:
    def refused(model: ModelFile, *words: str) -> None:
        with pytest.raises(errors.ModelInvalid) as caught:
            loader(name)(model, EngineOptions())
        assert all(word in caught.value.message for word in ("tried", *words)), caught.value.message

    def made(model: onnx.ModelProto) -> Path:
        path = tmp_path / "made.onnx"
        onnx.save(model, path)
        return path

    def node(kind: str, **how: Any) -> list[onnx.NodeProto]:
        return [helper.make_node(kind, ["pixels"], ["answer"], **how)]

    refused(model_file(saved, side=32), "(n, 3, 16, 16)", "(n, 3, 32, 32)")
    refused(model_file(saved, output="matte"), "'matte'", "scores, features")
    refused(model_file(made(network(batch=4))), "(4, 3, 16, 16)", "(n, 3, 16, 16)")
    refused(model_file(made(network(element=TensorProto.FLOAT16))), "not float32", "float32 (n, 3, 16, 16)")
    flat = graph(node("Relu"), [answer("n", 3)], takes=("n", 3))
    refused(model_file(made(flat)), "(n, 3)", "(n, 3, 16, 16)")
    scalar = graph(node("ReduceMean", keepdims=0), [answer()])
    refused(model_file(made(scalar)), "()")
    whole_numbers = helper.make_tensor_value_info("answer", TensorProto.INT64, ["n", "c", "h"])
    largest = graph(node("ArgMax", axis=3, keepdims=0), [whole_numbers])
    refused(model_file(made(largest)), "'answer'", "not float32")
    refused(model_file(made(graph(node("Nonsense"), [answer("n", 3)]))), "cannot load made.onnx")
    two = network()
    two.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [8, 3, 3, 3]))
    del two.graph.initializer[0]
    refused(model_file(made(two)), "2 inputs")


def test_a_failure_of_the_runtime_is_short_and_harmless(tmp_path: Path) -> None:
    path = tmp_path / "picky.onnx"
    nodes = [
        helper.make_node("ReduceMax", ["pixels"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["pixels", "index"], ["row"], axis=3),
        helper.make_node("Identity", ["row"], ["answer"]),
    ]
    onnx.save(graph(nodes, [answer("n", 3, SIDE)]), path)
    engine = loader("onnxruntime")(model_file(path), EngineOptions())
    with pytest.raises(errors.EngineFailed, match=r"^ONNX Runtime failed on a batch of 2\.$"):
        engine.run(np.full((2, 3, SIDE, SIDE), 1000, np.float32))
    assert engine.run(np.ones((2, 3, SIDE, SIDE), np.float32)).shape == (2, 3, SIDE)


def test_an_answer_without_a_row_each_fails(tmp_path: Path) -> None:
    path = tmp_path / "first.onnx"
    weights = {"zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64)}
    nodes = [helper.make_node("Slice", ["pixels", "zero", "one"], ["answer"])]
    onnx.save(graph(nodes, [answer("m", 3, SIDE, SIDE)], weights=weights), path)
    engine = loader("onnxruntime")(model_file(path), EngineOptions())
    with pytest.raises(errors.EngineFailed, match="to a batch of 2"):
        engine.run(pictures(2))


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_border_of_zeros_counts_in_a_maximum(name: str, tmp_path: Path) -> None:
    """Runtimes fuse the two; where all is below zero, zero is the largest at the border."""
    path = tmp_path / "border.onnx"
    weights: dict[str, np.ndarray] = {"pads": np.array([0, 0, 1, 1] * 2), "zero": np.array(0, np.float32)}
    nodes = [
        helper.make_node("Pad", ["pixels", "pads", "zero"], ["padded"], mode="constant"),
        helper.make_node("MaxPool", ["padded"], ["answer"], kernel_shape=[3, 3]),
    ]
    onnx.save(graph(nodes, [answer("n", 3, SIDE, SIDE)], weights=weights), path)
    found = loader(name)(model_file(path), EngineOptions()).run(-1 - np.abs(pictures(1)))
    assert (found[0, :, 0] == 0).all()
    assert (found[0, :, 1:-1, 1:-1] < -1).all()


def nest(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same weights inside the branch of an If."""
    inner = helper.make_graph([], "branch", [], [], list(model.graph.initializer))
    branch = helper.make_node("If", ["flag"], ["answer"], then_branch=inner, else_branch=inner)
    return graph([branch], [answer("n")])


@pytest.mark.parametrize("wrap", [lambda model: model, nest], ids=["graph", "branch"])
@pytest.mark.parametrize("name", RUNTIMES)
def test_weights_in_other_files_are_refused(
    name: str,
    wrap: Callable[[onnx.ModelProto], onnx.ModelProto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "outside.onnx"
    onnx.save(network(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    path.write_bytes(wrap(onnx.load(path, load_external_data=False)).SerializeToString())
    with pytest.raises(errors.ModelInvalid, match="weights in other files"):
        loader(name)(model_file(path), EngineOptions())


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a model", b"\x3a\xff\xff\xff\x7f", b"\x80" * 20, None])
@pytest.mark.parametrize("name", RUNTIMES)
def test_what_is_not_a_model_is_refused(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ModelInvalid, match=r"broken\.onnx"):
        loader(name)(model_file(path), EngineOptions())


SERIALISED = network().SerializeToString()


@settings(deadline=None)
@given(at=st.integers(0, len(SERIALISED) - 1), garbage=st.binary(max_size=12), cut=st.booleans())
def test_reading_broken_files_ends_in_bytes_or_a_refusal(
    at: int, garbage: bytes, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.onnx"
    content = SERIALISED[:at] + garbage + (b"" if cut else SERIALISED[at + len(garbage) :])
    path.write_bytes(content)
    with suppress(errors.ModelInvalid):
        assert onnx_files.read(path) == content


LOADS_QUIETLY = """
import sys
from pathlib import Path
from typing import Any
from heliograph.adapters import engines
assert not {"onnxruntime", "openvino"} & set(sys.modules)
sys.path[:0] = sys.argv[3:]
from test_engines import EngineOptions, model_file, pictures
engine = engines.loader(sys.argv[1])(model_file(Path(sys.argv[2])), EngineOptions(streams=2, threads_per_stream=2))
engine.run(pictures(2))
engine.close()
assert not [name for name in sys.modules if "telemetry" in name]
"""


@pytest.mark.parametrize("name", RUNTIMES)
async def test_runtimes_are_imported_late_and_say_nothing(name: str, saved: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        LOADS_QUIETLY,
        name,
        str(saved),
        str(HERE),
        str(HERE.parent),
    ]
    done = await anyio.run_process(command, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_registry_knows_its_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.loader() is engines.loader("auto") is engines.loader("onnxruntime")
    with pytest.raises(errors.SettingsInvalid, match="'tensorrt'; there are auto, onnxruntime, openvino"):
        engines.loader("tensorrt")
    monkeypatch.delitem(sys.modules, "heliograph.adapters.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(errors.SettingsInvalid, match=r"pip install 'heliograph\[openvino\]'"):
        engines.loader("openvino")


@pytest.mark.parametrize("output", [None, "d3"])
def test_real_matte_is_the_same_in_both_runtimes(output: str | None, data_folder: Path) -> None:
    """Would differ by about 1 % if OpenVINO computed in bfloat16."""
    model = model_file(data_folder / "u2net" / "u2netp_fp16w.onnx", side=64, output=output)
    rows, columns = np.mgrid[:64, :64]
    disc = np.hypot(rows - 32, columns - 32) < 20
    batch = np.where(disc, np.float32(1.5), np.float32(-1.5)) + 0.3 * pictures(3, side=64)
    loaded = [loader(name)(model, EngineOptions()) for name in RUNTIMES]
    first, second = (engine.run(batch) for engine in loaded)
    assert first.shape == (3, 1, 64, 64)
    assert np.ptp(first) > 0.8
    assert_close(second, first)
    for engine in loaded:
        assert_close(engine.run(batch[2:]), first[2:])


def test_real_int8_classifier(data_folder: Path) -> None:
    model = model_file(data_folder / "classifiers" / "mobilenetv2-12-int8.onnx", side=224, classes=1000)
    engine = loader("onnxruntime")(model, EngineOptions())
    batch = pictures(3, side=224)
    answered = engine.run(batch)
    assert answered.shape == (3, 1000)
    assert_close(engine.run(batch[1:2]), answered[1:2])
    # OpenVINO reads quantised graphs of the QDQ kind only, and this is one of QLinear operators.
    with pytest.raises(errors.ModelInvalid, match="OpenVINO cannot load"):
        loader("openvino")(model, EngineOptions())


def test_stub_answers_can_be_matched(saved: Path) -> None:
    model = model_file(saved)
    engine = stub.StubEngine(model.spec, fails_on=frozenset({7.0}))
    batch = np.stack([np.full((3, SIDE, SIDE), value, np.float32) for value in (1, 2, 7)])
    np.testing.assert_array_equal(engine.run(batch[:2])[:, 0], [768, 1536])
    np.testing.assert_array_equal(engine.run(batch[:1])[0], 768 * np.arange(1, CLASSES + 1))
    with pytest.raises(errors.EngineFailed):
        engine.run(batch)
    assert engine.batches == [2, 1, 3]
