"""What the wiring refuses to put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.bootstrap.http import finish_seconds
from heliograph.bootstrap.parts import read_keys
from heliograph.bootstrap.predicting import predicting
from heliograph.bootstrap.up_children import gateway_grace_seconds
from heliograph.bootstrap.worker import check_name, run_worker
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.settings import Settings
from tiny_packages import CLASSIFIER, write_package

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"models": ("kmnist",), "classification_model": "efficientnet-lite0"},
            "not among HELIOGRAPH_MODELS",
        ),
        ({"classification_model": "silhouette"}, "is a model for background-removal"),
        ({"background_model": "kmnist"}, "is a model for classification"),
    ],
)
async def test_a_default_model_must_be_served_and_do_its_task(
    settings: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.SettingsInvalid, match=complaint):
        async with predicting(Settings.model_validate({"model_dir": tmp_path, **settings})):
            pass


async def test_without_the_usual_default_the_first_model_of_the_task_is_asked(tmp_path: Path) -> None:
    async with predicting(Settings(model_dir=tmp_path, models=("kmnist",))) as parts:
        assert dict(parts.models.defaults) == {Task.CLASSIFICATION: "kmnist"}


async def test_a_classifier_with_the_name_of_the_usual_background_model_is_none(tmp_path: Path) -> None:
    package = write_package(tmp_path, CLASSIFIER, name="silhouette")
    (package / "labels.txt").write_text("one\ntwo\n")
    async with predicting(Settings(model_dir=tmp_path, models=("kmnist", "u2netp", "*"))) as parts:
        assert parts.models.find("silhouette", None).spec.task is Task.CLASSIFICATION
        assert parts.models.defaults[Task.BACKGROUND_REMOVAL] == "u2netp"


def test_a_key_file_without_keys_lets_nobody_in_by_mistake(tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("# none yet\n")
    with pytest.raises(errors.SettingsInvalid, match="no key"):
        read_keys(Settings(api_keys_file=keys))


def test_up_waits_for_a_gateway_as_long_as_that_waits_for_requests() -> None:
    for seconds in (1.0, 300.0):
        settings = Settings(upload_timeout_seconds=seconds, drain_seconds=2.0)
        assert gateway_grace_seconds(settings) > settings.drain_seconds + finish_seconds(settings)


@pytest.mark.parametrize("name", ["a", "pod-7.heliograph_x/1:2", "~!", "x" * 253])
def test_names_that_a_worker_can_have(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "(nobody)", "a(", "a)", "two words", "line\n", "caf\u00e9", "x" * 254])
def test_names_that_no_worker_can_have(name: str) -> None:
    with pytest.raises(errors.SettingsInvalid, match="No worker can be named"):
        run_worker(Settings(), name, print)
