"""The folder of a training: it goes on where it stopped, and refuses what would mix two trainings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from heliograph.training import runs

DATA = {"pictures": 10}


@dataclass(frozen=True)
class Recipe:
    epochs: int = 3
    rates: tuple[float, float] = (0.1, 0.01)


def write(folder: Path) -> None:
    (folder / "weights").write_text("some")


def test_an_interrupted_run_goes_on_at_its_checkpoint(tmp_path: Path) -> None:
    with runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA) as run:
        assert run.checkpoint() is None
        run.record(1, loss=0.5)
        assert run.save(1, write, every_seconds=0)
        run.record(2, loss=0.25)
        assert not run.save(2, write), "a minute has not passed"
    with runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA) as run:
        assert run.checkpoint() == runs.Checkpoint(1, tmp_path / "checkpoint-0001")
        assert run.history() == [{"epoch": 1, "loss": 0.5}], "the epoch behind the checkpoint comes again"
        run.record(2, loss=0.125)
        run.save(2, write, every_seconds=0)
        assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-0002"]
        assert [row["loss"] for row in run.history()] == [0.5, 0.125]


def test_a_checkpoint_that_was_not_written_whole_does_not_count(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise OSError("the disk is full")

    with runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA) as run:
        run.save(1, write, every_seconds=0)
        with pytest.raises(OSError, match="full"):
            run.save(2, fail, every_seconds=0)
        assert run.checkpoint() == runs.Checkpoint(1, tmp_path / "checkpoint-0001")


@pytest.mark.parametrize(
    ("training", "recipe", "data", "message"),
    [
        ("other", Recipe(), DATA, "training is tiny, not other"),
        ("tiny", Recipe(epochs=4), DATA, r"recipe\.epochs is 3, not 4"),
        ("tiny", Recipe(), {"pictures": 11}, r"data\.pictures is 10, not 11"),
    ],
)
def test_an_unfinished_run_of_another_recipe_is_refused(
    tmp_path: Path, training: str, recipe: Recipe, data: dict[str, int], message: str
) -> None:
    with runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA) as run:
        run.save(1, write, every_seconds=0)
    with (
        pytest.raises(runs.TrainingRefused, match=message),
        runs.opened(tmp_path, training=training, recipe=recipe, data=data),
    ):
        pass
    with runs.opened(tmp_path, training=training, recipe=recipe, data=data, afresh=True) as run:
        assert run.checkpoint() is None


def test_a_finished_run_is_replaced_by_the_next(tmp_path: Path) -> None:
    with runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA) as run:
        run.record(1, loss=0.5)
        run.save(1, write, every_seconds=0)
        run.finish({"accuracy": 0.9})
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["recipe"] == {"epochs": 3, "rates": [0.1, 0.01]}
    assert told["results"] == {"accuracy": 0.9}
    assert set(told["with"]) == {"keras", "backend"}
    with runs.opened(tmp_path, training="tiny", recipe=Recipe(epochs=9), data=DATA) as run:
        assert (run.checkpoint(), run.history()) == (None, [])


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    with (
        runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA),
        pytest.raises(runs.TrainingRefused, match="Another process trains"),
        runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(runs.TrainingRefused, match="file/run cannot be written"),
        runs.opened(tmp_path / "file" / "run", training="tiny", recipe=Recipe(), data=DATA),
    ):
        pass


@pytest.mark.parametrize("record", ["{", "[1, 2]", "[]", "null"])
def test_a_broken_record_is_refused(tmp_path: Path, record: str) -> None:
    (tmp_path / "run.json").write_text(record)
    with (
        pytest.raises(runs.TrainingRefused, match="is broken"),
        runs.opened(tmp_path, training="tiny", recipe=Recipe(), data=DATA),
    ):
        pass
