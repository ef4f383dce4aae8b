"""Names of workers, commands that do the same, and how long until the next start."""

from __future__ import annotations

from heliograph.adapters.fleet.children import Ending, printable
from heliograph.adapters.fleet.keeping import Backoff
from heliograph.adapters.fleet.processes import Names, up_command
from heliograph.core.fleet import FleetBounds


def test_no_name_comes_twice() -> None:
    names = Names()
    made = [names.new(place=1) for _ in range(140_000)]
    assert len(set(made)) == len(made)
    assert all(name.startswith("worker-1-") for name in made)
    assert len(names.new(place=2).removeprefix("worker-2-")) == 5
    assert len(Names().new(place=2).removeprefix("worker-2-")) == 4


def test_a_child_that_dies_young_makes_the_next_one_wait_longer() -> None:
    backoff = Backoff()
    assert [backoff.after(1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [backoff.after(seconds) for seconds in (30.0, 1.0, 45.0)] == [0.5, 1, 0.5]


def test_a_size_as_a_command() -> None:
    assert up_command(FleetBounds(minimum=2, maximum=2)) == "heliograph up --workers 2"
    assert up_command(FleetBounds(minimum=0, maximum=6)) == "heliograph up --min 0 --max 6"


def test_how_a_process_ended_in_words() -> None:
    words = {status: str(Ending(status=status, ran_seconds=1.0)) for status in (0, 3, -9, -200)}
    assert words == {
        0: "exited with status 0",
        3: "exited with status 3",
        -9: "was killed by SIGKILL",
        -200: "was killed by signal 200",
    }


def test_whatever_a_program_writes_does_not_steer_the_terminal() -> None:
    assert printable(b"\x1b[2Jcaf\xc3\xa9\xff\r\n") == " [2Jcafé\ufffd"
