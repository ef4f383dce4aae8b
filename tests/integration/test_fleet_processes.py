"""Workers as real processes: killed, frozen, deaf, dying young, never starting."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from fleet_trials import DIES_AT_ONCE, STAYS, Trial, Watcher, eventually, python, running, shell
from heliograph.adapters.fleet import children, keeping, processes
from heliograph.adapters.fleet.children import Child, Children, Command
from heliograph.adapters.fleet.keeping import Death, Keeper
from heliograph.core import errors
from heliograph.core.fleet import FleetBounds
from heliograph.core.workers import WorkerState

pytestmark = pytest.mark.anyio


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# A child


async def test_lines_of_a_child_are_said_however_long_and_strange() -> None:
    watcher = Watcher()
    program = (
        "import sys; w = sys.stdout.buffer.write; w(b'a\\n\\x1b[2J\\xff\\n' + b'x' * 100_000 + b'\\nend')"
    )
    child = await Child.start("c", python(program), watcher.say)
    assert (await child.wait()).status == 0
    assert watcher.lines[:2] == ["a", " [2J\ufffd"]
    assert "".join(watcher.lines[2:-1]) == "x" * 100_000
    assert max(map(len, watcher.lines)) <= 2 * children.LINE_BYTES
    assert watcher.lines[-1] == "end"


async def test_a_child_is_in_a_session_of_its_own_and_has_our_environment_and_its_own() -> None:
    watcher = Watcher()
    program = "import os; print(os.getsid(0) == os.getpid(), os.environ['PATH'] != '', os.environ['OWN'])"
    command = Command(arguments=python(program).arguments, environment={"OWN": "yes"})
    await (await Child.start("c", command, watcher.say)).wait()
    assert watcher.lines == ["True True yes"]


async def test_what_a_child_has_started_ends_with_it() -> None:
    watcher = Watcher()
    child = await Child.start("c", shell("sleep 60 & echo $!; exit 0"), watcher.say)
    assert (await child.wait()).status == 0
    await eventually("the grandchild to end", lambda: not is_alive(int(watcher.lines[0])))


async def test_a_grandchild_in_a_session_of_its_own_does_not_hold_up_the_end() -> None:
    watcher = Watcher()
    program = (
        "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    )
    child = await Child.start("c", python(program), watcher.say)
    try:
        async with asyncio.timeout(5):
            assert (await child.wait()).status == 0
    finally:
        os.kill(int(watcher.lines[0]), signal.SIGKILL)


async def test_one_that_does_not_obey_is_killed_after_its_grace() -> None:
    watcher = Watcher()
    child = await Child.start("c", shell(STAYS), watcher.say)
    await watcher.hears("hello")
    ending = await child.stop(0.1)
    assert ending is not None
    assert ending.status == -signal.SIGKILL
    assert child.has_ended


async def test_all_children_can_be_killed_at_once() -> None:
    watcher, nursery = Watcher(), Children()
    started = [await nursery.start("c", shell(STAYS), watcher.say) for _ in range(3)]
    nursery.kill()
    assert {(await child.wait()).status for child in started} == {-signal.SIGKILL}


async def test_what_cannot_be_started_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        await Child.start("c", Command(arguments=("/nowhere/to/be/found",)), Watcher().say)


# Keeping one


async def test_a_keeper_starts_another_one_and_tells_of_each_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_SECONDS", 0.01)
    deaths: list[Death] = []
    keeper = Keeper(lambda: Child.start("c", shell(DIES_AT_ONCE), Watcher().say), deaths.append)
    keeper.start()
    await eventually("three deaths", lambda: len(deaths) >= 3)
    await keeper.stop(5)
    assert [death.reason for death in deaths[:3]] == ["exited with status 3"] * 3
    assert [death.next_seconds for death in deaths[:3]] == [0.01, 0.02, 0.04]
    assert len({death.child.pid for death in deaths if death.child}) == len(deaths)


async def test_whatever_a_launch_raises_is_a_death(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "FIRST_SECONDS", 0.01)
    deaths: list[Death] = []
    mistakes = [KeyError("odd"), RuntimeError()]

    async def launch() -> Child:
        if mistakes:
            raise mistakes.pop(0)
        return await Child.start("c", shell(STAYS), Watcher().say)

    keeper = Keeper(launch, deaths.append)
    keeper.start()
    await eventually("a child", lambda: keeper.child is not None)
    await keeper.stop(0.05)
    assert [(death.child, death.reason) for death in deaths] == [(None, "'odd'"), (None, "RuntimeError")]
    assert [record.message for record in caplog.records] == ["a child cannot be launched"] * 2


async def test_a_keeper_that_is_closed_in_the_middle_of_a_start_leaves_nothing_behind() -> None:
    may, started = asyncio.Event(), []

    async def launch() -> Child:
        await may.wait()
        started.append(await Child.start("c", shell(STAYS), Watcher().say))
        return started[0]

    keeper = Keeper(launch, lambda death: None)
    keeper.start()
    await asyncio.sleep(0)
    stopping = asyncio.create_task(keeper.stop(0.05))
    may.set()
    await stopping
    assert [child.has_ended for child in started] == [True]


async def test_a_start_that_fails_is_a_death_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_SECONDS", 0.01)
    trial = Trial()
    missing = Command(arguments=("/nowhere/to/be/found",))
    monkeypatch.setattr(trial.fleet, "_command", lambda name, workers: missing)
    async with running(trial):
        await trial.watcher.hears(
            r"a worker cannot be started: .*No such file.*; another one starts in 0.02 s"
        )
    assert list(await trial.fleet.members()) == []


# The fleet


async def test_a_worker_that_is_killed_is_told_of_given_up_and_replaced() -> None:
    async with running(Trial(jobs_held=7)) as trial:
        first, second = await trial.alive(2)
        os.kill(first.pid, signal.SIGKILL)
        hears = trial.watcher.hears
        await hears(rf"^{first.name} \(pid {first.pid}\) was killed by SIGKILL; another one starts in 0.5 s$")
        await hears(rf"^{first.name}: the 7 jobs that it held go to others$")
        assert trial.released == [first.name]
        alive = await trial.alive(2)
        (new,) = {member.name for member in alive} - {second.name}
        assert new.startswith("worker-1-")
        assert new != first.name
        gone = next(member for member in await trial.fleet.members() if member.name == first.name)
        assert (gone.state, gone.reason) == (WorkerState.GONE, "was killed by SIGKILL")
        (action,) = await trial.fleet.actions()
        assert (action.who, action.what) == (
            "supervisor",
            f"restarting a worker: {first.name} (pid {first.pid}) was killed by SIGKILL",
        )


async def test_workers_that_die_young_get_new_names_and_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_SECONDS", 0.01)
    async with running(Trial(script=DIES_AT_ONCE)) as trial:
        for seconds in ("0.01", "0.02", "0.04", "0.08"):
            await trial.watcher.hears(
                rf"^worker-2-\w+ .*exited with status 3; another one starts in {seconds} s"
            )
    names = [name for name, _ in trial.started]
    assert len(set(names)) == len(names) >= 8
    assert set(trial.released) <= set(names)


async def test_the_jobs_of_the_dead_are_given_up_once_the_queue_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "RELEASE_PAUSE_SECONDS", 0.01)
    tries: list[str] = []

    async def release(name: str) -> int:
        tries.append(name)
        if len(tries) < 4:
            raise errors.QueueUnavailable
        return 1

    trial = Trial(release_by=release)
    async with running(trial):
        first, _ = await trial.alive(2)
        os.kill(first.pid, signal.SIGKILL)
        await trial.watcher.hears(f"{first.name}: the job that it held goes to others")
    assert tries[:4] == [first.name] * 4


async def test_a_worker_that_stops_too_slowly_is_killed_and_given_up() -> None:
    async with running(Trial(script=STAYS, grace_seconds=0.1, jobs_held=2)) as trial:
        first, _ = await trial.alive(2)
        await trial.fleet.stop(first.name, who="")
        assert len(await trial.alive(2)) == 2
        await trial.watcher.hears(f"{first.name} .* was stopped: it was killed by SIGKILL")
        await trial.watcher.hears(f"{first.name}: the 2 jobs that it held go to others")


async def test_a_frozen_worker_is_killed_when_it_is_stopped() -> None:
    async with running(Trial(grace_seconds=0.1)) as trial:
        first, _ = await trial.alive(2)
        os.kill(first.pid, signal.SIGSTOP)
        await trial.fleet.stop(first.name, who="")
        await trial.watcher.hears(f"{first.name} .* was killed by SIGKILL")


async def test_one_that_is_killed_from_here_is_replaced_and_who_is_unknown_is_left_alone() -> None:
    async with running(Trial()) as trial:
        first, second = await trial.alive(2)
        for name in (first.name, "somebody-else"):
            trial.fleet.kill(name, why="hangs")
        await trial.watcher.hears(rf"^{first.name} \(pid {first.pid}\) hangs: it is killed$")
        await trial.watcher.hears(rf"^{first.name} \(pid {first.pid}\) was killed by SIGKILL; another one")
        alive = {member.name for member in await trial.alive(2)}
    assert second.name in alive
    assert first.name not in alive


async def test_the_end_stops_all_and_gives_up_what_they_held() -> None:
    trial = Trial(bounds=FleetBounds(minimum=3, maximum=3))
    async with running(trial):
        alive = await trial.alive(3)
    assert not any(is_alive(member.pid) for member in alive)
    assert sorted(trial.released) == sorted(member.name for member in alive)
    assert sum("exited with status 0" in line for line in trial.watcher.lines) == 3


async def test_the_size_follows_within_the_bounds_and_the_newest_go_first() -> None:
    async with running(Trial(bounds=FleetBounds(minimum=1, maximum=3))) as trial:
        (first,) = await trial.alive(1)
        action = trial.fleet.resize(9, why="90 open jobs")
        assert action is not None
        assert (action.who, action.what) == ("autoscaler", "scaled from 1 to 3 workers for 90 open jobs")
        assert action.command == "heliograph up --workers 3"
        assert trial.fleet.resize(3, why="") is None
        await trial.alive(3)
        assert trial.fleet.resize(0, why="0 open jobs") is not None
        assert [member.name for member in await trial.alive(1)] == [first.name]
    assert {workers for _, workers in trial.started} == {3}


async def test_workers_are_ready_once_they_are_heard_of() -> None:
    async with running(Trial()) as trial:
        first, second = await trial.alive(2)
        for _ in range(2):
            trial.fleet.heard([first.name, "somebody-else"])
        states = [member.state for member in await trial.fleet.members()]
        assert states == [WorkerState.READY, WorkerState.STARTING]
        trial.fleet.heard([first.name, second.name])
    ready = [line for line in trial.watcher.lines if line.endswith("is ready")]
    assert ready == [f"{first.name} is ready", f"{second.name} is ready"]
