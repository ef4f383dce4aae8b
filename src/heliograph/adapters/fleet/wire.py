"""How a fleet is spoken of on a socket: one JSON object a line each way, one request a connection.

::

    {"call": "members"}                                          {"item": {…}} a worker each, {"end": true}
    {"call": "bounds"}                                           {"item": {"minimum": 2, "maximum": 6}}, or none
    {"call": "scale", "minimum": 2, "maximum": 6, "who": "me"}   {"item": {…}} the action
    {"call": "stop", "name": "worker-1-x7f3", "who": "me"}       {"item": {…}} the action
    {"call": "actions", "limit": 100}                            {"item": {…}} an action each

What cannot be done is answered ``{"error": {"code": "worker-unknown", "message": "…"}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from heliograph.core.fleet import FleetAction, FleetBounds, FleetMember
from heliograph.core.workers import WorkerState

LINE_BYTES = 65_536
"""The longest line, either way."""
ANSWER_LINES = 5_000
"""The longest answer; far more than there are workers."""
ANSWER_SECONDS = 5.0
TEXT_CHARACTERS = 256
"""The longest text in a request; no name of ours comes near."""


def line_of(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def message_of(line: bytes) -> Mapping[str, Any]:
    """A message as it was received.

    Raises:
        ValueError: it is none.
    """
    if not line.endswith(b"\n"):
        raise ValueError("The line has no end.")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("The line is nested too deeply.") from None
    if not isinstance(message, dict):
        raise ValueError("The line is not an object.")
    return message


def item_of(thing: FleetMember | FleetAction | FleetBounds) -> Mapping[str, Any]:
    """A part of an answer as a message."""
    return {"item": asdict(thing)}


def member_of(item: Mapping[str, Any]) -> FleetMember:
    """The worker in a message; what it lacks raises TypeError, KeyError or ValueError."""
    return FleetMember(**{**item, "state": WorkerState(item["state"])})
