"""The door to a fleet for other processes of the same user: a unix socket that speaks as `wire` says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from heliograph.adapters.fleet.wire import ANSWER_SECONDS, LINE_BYTES, item_of, line_of, message_of
from heliograph.core import errors
from heliograph.core.fleet import Fleet, FleetAction, FleetBounds, FleetMember

MAX_CONNECTIONS = 32
"""Open at the same time; one more is closed at once."""


class FleetServer:
    """Answers for a fleet on a unix socket, while the context is open. Whoever may open the socket may do all."""

    def __init__(self, fleet: Fleet, path: Path) -> None:
        self._fleet = fleet
        self._path = path
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._path, limit=LINE_BYTES)
        self._path.chmod(0o600)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._talks) >= MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    for message in await self._answer(reader):
                        writer.write(line_of(message))
                        await writer.drain()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Sequence[Mapping[str, Any]]:
        try:
            items = await self._do(message_of(await reader.readline()))
        except ValueError as error:  # also of a line that is too long
            return [_failure(errors.RequestMalformed(errors.excerpt(error)))]
        except errors.HeliographError as error:
            return [_failure(error)]
        return [*(item_of(item) for item in items), {"end": True}]

    async def _do(self, request: Mapping[str, Any]) -> Sequence[FleetMember | FleetAction | FleetBounds]:
        match request:
            case {"call": "members"}:
                return await self._fleet.members()
            case {"call": "bounds"}:
                bounds = await self._fleet.bounds()
                return [] if bounds is None else [bounds]
            case {"call": "scale", "minimum": int(minimum), "maximum": int(maximum), "who": str(who)}:
                return [await self._fleet.scale(FleetBounds(minimum=minimum, maximum=maximum), who=who)]
            case {"call": "stop", "name": str(name), "who": str(who)}:
                return [await self._fleet.stop(name, who=who)]
            case {"call": "actions", "limit": int(limit)}:
                return await self._fleet.actions(limit=limit)
        raise ValueError("Nothing that can be done here.")


def _failure(error: errors.HeliographError) -> Mapping[str, Any]:
    return {"error": {"code": error.code, "message": error.message}}
