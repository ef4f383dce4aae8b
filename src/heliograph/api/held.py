"""An answer that is counted until it is sent: its client may be slow, and it is in memory for so long."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 65_536
"""A connection takes whatever it is given, into a buffer of its own; the next piece only when that is nearly empty."""


class HeldResponse(Response):
    """An answer in pieces; closes ``held`` once its client has nearly all of it, has left or was cut off."""

    def __init__(
        self, content: bytes, *, media_type: str, headers: Mapping[str, str], held: ExitStack
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        with self._held:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            for end in range(PIECE_BYTES, max(1, len(self.body)) + PIECE_BYTES, PIECE_BYTES):
                piece = bytes(self.body[end - PIECE_BYTES : end])
                await send({"type": "http.response.body", "body": piece, "more_body": end < len(self.body)})
