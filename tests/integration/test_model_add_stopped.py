"""``heliograph models add`` that is stopped or killed: its child ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SECONDS = 60
PROGRAM = """
import sys
from heliograph.bootstrap import adding
from heliograph.cli.app import app
adding.CHILD = "idle_child"
app(["models", "add", sys.argv[1]])
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, whose child does nothing."""
    file, temporary = tmp_path / "net.onnx", tmp_path / "temporary"
    file.write_bytes(b"never read")
    temporary.mkdir()
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    own = {"HELIOGRAPH_MODEL_DIR": str(tmp_path / "store"), "TMPDIR": str(temporary), "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(file)], env={**os.environ, **own}) as process:
        yield process
        process.kill()


def awaited(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def child_of(temporary: Path) -> int:
    awaited(lambda: bool([*temporary.glob("heliograph-*/pid")]))
    return int(next(temporary.glob("heliograph-*/pid")).read_text())


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent on Linux alone")
def test_a_child_ends_with_a_command_that_is_killed(command: subprocess.Popen[bytes], tmp_path: Path) -> None:
    child = child_of(tmp_path / "temporary")
    command.kill()
    awaited(lambda: is_gone(child))


def test_a_command_that_is_stopped_leaves_nothing_behind(
    command: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    child = child_of(tmp_path / "temporary")
    command.send_signal(signal.SIGTERM)
    assert command.wait(SECONDS) == 130
    assert [*(tmp_path / "temporary").iterdir(), *(tmp_path / "store").glob(".adding-*")] == []
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
