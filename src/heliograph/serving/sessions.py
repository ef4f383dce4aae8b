"""Sessions: what a browser holds in the place of an API key. Nothing of them is kept here.

The method is that of SCRAM (RFC 5802, section 3). The key file has H(key) alone. A session is a name, an end, and a
proof: the key XOR a signature of name and end under H(key). To check one, the signature is taken off again; what is
left is the key if its H is the one in the file. So every process with the same key file can check it, also after a
restart, and it ends when its key leaves the file. Whoever reads the key file cannot make one, for that takes the key
itself; whoever sees a session does not learn the key from it, for that takes the key file.

A key is longer than a hash, so the signature is made as long as it by HKDF-Expand (RFC 5869, section 2.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

SESSION_SECONDS = 12 * 3600
"""A working day; it is not renewed, so that one that was stolen ends."""
MAX_KEY_BYTES = 512
"""Of a key that a session can stand for; ours have 46."""
TOKEN_PATTERN = re.compile(r"1\.([0-9]{1,12})\.([\w-]{1,128})\.([\w-]{1,700})", re.ASCII)
PURPOSE = b"heliograph session 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who says to have a key, and until when (seconds since the epoch)."""

    name: str
    until: int
    proof: bytes

    def key(self, stored_hash: str) -> bytes:
        """The key that it was made with, if that is the one with this SHA-256; anything else otherwise."""
        return _xor(self.proof, _signature(self.name, self.until, stored_hash, len(self.proof)))

    def token(self) -> str:
        """The session as text, fit for a cookie."""
        return f"1.{self.until}.{_text(self.name.encode())}.{_text(self.proof)}"


def seal(key: bytes, *, name: str, until: int, stored_hash: str) -> Session:
    """A session that stands for a key with this name and SHA-256."""
    proof = _xor(key, _signature(name, until, stored_hash, len(key)))
    return Session(name=name, until=until, proof=proof)


def parse_session(token: str) -> Session | None:
    """The session that a text says it is; None if it is none."""
    found = TOKEN_PATTERN.fullmatch(token)
    if found is None:
        return None
    try:
        return Session(name=_bytes(found[2]).decode(), until=int(found[1]), proof=_bytes(found[3]))
    except ValueError:  # no base64, or no UTF-8 in it
        return None


def _signature(name: str, until: int, stored_hash: str, length: int) -> bytes:
    secret, message = bytes.fromhex(stored_hash), b"\0".join((PURPOSE, name.encode(), b"%d" % until))
    parts, part = [], b""
    for number in range(1, -(-length // hashlib.sha256().digest_size) + 1):
        part = hmac.digest(secret, part + message + bytes([number]), "sha256")
        parts.append(part)
    return b"".join(parts)[:length]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
