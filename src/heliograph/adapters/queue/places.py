"""Places in lists that a client may name: ids of events, and cursors."""

from __future__ import annotations

import re

from heliograph.core import errors
from heliograph.core.events import BEGINNING, EventPlace, event_id, event_place

__all__ = ["BEGINNING", "EventPlace", "event_id", "event_place", "sequence_of"]

LOOKED_AT = 1000
"""How many jobs one page of those in a state looks at: some milliseconds of a server."""
CURSOR = re.compile(r"[0-9]{1,15}")


def sequence_of(cursor: str) -> int | None:
    """The sequence number that is a page's cursor; None for "".

    Raises:
        ParameterInvalid: it is not one.
    """
    if cursor and not CURSOR.fullmatch(cursor):
        raise errors.ParameterInvalid(f"No page begins at the cursor {errors.excerpt(cursor)!r}.")
    return int(cursor) if cursor else None
