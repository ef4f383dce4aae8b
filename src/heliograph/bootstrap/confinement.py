"""A disposable child process with limits, for files that nobody vouches for.

It has a folder of its own, no input, an empty environment and nothing of ours but the request; what it
found comes back as one small file, which is read as if a stranger had written it. Whatever happens to it,
the parent only learns that.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import signal
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heliograph.core import errors

REQUEST, OUTCOME = "request.json", "outcome.json"
OUTCOME_BYTES = 1_000_000
GIGABYTE = 1 << 30
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the child may use: address space, processor time, the size of a file it writes, and time on the clock."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    wall_seconds: float

    @classmethod
    def for_file(cls, size: int) -> Limits:
        """Enough to convert and try a model file of so many bytes, and no more than this machine can spare."""
        return cls(
            memory_bytes=min(3 * GIGABYTE + 14 * size, 24 * GIGABYTE),
            cpu_seconds=120 + size // 1_000_000,
            file_bytes=64_000_000 + 3 * size,
            wall_seconds=300.0 + size / 500_000,
        )


def run_confined(
    module: str, request: Mapping[str, Any], folder: Path, limits: Limits, *, what: str
) -> bytes:
    """What the child has to say: the bytes of a small file that may say anything.

    Args:
        module: run as a program; it calls `confine` first and `report` last.
        request: what it is asked, as JSON can say it.
        folder: its own, empty; what else it makes is there.
        limits: what it may use.
        what: the file that it looks at, for messages.

    Raises:
        ModelInvalid: it needed more than it may, or died.
    """
    (folder / OUTCOME).unlink(missing_ok=True)
    own = {"limits": asdict(limits), "parent": os.getpid()}
    (folder / REQUEST).write_text(json.dumps({**own, **request}))
    status = asyncio.run(_run(module, folder, limits.wall_seconds))
    if status is None:
        raise errors.ModelInvalid(
            f"{what} kept a process busy for {limits.wall_seconds:.0f} s; it was given up."
        )
    try:
        return read_small(folder / OUTCOME, most=OUTCOME_BYTES)
    except OSError:
        raise errors.ModelInvalid(_death(status, limits, what)) from None


def read_small(path: Path, *, most: int) -> bytes:
    """The bytes of a file that a stranger may have put there: a regular one, no link, of at most so many bytes.

    Raises:
        OSError: it is anything else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > most:
            raise OSError(f"{path.name} is not a file of at most {most:,} bytes")
        return stream.read(most)


def confine() -> tuple[dict[str, Any], Limits]:
    """In the child, before anything else: takes the limits upon itself; what it is asked, and they."""
    request: dict[str, Any] = json.loads(Path(REQUEST).read_bytes())
    _end_with(request.pop("parent"))
    limits = Limits(**request.pop("limits"))
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
    }
    for kind, bound in bounds.items():
        with suppress(ValueError, OSError):  # not every system knows each of them, or lets it be lowered
            resource.setrlimit(kind, (bound, bound))
    return request, limits


def report(outcome: bytes) -> None:
    """In the child, at the end: leaves what it found, whole or not at all."""
    part = Path(f"{OUTCOME}.part")
    part.write_bytes(outcome)
    part.replace(OUTCOME)


def _end_with(parent: int) -> None:
    """Sees to it that this process is killed when its parent dies, where the system knows how (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before
        os._exit(1)


async def _run(module: str, folder: Path, seconds: float) -> int | None:
    """The exit status, negative for a signal; None if it was killed after so many seconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        module,
        cwd=folder,
        env=_environment(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError):  # the child, and whatever it may have started
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _environment(folder: Path) -> dict[str, str]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    paths = {
        name: os.pathsep.join(
            str(Path(place).absolute()) for place in os.environ[name].split(os.pathsep) if place
        )
        for name in ("PYTHONPATH", "LD_LIBRARY_PATH")
        if name in os.environ
    }
    own = {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1"}
    return {**own, **one_thread, **paths, "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1"}


def _death(status: int, limits: Limits, what: str) -> str:
    memory = f"{limits.memory_bytes / GIGABYTE:.1f} GB of memory"
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return (
            f"{what} needs more than {memory} or {limits.cpu_seconds} s of processor time; it was given up."
        )
    return f"{what} brought the process down that looked at it: it is damaged, or needs more than {memory}."
