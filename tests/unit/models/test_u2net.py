"""U²-Net's weights are known by their names and shapes, and become the network that they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from heliograph.adapters.models import u2net
from heliograph.core import errors
from torch_files import published_u2netp


@pytest.fixture(scope="module")
def state(data_folder: Path) -> dict[str, Any]:
    return published_u2netp(data_folder)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_it_computes_what_the_reference_computes(
    state: dict[str, Any], prefix: str, data_folder: Path
) -> None:
    data = u2net.convert({f"{prefix}{name}": values for name, values in state.items()})
    picture = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
    options = {"providers": ["CPUExecutionProvider"]}
    (matte,) = onnxruntime.InferenceSession(data, **options).run(None, {u2net.INPUT: picture})
    reference = onnxruntime.InferenceSession(data_folder / "u2net" / "u2netp_fp16w.onnx", **options)
    wanted = reference.run(None, {"input.1": picture})[0]
    assert matte.shape == (1, 1, 320, 320)
    assert np.abs(matte - wanted).max() < 1e-5


def test_a_normalisation_is_folded(state: dict[str, Any]) -> None:
    """Twice the scale and a doubled bias of the first layer is the same as its output doubled by hand."""
    changed = dict(state)
    for name in ("conv_s1.weight", "conv_s1.bias"):
        changed[f"stage1.rebnconvin.{name}"] = state[f"stage1.rebnconvin.{name}"] * 2
    folded = dict(state)
    folded["stage1.rebnconvin.bn_s1.weight"] = state["stage1.rebnconvin.bn_s1.weight"] * 2
    picture = np.random.default_rng(1).normal(size=(1, 3, 320, 320)).astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(u2net.convert(each), providers=["CPUExecutionProvider"]).run(
            None, {u2net.INPUT: picture}
        )[0]
        for each in (changed, folded)
    ]
    assert np.allclose(answers[0], answers[1], atol=1e-5)


def test_the_large_one_is_told_from_the_small_one() -> None:
    for architecture, middle in ((u2net.U2NET, 32), (u2net.U2NETP, 16)):
        first = {"module.stage1.rebnconv1.conv_s1.weight": np.zeros((middle, 64, 3, 3), np.float32)}
        assert u2net.recognise(first) is architecture


@pytest.mark.parametrize("change", ["missing", "shape", "more", "nan"])
def test_weights_that_do_not_fit_are_refused(state: dict[str, Any], change: str) -> None:
    wrong = dict(state)
    if change == "missing":
        del wrong["side6.bias"]
    elif change == "more":
        wrong["stage9.weight"] = np.zeros(3, np.float32)
    else:
        wrong["outconv.weight"] = np.full(
            (1, 6, 1, 1) if change == "nan" else (1, 7, 1, 1), np.nan, np.float32
        )
    with pytest.raises(errors.ModelInvalid, match=r"side6\.bias|stage9|outconv"):
        u2net.convert(wrong)


def test_other_networks_are_refused() -> None:
    with pytest.raises(errors.ModelInvalid, match=r"not one of U²-Net or U²-Netp.*torch\.onnx\.export"):
        u2net.convert({"fc.weight": np.zeros((2, 2), np.float32)})
