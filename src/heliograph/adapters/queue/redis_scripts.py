"""The scripts that change jobs on a server, each with what stands before it: keys, states, the shared part.

A script runs as a whole or not at all, and what it has done is kept as a whole; so a process may die between any two.
Each may be sent twice, for an answer can be lost on the way: the second time changes nothing and answers the same.
"""

from __future__ import annotations

import math
from hashlib import sha1
from importlib.resources import files

from heliograph.adapters.queue.keys import lua_names
from heliograph.core.durations import GAMMA, LAST_BIN, SPAN_SECONDS, SPANS_BEFORE
from heliograph.core.jobs import FINAL_STATES, TRANSITIONS, JobState, Priority

REFUSED_IF_FULL, ALWAYS, READS_ONLY = "", "#!lua flags=allow-oom", "#!lua flags=no-writes"
SCRIPTS = {
    "enqueue": REFUSED_IF_FULL,
    "read": ALWAYS,
    "reclaim": ALWAYS,
    "start": ALWAYS,
    "renew": ALWAYS,
    "finish": ALWAYS,
    "give_up": ALWAYS,
    "release": ALWAYS,
    "change": ALWAYS,
    "forget": ALWAYS,
    "expire": ALWAYS,
    "beat": ALWAYS,
    "tell": ALWAYS,
    "counts": READS_ONLY,
    "list": READS_ONLY,
    "events": READS_ONLY,
}
"""Each script, and whether a server without memory left runs it. All but `enqueue` do: they empty a queue."""


class Script:
    """One script, by its hash where the server knows it, else as text."""

    def __init__(self, name: str) -> None:
        self.text = script_text(name)
        self.hash = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def script_text(name: str) -> str:
    """All that the server gets of a script; the flags must stand first."""
    folder = files("heliograph.adapters.queue") / "scripts"
    parts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("jobs", name)]
    return "\n".join([SCRIPTS[name], lua_names(), lua_states(), lua_durations(), *parts])


def lua_states() -> str:
    """`heliograph.core.jobs.TRANSITIONS` as ``NEXT[state][event]``, which states are final, and the priorities."""
    rows = []
    for state in JobState:
        moves = [
            f"['{event}'] = '{then}'" for (before, event), then in TRANSITIONS.items() if before is state
        ]
        rows.append(f"['{state}'] = {{{', '.join(moves)}}}")
    final = ", ".join(f"['{state}'] = true" for state in JobState if state in FINAL_STATES)
    priorities = ", ".join(f"'{priority}'" for priority in Priority)
    return "\n".join([
        f"local NEXT = {{{', '.join(rows)}}}",
        f"local FINAL = {{{final}}}",
        f"local PRIORITIES = {{{priorities}}}",
    ])  # fmt: skip


def lua_durations() -> str:
    """The numbers of `heliograph.core.durations`."""
    numbers = (1000 * SPAN_SECONDS, SPANS_BEFORE, math.log(GAMMA), LAST_BIN)
    return f"local SPAN_MS, SPANS_BEFORE, LOG_GAMMA, LAST_BIN = {', '.join(map(repr, numbers))}"
