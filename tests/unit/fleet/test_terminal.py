"""The terminal of ``heliograph up``: never waited for."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest

from heliograph.bootstrap.up import Running
from heliograph.cli import up
from heliograph.core.fleet import FleetBounds
from service import wait_for


def test_lines_are_written_in_their_order() -> None:
    stream = io.StringIO()
    terminal = up.Terminal(stream)
    for number in range(100):
        terminal.say(str(number))
    terminal.close()
    assert stream.getvalue().split() == [str(number) for number in range(100)]


class PausedStream(io.StringIO):
    """Takes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def write(self, text: str) -> int:
        assert self.may.wait(10)
        return super().write(text)


def test_a_paused_terminal_is_not_waited_for_and_what_is_lost_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(up, "WAITING_LINES", 10)
    stream = PausedStream()
    terminal = up.Terminal(stream)
    for number in range(100):
        terminal.say(str(number))
    stream.may.set()
    wait_for("it to be written", lambda: "9" in stream.getvalue().split())
    terminal.say("later")
    terminal.close()
    *numbers, said, later = stream.getvalue().splitlines()
    assert numbers == [str(number) for number in range(len(numbers))]
    assert len(numbers) in (10, 11)
    assert (said, later) == (f"… {100 - len(numbers)} lines are left out", "later")


def test_one_that_stays_paused_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "CLOSE_SECONDS", 0.01)
    stream = PausedStream()
    terminal = up.Terminal(stream)
    terminal.say("never seen")
    terminal.close()
    assert stream.getvalue() == ""
    stream.may.set()
    wait_for("the thread to end", lambda: not terminal._thread.is_alive())


def test_nobody_reading_any_more_is_no_failure() -> None:
    stream = io.StringIO()
    terminal = up.Terminal(stream)
    stream.close()
    terminal.say("to nobody")
    terminal.close()
    assert not terminal._thread.is_alive()


def test_the_welcome_can_be_pasted() -> None:
    running = Running(
        address="http://localhost:8000",
        kept_in="/data",
        workers=FleetBounds(minimum=2, maximum=2),
        pids=(12, 13),
        asks_for_keys=False,
    )
    text = up.welcome(running)
    assert "open http://localhost:8000 in" in text
    assert "kill -9 12" in text
    assert "Authorization" not in text
    assert "Authorization: Bearer" in up.welcome(replace(running, asks_for_keys=True))
    assert "kill" not in up.welcome(replace(running, pids=()))
