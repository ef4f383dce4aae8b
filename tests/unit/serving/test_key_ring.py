"""API keys: made, stored, parsed, checked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.serving.access import Caller, KeyRing, Scope, create_key, parse_keys

HASH = "0" * 64


@settings(max_examples=30, deadline=None)
@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", fullmatch=True),
    scopes=st.sets(st.sampled_from(Scope), min_size=1),
)
def test_a_key_survives_its_file(name: str, scopes: set[Scope]) -> None:
    key, stored = create_key(name, scopes)
    assert parse_keys(f"\n# mine\n  {stored.line()}  # until May\n", origin="keys") == (stored,)
    assert key not in stored.line()
    ring = KeyRing([stored])
    for scope in scopes:
        assert ring.check(key, scope) == Caller(stored.name, sees_all=Scope.OPERATE in scopes)
    for scope in set(Scope) - scopes:
        with pytest.raises(errors.ScopeMissing):
            ring.check(key, scope)
    assert ring.check(key, *Scope).name == stored.name


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "ä", "a\n", "a#"])
def test_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    with pytest.raises(errors.SettingsInvalid):
        create_key(name, [Scope.PREDICT])


def test_a_key_without_a_scope_is_refused() -> None:
    with pytest.raises(errors.SettingsInvalid, match="scope"):
        create_key("name", [])


@pytest.mark.parametrize(
    "line",
    [
        "name predict",
        f"name predict {HASH} more",
        f"name other {HASH}",
        f"name predict, {HASH}",
        "name predict 00",
        f"na/me predict {HASH}",
        f"name predict {HASH[:-1]}g",
        "name predict hg_SECRET",
    ],
)
def test_a_line_that_is_none_is_named_without_its_content(line: str) -> None:
    with pytest.raises(errors.SettingsInvalid, match="keys, line 2") as refusal:
        parse_keys(f"ok predict {HASH}\n{line}\n", origin="keys")
    assert "SECRET" not in refusal.value.message


def test_a_name_must_be_there_once() -> None:
    with pytest.raises(errors.SettingsInvalid, match="twice"):
        parse_keys(f"a predict {HASH}\na operate {HASH}", origin="keys")


def test_an_empty_ring_lets_everybody_in() -> None:
    assert not KeyRing()
    caller = KeyRing().check(None, Scope.OPERATE)
    assert caller.name == ""
    assert caller.may_see("anybody")


def test_a_caller_sees_its_own_and_an_operator_everything() -> None:
    mine = Caller("me", sees_all=False)
    assert mine.may_see("me")
    assert not mine.may_see("you")
    assert not mine.may_see("")
    assert Caller("root", sees_all=True).may_see("you")


def test_missing_and_wrong_keys_differ() -> None:
    key, stored = create_key("a", [Scope.PREDICT])
    ring = KeyRing([stored])
    for missing in (None, ""):
        with pytest.raises(errors.KeyMissing):
            ring.check(missing, Scope.PREDICT)
    for wrong in (key + "x", key.upper(), stored.sha256, "é"):
        with pytest.raises(errors.KeyInvalid):
            ring.check(wrong, Scope.PREDICT)
