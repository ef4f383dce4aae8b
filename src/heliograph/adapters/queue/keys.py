"""Every key on the server, once. All lie under one hash tag, so that a cluster keeps a queue in one place."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.core.jobs import Priority

CONSUMER_GROUP = "workers"
NOBODY = "(nobody)"
"""The consumer that holds what was given back, until a worker reclaims it. No host or pod has such a name."""
WAITING_FOR = "(waiting for) "
"""Before the name of a model: the consumer that holds what was handed back for want of it."""

KINDS = {
    "stream": "stream of one priority; entries hold a job's id, so that autoscalers can read lag and pending",
    "job": "hash of a job",
    "payload": "bytes that a worker reads",
    "result": "bytes of an answer",
    "group": "hash of a request: owner, its jobs counted by state, and how many of them are still known",
    "members": "list of a request's job ids, in their order",
    "index": "sorted set of an owner's job ids by sequence, of jobs whose result is not gone",
    "sought": "sorted set like an index, of jobs that failed, are dead or cancelled: by state, or state:owner",
    "idempotency": "hash of an idempotency key: the group that it stands for, and the fingerprint",
    "durations": "hash by bin of how many jobs took so long, of those that ended in one span of time",
    "replies": "list of finished job ids that a gateway waits for",
}
SINGLE = {
    "counters": "hash of counts: totals, backlog by priority, bytes, sequence",
    "kept": "hash by stream: an entry that is done and may not be deleted yet",
    "everybody": "sorted set like an index, of all owners",
    "timetable": "sorted set of final job ids by when their result goes",
    "memories": "sorted set of job ids whose result is gone, by when they are forgotten",
    "roll_call": "when workers that went away were looked for; gone when it is time again",
    "workers": "hash by worker's name: the state that it says, a space, and the rest of its heartbeat as JSON",
    "beats": "sorted set of workers' names by when they were last heard of",
    "lost": "sorted set like it, of those that were told to be lost; they are forgotten later",
    "events": "capped stream of what happened",
    "actions": "capped sorted set of what was done to the fleet, as JSON by when",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue: str

    @property
    def prefix(self) -> str:
        """What every key begins with."""
        return f"{{heliograph:{self.queue}}}:"

    def of(self, kind: str, name: str) -> str:
        """The key of one thing of a kind."""
        if kind not in KINDS:
            raise KeyError(kind)
        return f"{self.prefix}{kind}:{name}"

    def single(self, kind: str) -> str:
        """The key of a thing that a queue has once."""
        if kind not in SINGLE:
            raise KeyError(kind)
        return f"{self.prefix}{kind}"

    def stream(self, priority: Priority) -> str:
        """The stream of a priority."""
        return self.of("stream", priority.value)


def lua_names() -> str:
    """Lua functions ``job_key(id)`` and so on, for scripts whose KEYS[1] is the prefix."""
    lines = [f"local function {kind}_key(name) return KEYS[1] .. '{kind}:' .. name end" for kind in KINDS]
    lines += [f"local {kind}_key = KEYS[1] .. '{kind}'" for kind in SINGLE]
    consumers = f"'{CONSUMER_GROUP}', '{NOBODY}', '{WAITING_FOR}'"
    return "\n".join([*lines, f"local GROUP, NOBODY, WAITING_FOR = {consumers}"])
