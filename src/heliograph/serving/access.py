"""Who may: API keys, kept as hashes, each with scopes.

A key is 256 random bits, so a plain SHA-256 of it is safe to store: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from heliograph.core import errors
from heliograph.serving.sessions import MAX_KEY_BYTES, SESSION_SECONDS, parse_session, seal

KEY_PREFIX = "hg_"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
HASH_PATTERN = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Scope(StrEnum):
    """What a key allows."""

    PREDICT = "predict"
    """Send pictures, read models and one's own answers."""
    OPERATE = "operate"
    """See everything, metrics included, and change what runs."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: who has it, what it allows, and its SHA-256 in hex."""

    name: str
    scopes: frozenset[Scope]
    sha256: str

    def line(self) -> str:
        """The key as one line of a key file."""
        return f"{self.name} {','.join(sorted(self.scopes))} {self.sha256}"


def create_key(name: str, scopes: Iterable[Scope]) -> tuple[str, ApiKey]:
    """A new key in clear, to be shown once, and what is stored of it.

    Raises:
        SettingsInvalid: the name is not 1 to 64 letters, digits and ``._@-``, or there is no scope.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise errors.SettingsInvalid(f"{errors.excerpt(name)!r} cannot name a key.")
    allowed = frozenset(scopes)
    if not allowed:
        raise errors.SettingsInvalid(f"The key {name} needs a scope.")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(name, allowed, hashlib.sha256(_bytes(key)).hexdigest())


def parse_keys(text: str, *, origin: str) -> tuple[ApiKey, ...]:
    """The keys of a key file: one ``name scope,scope sha256`` a line; ``#`` begins a comment.

    Raises:
        SettingsInvalid: a line is none; the message names ``origin`` and the line, never its content.
    """
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        try:
            name, scopes, digest = content
            key = ApiKey(name, frozenset(Scope(scope) for scope in scopes.split(",")), digest.lower())
        except ValueError:
            key = ApiKey("", frozenset(), "")
        if not (NAME_PATTERN.fullmatch(key.name) and HASH_PATTERN.fullmatch(key.sha256)):
            raise errors.SettingsInvalid(f"{origin}, line {number}: not a `name scope,scope sha256` line.")
        if key.name in keys:
            raise errors.SettingsInvalid(f"{origin}, line {number}: the name {key.name} is there twice.")
        keys[key.name] = key
    return tuple(keys.values())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's name, "" where no keys are in use, and whether it sees what others sent.

    ``until`` is when its session ends, in seconds since the epoch; None for who shows a key.
    """

    name: str = ""
    sees_all: bool = True
    until: int | None = None

    def may_see(self, owner: str) -> bool:
        """Whether what belongs to ``owner`` is shown to this caller."""
        return self.sees_all or owner == self.name


NOBODY = ApiKey("", frozenset(), "0" * 64)
"""Nothing is known that has this hash. A session of an unknown name is checked with it, which takes as long."""


RENEWED_SECONDS = 1.0
"""After how long keys are looked at again."""


class KeyRing:
    """The keys that are valid. A ring that begins empty lets everybody do everything.

    Args:
        keys: those to begin with.
        clock: tells seconds since the epoch.
        renewed: tells all keys if they have changed, else None; asked before a check, at most once a second. Where
            none are left nobody is let in.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey] = (),
        clock: Callable[[], float] = time.time,
        *,
        renewed: Callable[[], Iterable[ApiKey] | None] = lambda: None,
    ) -> None:
        self._take(keys)
        self._asks = bool(self._keys)
        self._clock = clock
        self._renewed = renewed
        self._looked_at = clock()

    def __bool__(self) -> bool:
        return self._asks

    def check(self, presented: str | None, *scopes: Scope) -> Caller:
        """Who has the key that was presented, if it allows one of ``scopes``.

        Raises:
            KeyMissing, KeyInvalid, ScopeMissing: it does not.
        """
        return self._allowed(self._find(presented), scopes) if self._asks else Caller()

    def check_session(self, token: str, *scopes: Scope) -> Caller:
        """Who has the key that a session stands for, if it allows one of ``scopes``.

        Raises:
            KeyInvalid, ScopeMissing: it does not, or the session is over.
        """
        if not self._asks:
            return Caller()
        self._look()
        session = parse_session(token)
        key = self._by_name.get(session.name, NOBODY) if session else NOBODY
        shown = session.key(key.sha256) if session else b""
        is_known = hmac.compare_digest(key.sha256, hashlib.sha256(shown).hexdigest())
        if session is None or not is_known or session.until <= self._clock():
            raise errors.KeyInvalid("The session is over; sign in again.")
        return self._allowed(key, scopes, until=session.until)

    def open_session(self, presented: str) -> str:
        """A session of `SESSION_SECONDS` that stands for a key, for `check_session`. There must be keys.

        Raises:
            KeyMissing, KeyInvalid: it is none.
        """
        key, text = self._find(presented), _bytes(presented)
        if len(text) > MAX_KEY_BYTES:
            raise errors.KeyInvalid(f"A key of more than {MAX_KEY_BYTES} bytes has no sessions.")
        until = int(self._clock()) + SESSION_SECONDS
        return seal(text, name=key.name, until=until, stored_hash=key.sha256).token()

    def scopes_of(self, caller: Caller) -> Sequence[Scope]:
        """What a caller may; everything where nobody is asked for a key."""
        return sorted(self._by_name.get(caller.name, NOBODY).scopes) if self._asks else sorted(Scope)

    def _take(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)
        self._by_name = {key.name: key for key in self._keys}

    def _look(self) -> None:
        if abs(self._clock() - self._looked_at) < RENEWED_SECONDS:
            return
        self._looked_at = self._clock()
        if (keys := self._renewed()) is not None:
            self._take(keys)

    def _find(self, presented: str | None) -> ApiKey:
        """The key that was presented. All are compared, and none faster than others."""
        if not presented:
            raise errors.KeyMissing("Send your API key as `Authorization: Bearer KEY`.")
        self._look()
        digest = hashlib.sha256(_bytes(presented)).hexdigest()
        matching = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        if not matching:
            raise errors.KeyInvalid
        return matching[0]

    def _allowed(self, key: ApiKey, scopes: Iterable[Scope], *, until: int | None = None) -> Caller:
        if key.scopes.isdisjoint(scopes):
            wanted = " or ".join(f"`{scope}`" for scope in scopes)
            raise errors.ScopeMissing(f"The key {key.name} does not have the scope {wanted}.")
        return Caller(name=key.name, sees_all=Scope.OPERATE in key.scopes, until=until)


def _bytes(key: str) -> bytes:
    """A key as it is hashed, whatever a client puts into its text."""
    return key.encode("utf-8", "surrogatepass")
