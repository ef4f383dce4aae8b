"""`SocketFleet`: the fleet that another process of this machine runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.adapters.fleet.wire import (
    ANSWER_LINES,
    ANSWER_SECONDS,
    LINE_BYTES,
    TEXT_CHARACTERS,
    line_of,
    member_of,
    message_of,
)
from heliograph.core import errors
from heliograph.core.fleet import FleetAction, FleetBounds, FleetMember


class SocketFleet:
    """Implements `heliograph.core.fleet.Fleet` through the socket of a `FleetServer`, a connection a call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_read_only(self) -> bool:
        """Never."""
        return False

    async def members(self) -> Sequence[FleetMember]:
        """The workers by name."""
        items = await self._ask(call="members")
        try:
            return [member_of(item) for item in items]
        except (TypeError, KeyError, ValueError) as error:
            raise _not_understood(error) from error

    async def bounds(self) -> FleetBounds | None:
        """How many workers there may be."""
        items = await self._ask(call="bounds")
        try:
            return FleetBounds(**items[0]) if items else None
        except TypeError as error:
            raise _not_understood(error) from error

    async def obstacle(self) -> str:
        """Nothing ever: the processes of one machine do as they are told."""
        return ""

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Sets the bounds."""
        return await self._act(
            call="scale", minimum=bounds.minimum, maximum=bounds.maximum, who=who[:TEXT_CHARACTERS]
        )

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Stops one worker."""
        return await self._act(call="stop", name=name[:TEXT_CHARACTERS], who=who[:TEXT_CHARACTERS])

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first."""
        items = await self._ask(call="actions", limit=limit)
        try:
            return [FleetAction(**item) for item in items]
        except TypeError as error:
            raise _not_understood(error) from error

    async def _act(self, **request: object) -> FleetAction:
        items = await self._ask(**request)
        try:
            (item,) = items
            return FleetAction(**item)
        except (TypeError, ValueError) as error:
            raise _not_understood(error) from error

    async def _ask(self, **request: object) -> Sequence[Mapping[str, Any]]:
        """The items of the answer to a request.

        Raises:
            FleetUnavailable: there is no answer.
            HeliographError: that is the answer.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES)
                try:
                    writer.write(line_of(request))
                    return await _items(reader)
                finally:
                    writer.close()
        except (OSError, ValueError) as error:  # the timeout is among them
            reason = errors.excerpt(error) or "it took too long"
            raise errors.FleetUnavailable(f"Whoever runs the workers does not answer: {reason}") from error


async def _items(reader: asyncio.StreamReader) -> Sequence[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = []
    for _ in range(ANSWER_LINES):
        match message_of(await reader.readline()):
            case {"end": True}:
                return items
            case {"item": dict(item)}:
                items.append(item)
            case {"error": {"code": str(code), "message": str(message)}}:
                raise errors.by_code(code, message)
            case _:
                raise ValueError("The answer is not understood.")
    raise ValueError("The answer does not end.")


def _not_understood(error: Exception) -> errors.FleetUnavailable:
    return errors.FleetUnavailable(f"Whoever runs the workers is not understood: {errors.excerpt(error)}")
