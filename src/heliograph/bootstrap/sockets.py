"""The listening sockets of a process, who may come in, and how a person types their addresses."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.bootstrap.parts import read_keys
from heliograph.core import errors
from heliograph.serving.access import KeyRing
from heliograph.settings import Settings

BACKLOG = 2048
EVERY_ADDRESS = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104  # ruff takes the names for a bind


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        SettingsInvalid: the address cannot be bound; says which and why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.SettingsInvalid(f"Cannot listen on {host}:{port}: {reason}.") from None


def address_of(listener: socket.socket) -> str:
    """The address of a listening socket as a person types it."""
    host, port = listener.getsockname()[:2]
    if host in EVERY_ADDRESS:
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The listening sockets of a process, main port first, and who may come in."""

    listeners: Sequence[socket.socket]
    keys: KeyRing


def open_doors(settings: Settings) -> Doors:
    """The sockets, bound before anything else costs time.

    Raises:
        SettingsInvalid: an address cannot be bound, or keys are missing or wrong.
    """
    keys = read_keys(settings)
    listeners = [listen(settings.host, settings.port)]
    if settings.ops_port is not None:
        listeners.append(listen(settings.host, settings.ops_port))
    return Doors(listeners=listeners, keys=keys)
