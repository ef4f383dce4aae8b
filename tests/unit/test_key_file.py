"""The file of API keys of a process that runs: who leaves it is refused, who comes is let in."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from heliograph.bootstrap.key_file import KeyFile
from heliograph.core import errors
from heliograph.serving.access import RENEWED_SECONDS, KeyRing, Scope, create_key

ANA, STORED_ANA = create_key("ana", [Scope.PREDICT])
BOB, STORED_BOB = create_key("bob", [Scope.PREDICT])


class Ring:
    """A ring of a file's keys, at a time of one's own."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        file = KeyFile(path)
        self.keys = KeyRing(file.read(), lambda: self.now, renewed=file.renewed)

    def lets_in(self, key: str) -> bool:
        try:
            self.keys.check(key, Scope.PREDICT)
        except errors.KeyInvalid:
            return False
        return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{STORED_ANA.line()}\n")
    return path


def test_keys_come_and_go_within_a_second(path: Path) -> None:
    ring = Ring(path)
    token = ring.keys.open_session(ANA)
    path.write_text(f"{STORED_BOB.line()}\n")
    ring.now = RENEWED_SECONDS / 2
    assert (ring.lets_in(ANA), ring.lets_in(BOB)) == (True, False)
    ring.now = RENEWED_SECONDS
    with pytest.raises(errors.KeyInvalid):
        ring.keys.check_session(token, Scope.PREDICT)
    assert (ring.lets_in(ANA), ring.lets_in(BOB)) == (False, True)


def test_without_any_key_left_nobody_is_let_in(path: Path) -> None:
    ring = Ring(path)
    path.write_text("# all gone\n")
    ring.now = RENEWED_SECONDS
    assert not ring.lets_in(ANA)
    with pytest.raises(errors.KeyMissing):
        ring.keys.check(None, Scope.PREDICT)


def test_what_cannot_be_read_changes_nothing_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring(path)
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            if number == 1:
                path.write_text("broken")
            else:
                path.unlink()
            for _ in range(3):
                ring.now += RENEWED_SECONDS
                assert ring.lets_in(ANA)
            assert [record.message for record in caplog.records] == number * ["keys kept as they were"]
    path.write_text(STORED_BOB.line())
    ring.now += RENEWED_SECONDS
    assert (ring.lets_in(ANA), ring.lets_in(BOB)) == (False, True)


def test_the_file_is_not_read_while_it_stays_as_it_is(path: Path) -> None:
    file = KeyFile(path)
    assert file.read() == (STORED_ANA,)
    assert file.renewed() is None
    path.write_text(f"{STORED_ANA.line()}\n{STORED_BOB.line()}\n")
    assert file.renewed() == (STORED_ANA, STORED_BOB)
    assert file.renewed() is None
