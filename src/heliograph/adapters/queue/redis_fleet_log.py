"""What was done to a fleet, on the server of its queue, so that every gateway tells the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict

from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core.fleet import FleetAction

log = logging.getLogger("heliograph.fleet")

KEPT_ACTIONS = 200


class RedisFleetLog:
    """Implements `heliograph.core.fleet.FleetLog`. An action that is sent twice is there once."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._key = server.keys.single("actions")

    async def add(self, action: FleetAction) -> None:
        """Remembers it, and forgets the oldest."""
        await self._server.call("ZADD", self._key, repr(action.at), json.dumps(asdict(action)))
        await self._server.call("ZREMRANGEBYRANK", self._key, 0, -KEPT_ACTIONS - 1)

    async def newest(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first."""
        if limit <= 0:  # to the server, negative numbers count from the end
            return ()
        found = await self._server.call("ZREVRANGE", self._key, 0, limit - 1)
        return [action for action in map(_action_of, found) if action is not None]


def _action_of(text: bytes) -> FleetAction | None:
    """An action; None where another version wrote what this one does not know."""
    try:
        return FleetAction(**json.loads(text))
    except (ValueError, TypeError):
        log.debug("an action is not understood")
        return None
