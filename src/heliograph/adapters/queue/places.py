"""Places in lists that a client may name: ids of events, and cursors."""

from __future__ import annotations

import re
from typing import TypeAlias

from heliograph.core import errors

EventPlace: TypeAlias = tuple[int, int]
"""An event's id as streams give them: milliseconds, and a number for those of the same one."""

BEGINNING: EventPlace = (0, 0)
ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
LARGEST = 2**64 - 1
CURSOR = re.compile(r"[0-9]{1,15}")


def event_place(event_id: str) -> EventPlace | None:
    """The place that an id names; None for what no server takes for one."""
    found = ID.fullmatch(event_id)
    place = (int(found[1]), int(found[2])) if found else (LARGEST + 1, 0)
    return place if max(place) <= LARGEST else None


def event_id(place: EventPlace) -> str:
    """The id of a place."""
    return f"{place[0]}-{place[1]}"


def sequence_of(cursor: str) -> int | None:
    """The sequence number that is a page's cursor; None for "".

    Raises:
        ParameterInvalid: it is not one.
    """
    if cursor and not CURSOR.fullmatch(cursor):
        raise errors.ParameterInvalid(f"No page begins at the cursor {errors.excerpt(cursor)!r}.")
    return int(cursor) if cursor else None
