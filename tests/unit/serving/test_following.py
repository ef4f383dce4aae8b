"""What comes into the store and what leaves it reaches the table, once and in the right order."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.core.models import ModelSpec, Task
from heliograph.serving import following
from heliograph.serving.following import StoreFollower
from heliograph.serving.model_table import ModelState, ServedModel
from heliograph.serving.remote_models import RemoteModels
from unit.serving.parts import DictStore, model_spec


class Table:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.lacking: list[str] = []
        self.is_told = asyncio.Event()

    async def take(self, reference: str, spec: ModelSpec) -> None:
        self.told.append(f"+{spec.name}")
        self.is_told.set()

    async def leave(self, reference: str) -> None:
        self.told.append(f"-{reference}")


def follower(table: Table, **known: str) -> StoreFollower:
    store = DictStore([model_spec("old"), model_spec("new"), model_spec("shipped")])
    return StoreFollower(store, table, known=known, named=["shipped"])


async def test_what_is_new_or_another_one_is_taken_and_the_rest_left_alone() -> None:
    table = Table()
    follow = follower(table, old="1")
    await follow.look({"old": "1"})
    assert table.told == []
    await follow.look({"old": "1", "new": "1"})
    await follow.look({"old": "2", "new": "1"})
    await follow.look({"old": "2", "new": "1"})
    assert table.told == ["+new", "+old"]


async def test_only_what_is_missing_twice_has_left() -> None:
    table = Table()
    follow = follower(table, old="1", new="1")
    await follow.look({"new": "1"})
    await follow.look({"old": "2", "new": "1"})
    assert table.told == ["+old"]
    await follow.look({"new": "1"})
    await follow.look({"new": "1"})
    await follow.look({"new": "1"})
    assert table.told == ["+old", "-old"]


async def test_a_model_that_is_named_goes_on_as_it_ships() -> None:
    table = Table()
    follow = follower(table, shipped="1")
    await follow.look({})
    await follow.look({})
    assert table.told == ["+shipped"]


async def test_a_package_that_cannot_be_read_is_left_out() -> None:
    table = Table()
    await follower(table).look({"broken": "1", "new": "1"})
    assert table.told == ["+new"]


async def test_what_is_lacking_is_taken_again_once_for_each_change_of_its_weights() -> None:
    table, store = Table(), DictStore([model_spec("named"), model_spec("own")])
    follow = StoreFollower(
        store, table, known={"own": "1"}, named=["named"], weights={"named": "", "own": ""}
    )
    table.lacking = ["named", "away"]
    await follow.look_for_weights()
    assert table.told == []
    store.marks["named"] = "half"
    await follow.look_for_weights()
    await follow.look_for_weights()
    store.marks["named"] = "whole"
    await follow.look_for_weights()
    await follow.look_for_weights()
    assert table.told == ["+named", "+named"]
    table.lacking, store.marks["own"] = ["own"], "whole"
    await follow.look({"own": "2"})  # the package itself is another one, which is no reason to take it twice
    await follow.look_for_weights()
    assert table.told == ["+named", "+named", "+own"]


async def test_a_gateway_loads_nothing_anew() -> None:
    models = RemoteModels([ServedModel("stub", model_spec())], {})
    for model in models:
        model.state = ModelState.UNAVAILABLE
    assert list(models.lacking) == []


async def test_it_looks_again_after_the_store_could_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.001)
    table = Table()
    store = DictStore([model_spec("new")])
    failures = iter([OSError("gone"), OSError("gone")])

    def own() -> dict[str, str]:
        for failure in failures:
            raise failure
        return {"new": "1"}

    monkeypatch.setattr(store, "own", own)
    task = asyncio.create_task(StoreFollower(store, table, known={}).follow())
    async with asyncio.timeout(5):
        await table.is_told.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert table.told == ["+new"]


async def test_a_gateway_lists_a_package_and_answers_for_its_task() -> None:
    models = RemoteModels([], {})
    await models.take("new", model_spec("new", Task.BACKGROUND_REMOVAL))
    assert models.find(None, Task.BACKGROUND_REMOVAL).reference == "new"
    assert models.ready
    await models.leave("new")
    assert models.defaults == {}
