"""Sessions: made of a key, checked by its hash, ended by time and by the key file."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.serving.access import ApiKey, Caller, KeyRing, Scope, create_key
from heliograph.serving.sessions import SESSION_SECONDS, parse_session, seal

KEY, STORED = create_key("ann@example", [Scope.PREDICT])
OPERATOR, STORED_OPERATOR = create_key("operator", [Scope.OPERATE, Scope.PREDICT])
NOW = 1_800_000_000.5


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def ring(*keys: ApiKey) -> KeyRing:
    return KeyRing(keys or (STORED, STORED_OPERATOR), lambda: NOW)


def test_a_session_stands_for_its_key_on_every_process_with_the_same_file() -> None:
    token = ring().open_session(KEY)
    until = int(NOW) + SESSION_SECONDS
    expected = Caller("ann@example", sees_all=False, until=until)
    assert ring().check_session(token, Scope.PREDICT) == expected
    assert KeyRing([STORED], lambda: NOW + 60).check_session(token, *Scope) == expected
    with pytest.raises(errors.ScopeMissing):
        ring().check_session(token, Scope.OPERATE)
    assert ring().check_session(ring().open_session(OPERATOR), Scope.OPERATE).sees_all


def test_it_ends_after_half_a_day() -> None:
    clock = Clock()
    keys = KeyRing([STORED], clock)
    token = keys.open_session(KEY)
    clock.now = NOW + SESSION_SECONDS - 1
    assert keys.check_session(token, Scope.PREDICT).name == STORED.name
    clock.now = NOW + SESSION_SECONDS
    with pytest.raises(errors.KeyInvalid):
        keys.check_session(token, Scope.PREDICT)


def test_it_ends_with_its_key() -> None:
    token = ring().open_session(KEY)
    _, another = create_key(STORED.name, [Scope.PREDICT])
    for file in ([STORED_OPERATOR], [another, STORED_OPERATOR]):
        with pytest.raises(errors.KeyInvalid):
            ring(*file).check_session(token, Scope.PREDICT)


def test_scopes_are_those_of_the_file_now() -> None:
    token = ring().open_session(KEY)
    wider = ApiKey(STORED.name, frozenset(Scope), STORED.sha256)
    assert ring(wider).check_session(token, Scope.OPERATE).sees_all


def test_it_tells_neither_key_nor_hash() -> None:
    token = ring().open_session(KEY)
    session = parse_session(token)
    assert session is not None
    for secret in (KEY, KEY.removeprefix("hg_"), STORED.sha256):
        assert secret not in token
        assert secret.encode() not in session.proof
    assert bytes.fromhex(STORED.sha256) not in session.proof


def test_each_end_and_each_name_has_a_signature_of_its_own() -> None:
    """Else one proof would tell of another, or a later end could be written into it."""
    proofs = {
        seal(KEY.encode(), name=name, until=until, stored_hash=STORED.sha256).proof
        for name, until in (("a", 1), ("a", 2), ("b", 1), ("a\x001", 1), ("a", 11))
    }
    assert len(proofs) == 5


def test_the_signature_is_that_of_the_rfcs() -> None:
    """RFC 5802, section 3, with the signature of RFC 5869, section 2.3, written down once more."""
    stored, message = hashlib.sha256(KEY.encode()), b"heliograph session 1\0ann\x007"
    first = hmac.new(stored.digest(), message + b"\x01", hashlib.sha256).digest()
    second = hmac.new(stored.digest(), first + message + b"\x02", hashlib.sha256).digest()
    session = seal(KEY.encode(), name="ann", until=7, stored_hash=stored.hexdigest())
    whole = int.from_bytes(KEY.encode(), "big") ^ int.from_bytes((first + second)[: len(KEY)], "big")
    assert session.proof == whole.to_bytes(len(KEY), "big")
    assert session.key(stored.hexdigest()) == KEY.encode()


def test_who_reads_the_key_file_cannot_make_one() -> None:
    """What the file has is not enough: the proof must hide the key itself."""
    made_of_the_hash = [STORED.sha256.encode(), bytes.fromhex(STORED.sha256), b"", b"\0" * len(KEY)]
    for guess in made_of_the_hash:
        forged = seal(guess, name=STORED.name, until=int(NOW) + 60, stored_hash=STORED.sha256)
        with pytest.raises(errors.KeyInvalid):
            ring().check_session(forged.token(), Scope.PREDICT)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_session_that_was_changed_is_none(data: st.DataObject) -> None:
    token = ring().open_session(KEY)
    session = parse_session(token)
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters(max_codepoint=255)) + token[place + 1 :]
    if parse_session(changed) == session:  # the same bits written otherwise
        return
    with pytest.raises(errors.KeyInvalid) as refusal:
        ring().check_session(changed, Scope.PREDICT)
    assert token not in refusal.value.message


@pytest.mark.parametrize(
    "token",
    [
        "",
        "1",
        "1...",
        "1.1.YQ.",
        "2.1.YQ.YQ",
        "1.-1.YQ.YQ",
        "1.٣.YQ.YQ",
        "1.9.A.YQ",
        "1.9._w.YQ",
        "1.9.YQ.A",
        "x" * 9000,
    ],
)
def test_nonsense_is_no_session(token: str) -> None:
    with pytest.raises(errors.KeyInvalid):
        ring().check_session(token, *Scope)


def test_only_keys_have_sessions() -> None:
    with pytest.raises(errors.KeyMissing):
        ring().open_session("")
    for wrong in ("hg_wrong", KEY + "x", "\ud800", STORED.sha256):
        with pytest.raises(errors.KeyInvalid):
            ring().open_session(wrong)
    own = "é" * 400
    kept = ApiKey("own", frozenset(Scope), hashlib.sha256(own.encode()).hexdigest())
    assert ring(kept).check(own, Scope.PREDICT).name == "own"
    with pytest.raises(errors.KeyInvalid, match="no sessions"):
        ring(kept).open_session(own)


def test_what_a_caller_may() -> None:
    keys = ring()
    assert keys.scopes_of(keys.check(KEY, *Scope)) == [Scope.PREDICT]
    assert keys.scopes_of(keys.check(OPERATOR, *Scope)) == [Scope.OPERATE, Scope.PREDICT]
    assert KeyRing().scopes_of(Caller()) == sorted(Scope)
    assert KeyRing().check_session("anything", Scope.OPERATE) == Caller()
