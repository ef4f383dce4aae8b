"""A mirror follows its source through every failure, says what it does not know, and never hurries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import looptime
import pytest

from heliograph.adapters.fleet.mirror import LEAST_SECONDS, SILENT_SECONDS, STALE_SECONDS, Mirror

Change = tuple[str, str, str]
FOREVER = 1e6


class FakeSource:
    """Implements `Source`: what it has, what goes wrong, and how often it was asked."""

    def __init__(self) -> None:
        self.has = {"a": "1"}
        self.list_failure: Exception | None = None
        self.watch_failure: Exception | None = None
        self.hangs = False
        self.ends = False
        self.asked: list[float] = []
        self.news: asyncio.Queue[Change] = asyncio.Queue()

    async def list(self) -> tuple[Mapping[str, str], str]:
        self.asked.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.sleep(FOREVER)
        if self.list_failure is not None:
            raise self.list_failure
        return dict(self.has), "7"

    async def changes(self, version: str) -> AsyncGenerator[Change, None]:
        assert version == "7"
        while not self.ends:
            if self.watch_failure is not None:
                raise self.watch_failure
            yield await self.news.get()


class Scene:
    """A mirror that runs, and its source."""

    def __init__(self) -> None:
        self.source = FakeSource()
        self.removed: list[tuple[str, str]] = []
        self.mirror = Mirror(self.source, "things", lambda name, item: self.removed.append((name, item)))

    def fail(self, *, listing: Exception | None = None, watching: Exception | None = None) -> None:
        """Breaks it now."""
        self.source.list_failure, self.source.watch_failure = listing, watching
        self.source.news.put_nowait(("MODIFIED", "a", "1"))


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    """Runs a scene by a clock that does not wait."""

    async def run() -> None:
        setting = Scene()
        running = asyncio.create_task(setting.mirror.run())
        await scene(setting)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(run())


def test_it_shows_what_is_there_and_what_changes() -> None:
    async def scene(setting: Scene) -> None:
        assert "not answered yet" in setting.mirror.outage()
        await asyncio.sleep(0.1)
        assert (setting.mirror.objects, setting.mirror.outage()) == ({"a": "1"}, "")
        for change in (("ADDED", "b", "2"), ("MODIFIED", "a", "3"), ("DELETED", "b", "4")):
            setting.source.news.put_nowait(change)
        await asyncio.sleep(0.1)
        assert (setting.mirror.objects, setting.removed) == ({"a": "3"}, [("b", "4")])

    play(scene)


def test_what_went_missing_meanwhile_is_removed_as_it_was() -> None:
    async def scene(setting: Scene) -> None:
        await asyncio.sleep(0.1)
        setting.source.has = {"b": "2"}
        setting.fail(watching=ConnectionResetError())
        await asyncio.sleep(1)
        assert (setting.mirror.objects, setting.removed) == ({"b": "2"}, [("a", "1")])

    play(scene)


def test_a_short_break_changes_nothing_and_a_long_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scene(setting: Scene) -> None:
        await asyncio.sleep(0.1)
        setting.fail(listing=OSError("refused"), watching=OSError("refused"))
        await asyncio.sleep(STALE_SECONDS - 1)
        assert (setting.mirror.objects, setting.mirror.outage()) == ({"a": "1"}, "")
        await asyncio.sleep(2)
        assert setting.mirror.outage() == "OSError: refused"
        await asyncio.sleep(600)
        assert 50 < len(setting.source.asked) < 100
        setting.source.list_failure = setting.source.watch_failure = None
        await asyncio.sleep(12)
        assert (setting.mirror.outage(), setting.mirror.failure) == ("", None)

    play(scene)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", "the cluster's things cannot be followed: OSError: refused"),
        ("INFO", "the cluster's things are followed again"),
    ]


def test_silence_makes_it_look_again() -> None:
    async def scene(setting: Scene) -> None:
        await asyncio.sleep(100)
        assert 100 / SILENT_SECONDS - 2 < len(setting.source.asked) <= 100 / SILENT_SECONDS + 1
        setting.source.hangs = True
        await asyncio.sleep(SILENT_SECONDS + STALE_SECONDS + 1)
        assert setting.mirror.outage() == "it does not answer in time"

    play(scene)


@pytest.mark.parametrize("error", [PermissionError("no watch"), KeyError("Content-Type"), RuntimeError("?")])
def test_lists_alone_keep_it_up_to_date_where_watches_fail(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(setting: Scene) -> None:
        setting.source.watch_failure = error
        for number in range(10):
            await asyncio.sleep(10)
            assert (setting.mirror.objects, setting.mirror.outage()) == (setting.source.has, "")
            setting.source.has = {"a": str(number)}
        assert len(setting.source.asked) < 25

    play(scene)
    assert len(caplog.records) == 1
    assert bool(caplog.records[0].exc_info) == isinstance(error, RuntimeError)


def test_watches_that_end_at_once_are_not_hurried_after() -> None:
    async def scene(setting: Scene) -> None:
        setting.source.ends = True
        await asyncio.sleep(20)
        assert len(setting.source.asked) <= 20 / LEAST_SECONDS + 1
        assert setting.mirror.outage() == ""

    play(scene)


def test_what_the_caller_has_changed_is_shown_at_once() -> None:
    async def scene(setting: Scene) -> None:
        await asyncio.sleep(0.1)
        setting.mirror.put("a", "9")
        assert setting.mirror.objects == {"a": "9"}

    play(scene)
