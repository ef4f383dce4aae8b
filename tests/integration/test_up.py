"""``heliograph up``, whole: 300 pictures while things are killed, Ctrl-C, a kill without a word, and refusals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from heliograph.adapters.fleet.orphans import PID_FILE
from integration.tiny_models import colour_picture, write_models
from queue_mode import submit, wait_until_finished
from queue_servers import queue_server
from service import Service, launched, wait_for

pytestmark = pytest.mark.fleet
COLOURS = ("red", "green", "blue")
PICTURES = [(f"{n}-{COLOURS[n % 3]}.png", colour_picture(COLOURS[n % 3])) for n in range(300)]
SOME = PICTURES[:90]
STARTED = r"^(worker-\d+-\w+|the gateway) starts \(pid (\d+)\)$"
READY = r"^(worker-\d+-\w+) is ready$"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@dataclass
class Deployment:
    """What runs, and where its data lie."""

    service: Service
    folder: Path

    def pids(self) -> dict[str, int]:
        """Process ids of all that was ever started, the last ones by name."""
        return {name: int(pid) for name, pid in re.findall(STARTED, self.service.log(), re.M)}

    def ready(self, count: int) -> list[str]:
        """Names of workers that became ready, once there are so many."""
        self.wait_for_line(READY, count)
        return re.findall(READY, self.service.log(), re.M)

    def wait_for_line(self, pattern: str, count: int = 1) -> None:
        wait_for(
            f"line {pattern!r}",
            lambda: len(re.findall(pattern, self.service.log(), re.M)) >= count,
            patience=30,
        )

    def server_pid(self) -> int:
        return int((self.folder / PID_FILE).read_text())

    def kill(self, name: str) -> None:
        os.kill(self.pids()[name], signal.SIGKILL)

    def fleet(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.service.get("/v1/fleet").json()
        return answer


@contextmanager
def up(
    store: Path, folder: Path, *arguments: str, is_ready: bool = True, **settings: object
) -> Iterator[Deployment]:
    """``heliograph up`` with the tiny models; the queue's server is not left behind whatever happens."""
    chosen: dict[str, Any] = {
        "model_dir": store,
        "models": "colours,busy-colours,slow-colours",
        "classification_model": "colours",
        "threads": 1,
        "drain_seconds": 0,
        **settings,
    }
    command = ["up", "--port", "0", "--data-dir", str(folder), *arguments]
    with launched(command, **chosen) as program:
        service = Service(program.process, program.environment, program.log_file)
        try:
            if is_ready:
                wait_for("the welcome", lambda: program.runs() and "open http" in program.log(), patience=30)
                service.wait_until_it_answers("/readyz", patience=30)
            yield Deployment(service, folder)
            if program.process.poll() is None:
                assert service.stop() == 0
        finally:
            program.process.kill()
            with suppress(OSError, ValueError):
                os.kill(int((folder / PID_FILE).read_text()), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def finished(running: Deployment, group: str) -> int:
    """How many jobs of a group are done."""
    answer = running.service.get(f"/v1/groups/{group}?limit=1")
    return int(answer.json()["counts"].get("done", 0)) if answer.status_code == 200 else 0


def check_answers(running: Deployment, jobs: Sequence[dict[str, Any]]) -> None:
    """Each picture has its one right answer."""
    assert {job["state"] for job in jobs} == {"done"}
    assert len({job["name"] for job in jobs}) == len(jobs) >= len(SOME)
    with httpx2.Client(base_url=running.service.url) as client:
        for job in jobs:
            answer = client.get(f"/v1/jobs/{job['id']}/result")
            assert answer.json()[0]["label"] == job["name"].partition("-")[2].removesuffix(".png")


def test_three_hundred_pictures_while_a_worker_is_killed(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", "--workers", "2") as running:
        first, second = sorted(running.ready(2))
        receipt = submit(running.service, PICTURES, model="busy-colours", top="1")
        wait_for("some to be done", lambda: 30 < finished(running, receipt["group"]) < 200)
        running.kill(first)
        began = time.monotonic()
        jobs = wait_until_finished(running.service, receipt["group"])
        assert time.monotonic() - began < 30
        check_answers(running, jobs)
        assert len(jobs) == 300
        by_worker = Counter(job["worker"] for job in jobs)
        (third,) = set(running.ready(3)) - {first, second}
        assert set(by_worker) <= {first, second, third}
        assert by_worker[first] > 0 < by_worker[second]
        log = running.service.log()
        assert (
            f"{first} (pid {running.pids()[first]}) was killed by SIGKILL; another one starts in 0.5 s" in log
        )
        assert re.search(
            rf"^{first}: (the \d+ jobs that it held go|the job that it held goes) to others$", log, re.M
        )
        workers = {worker["name"]: worker for worker in running.fleet()["workers"]}
        assert (workers[first]["state"], workers[first]["reason"]) == ("gone", "was killed by SIGKILL")
        assert {workers[name]["state"] for name in (second, third)} <= {"ready", "busy"}
        assert workers[third]["pid"] == running.pids()[third]


def test_the_gateway_and_the_queues_server_may_be_killed_too(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", "--workers", "2") as running:
        running.ready(2)
        receipt = submit(running.service, SOME, model="busy-colours", top="1")
        wait_for("some to be done", lambda: finished(running, receipt["group"]) > 10)
        os.kill(running.server_pid(), signal.SIGKILL)
        running.wait_for_line(
            r"^valkey, the queue's server, was killed by SIGKILL; it starts again in 0\.5 s"
        )
        wait_for("more to be done", lambda: finished(running, receipt["group"]) > 25)
        running.kill("the gateway")
        running.wait_for_line(r"^the gateway was killed by SIGKILL; another one starts in 0\.5 s$")
        running.service.wait_until_it_answers("/readyz", patience=20)
        check_answers(running, wait_until_finished(running.service, receipt["group"]))


def test_ctrl_c_ends_within_seconds_and_the_next_one_goes_on(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    with up(models, folder, finish_seconds=1) as running:
        running.ready(2)
        receipt = submit(running.service, SOME, model="busy-colours", top="1")
        wait_for("some to be done", lambda: finished(running, receipt["group"]) > 2)
        pids = [*running.pids().values(), running.server_pid()]
        began = time.monotonic()
        assert running.service.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 10
        assert not any(map(is_alive, pids))
        lines = running.service.log().splitlines()
        assert re.fullmatch(r"stopped; \d+ unfinished jobs left for the next `heliograph up`", lines[-1])
        left = int(lines[-1].split()[1])
        assert 20 < left < 90
    with up(models, folder, "--workers", "1") as running:
        assert f"{left} unfinished jobs from before" in running.service.log()
        check_answers(running, wait_until_finished(running.service, receipt["group"]))


@pytest.fixture
def hearing_hangups() -> Iterator[None]:
    """Processes that are started heed SIGHUP, even where who runs the tests had it ignored, as `nohup` does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing_hangups")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_too(models: Path, tmp_path: Path, number: int) -> None:
    with up(models, tmp_path / "queue", "--workers", "0") as running:
        assert running.service.stop(number) == 0
        assert not any(map(is_alive, running.pids().values()))


def test_the_order_of_the_end_is_gateway_workers_queue(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", "--workers", "1", log_level="info") as running:
        (name,) = running.ready(1)
        assert running.service.stop(signal.SIGINT) == 0
        log = running.service.log().partition("stopping: the gateway")[2]
    parts = ["gateway | ", f"{name} (pid", "stopped; no unfinished jobs left for the next `heliograph up`"]
    places = [log.find(part) for part in parts]
    assert places == sorted(places)
    assert min(places) >= 0


@pytest.mark.parametrize("seen", ["worker-1", "the gateway starts", "gateway | "])
def test_a_stop_in_the_middle_of_the_start_is_clean(models: Path, tmp_path: Path, seen: str) -> None:
    with up(models, tmp_path / "queue", is_ready=False) as running:
        running.wait_for_line(f"^{re.escape(seen)}")
        assert running.service.stop(signal.SIGINT) == 0
        assert "Traceback" not in running.service.log()
        assert not any(map(is_alive, running.pids().values()))
        assert not (tmp_path / "queue" / PID_FILE).exists()


def test_a_second_ctrl_c_kills_all_at_once(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", finish_seconds=600, request_timeout_seconds=600) as running:
        running.ready(2)
        submit(running.service, SOME, model="slow-colours")
        pids = [*running.pids().values(), running.server_pid()]
        running.service.process.send_signal(signal.SIGINT)
        running.wait_for_line("^stopping: ")
        began = time.monotonic()
        assert running.service.stop(signal.SIGINT) == -signal.SIGINT
        wait_for("all to be gone", lambda: not any(map(is_alive, pids)))
        assert time.monotonic() - began < 5


def test_after_a_kill_without_a_word_nothing_stays_and_the_next_one_goes_on(
    models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "queue"
    with up(models, folder) as running:
        running.ready(2)
        receipt = submit(running.service, SOME, model="busy-colours", top="1")
        wait_for("some to be done", lambda: finished(running, receipt["group"]) > 5)
        others = list(running.pids().values())
        orphan = running.server_pid()
        running.service.process.kill()
        running.service.process.wait(10)
        with up(models, folder) as again:
            assert f"still runs (pid {orphan}); it is stopped first" in again.service.log()
            jobs = wait_until_finished(again.service, receipt["group"])
            check_answers(again, jobs)
            wait_for("the others to be gone", lambda: not any(map(is_alive, others)))


def test_the_fleet_is_scaled_and_stopped_over_http(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", "--workers", "1", models="colours") as running:
        (name,) = running.ready(1)
        url = running.service.url
        assert (running.fleet()["bounds"], running.fleet()["read_only"]) == ({"min": 1, "max": 1}, False)
        scaled = httpx2.post(f"{url}/v1/fleet/scale", json={"min": 2, "max": 3})
        assert scaled.json()["what"] == "scaled to 2 to 3 workers"
        running.ready(2)
        stopped = httpx2.delete(f"{url}/v1/fleet/workers/{name}")
        assert stopped.json()["command"] == f"kill -TERM {running.pids()[name]}"
        running.wait_for_line(rf"^{name} \(pid \d+\) was stopped: it exited with status 0$")
        running.ready(3)
        unknown = httpx2.delete(f"{url}/v1/fleet/workers/worker-9")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "worker-unknown")
        refused = httpx2.post(f"{url}/v1/fleet/scale", json={"min": 3, "max": 2})
        assert (refused.status_code, refused.json()["code"]) == (400, "parameter-invalid")
        actions = httpx2.get(f"{url}/v1/fleet/log").json()["actions"]
        assert [action["what"] for action in actions] == [f"stopping {name}", "scaled to 2 to 3 workers"]


def test_between_its_bounds_the_backlog_decides(models: Path, tmp_path: Path) -> None:
    with up(models, tmp_path / "queue", "--min", "0", "--max", "2", models="colours,busy-colours") as running:
        assert running.fleet()["workers"] == []
        receipt = submit(running.service, SOME, model="busy-colours", top="1")
        running.wait_for_line(r"^scaled from 0 to 1 worker for 90 open jobs \(autoscaler\)$")
        running.wait_for_line(r"^scaled from 1 to 2 workers for \d+ open jobs \(autoscaler\)$")
        check_answers(running, wait_until_finished(running.service, receipt["group"]))


# Refusals


def refused(store: Path, folder: Path, *arguments: str, **settings: object) -> tuple[int, str]:
    """Exit status and lines of a start that fails."""
    with up(store, folder, *arguments, is_ready=False, **settings) as running:
        status = running.service.process.wait(30)
        return status, running.service.log()


def test_a_folder_in_use_is_one_clear_line(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    with up(models, folder, "--workers", "0") as running:
        began = time.monotonic()
        with launched(["up", "--data-dir", str(folder)], model_dir=models, models="colours") as second:
            assert second.process.wait(20) == 1
            assert second.log() == (
                f"heliograph: The data folder {folder} is in use by another `heliograph up` "
                f"(pid {running.service.process.pid}); stop that one, or name another folder with --data-dir.\n"
            )
        assert time.monotonic() - began < 10


def test_a_port_in_use_is_one_clear_line(models: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        status, log = refused(models, tmp_path / "queue", "--port", port)
    assert status == 1
    assert log.startswith(f"heliograph: Cannot listen on 127.0.0.1:{port}: Address already in use")
    assert len(log.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "line"),
    [
        (["--redis-url", "http://somewhere"], {}, "The queue's address is wrong: "),
        (["--redis-url", "redis://localhost:abc"], {}, "The queue's address is wrong: "),
        (["--redis-url", "redis://localhost?odd=1"], {}, "The queue's address is wrong: "),
        (["--redis-url", "redis://me:hu5h/55@localhost"], {}, "The queue's address is wrong: "),
        ([], {"redis_url": "redis://me:hu5h\u210055@localhost"}, "The queue's address is wrong: "),
        (["--min", "3", "--max", "1"], {}, "There can be no 3 to 1 workers: "),
        (["--workers", "1001"], {}, "HELIOGRAPH_WORKERS: "),
        (["--host", "::"], {}, "Listening on :: without API keys would let everybody in."),
        ([], {"models": "nothing"}, "There is no model 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    models: Path, tmp_path: Path, arguments: list[str], settings: dict[str, str], line: str
) -> None:
    status, log = refused(models, tmp_path / "queue", *arguments, **settings)
    assert status == 1
    assert log.startswith(f"heliograph: {line}")
    assert len(log.splitlines()) == 1
    assert "hu5h" not in log
    assert not list((tmp_path).glob("queue/*.pid"))


@pytest.mark.parametrize("arguments", [["--min", "1"], ["--workers", "2", "--min", "1", "--max", "2"]])
def test_numbers_that_do_not_go_together_are_refused(
    models: Path, tmp_path: Path, arguments: list[str]
) -> None:
    status, log = refused(models, tmp_path / "queue", *arguments)
    assert status == 2
    assert "--min and --max" in log


def test_a_wrong_password_is_one_clear_line(models: Path, tmp_path: Path) -> None:
    with queue_server("valkey", "--requirepass", "right") as server:
        status, log = refused(models, tmp_path / "queue", "--redis-url", f"{server.url}?password=wrong")
    assert status == 1
    assert log.startswith("heliograph: The queue's server refuses the user or password: ")
    assert len(log.splitlines()) == 1


def test_a_server_of_ones_own_is_used_and_waited_for(models: Path, tmp_path: Path) -> None:
    with queue_server("valkey") as server:
        server.kill()
        with up(models, tmp_path / "queue", "--workers", "1", "--redis-url", server.url) as running:
            running.wait_for_line("queue away: waiting for it")
            server.start()
            running.ready(1)
            receipt = submit(running.service, SOME, top="1")
            check_answers(running, wait_until_finished(running.service, receipt["group"]))
            assert not (tmp_path / "queue").exists()


def test_a_secret_in_the_address_is_nowhere_to_be_seen(models: Path, tmp_path: Path) -> None:
    with queue_server("valkey", "--requirepass", "pa55word") as server:
        url = f"{server.url}?password=pa55word"
        with up(models, tmp_path / "queue", "--workers", "1", redis_url=url) as running:
            running.ready(1)
            pids = ",".join(map(str, running.pids().values()))
            listed = subprocess.run(
                ["ps", "-o", "command=", "-p", pids], capture_output=True, text=True, check=True
            )
            assert listed.stdout.count("-m heliograph ") == 2
            assert "pa55word" not in listed.stdout
            assert running.service.stop() == 0
            assert "pa55word" not in running.service.log()
