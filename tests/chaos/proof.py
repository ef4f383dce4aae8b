"""What must be true at the end of a play, whatever happened in it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from blob_trials import blob_files
from chaos import pictures
from chaos.cast import QUEUE
from chaos.clients import Sent, Sort
from chaos.play import Play, asked, counts_of, wait_until_settled
from heliograph.adapters.blobs.folder import FolderBlobs
from heliograph.adapters.queue.keys import CONSUMER_GROUP, Keys
from heliograph.core.jobs import FINAL_STATES, JobState, Priority
from heliograph.core.queue import JobDesk
from heliograph.serving.blobs import BlobSweep, Shelf
from heliograph.serving.threads import WorkerThreads

LAG_SECONDS = 20.0
"""How long a lag may be wrong after a server has died: until a gateway looks after the queue again."""
INNOCENT_SHARE = 0.01
NEVER_LOGGED = ("Traceback", "This is a bug", "never retrieved", "never awaited")


def prove(play: Play) -> None:
    """Fails if anything was lost, came twice, came out wrong, or is left behind; prints what happened."""
    with httpx2.Client(base_url=play.cast.url, timeout=30) as http:
        innocents = _requeue_innocents(play, http)
        jobs = _jobs(play, http)
        play.witness.stop()
        assert not play.witness.failures, play.witness.failures
        _each_is_right(play, http, jobs)
        _each_happened_once(play)
        _numbers_agree(play, jobs)
        _nobody_crashed(play)
        _print(play, jobs, innocents)
        _nothing_is_left(play, http, jobs)


def _requeue_innocents(play: Play, http: httpx2.Client) -> int:
    """Gives jobs that lost three workers by chance another chance, as an operator would; how many."""
    harmless = {one.job for one in play.ledger.sent if one.sort is not Sort.POISON}
    dead = [job for job in _jobs(play, http).values() if job["state"] == "dead" and not job["expired"]]
    innocents = [job["id"] for job in dead if job["id"] in harmless]
    for job_id in innocents:
        assert http.post(f"/v1/jobs/{job_id}/requeue").status_code == 200
    wait_until_settled(play)
    assert len(innocents) <= INNOCENT_SHARE * play.plot.jobs, f"{len(innocents)} jobs lost three workers each"
    return len(innocents)


def _jobs(play: Play, http: httpx2.Client) -> dict[str, dict[str, Any]]:
    """All jobs that clients were told of, as they stand."""
    jobs: dict[str, dict[str, Any]] = {}
    for group in dict.fromkeys(one.group for one in play.ledger.sent):
        for job in http.get(f"/v1/groups/{group}?limit=500").raise_for_status().json()["jobs"]:
            assert job["id"] not in jobs
            jobs[job["id"]] = job
    return jobs


def _each_is_right(play: Play, http: httpx2.Client, jobs: Mapping[str, dict[str, Any]]) -> None:
    sent = play.ledger.sent
    assert len({one.job for one in sent}) == len(sent) == play.plot.jobs
    assert jobs.keys() == {one.job for one in sent}
    for one in sent:
        job = jobs[one.job]
        assert JobState(job["state"]) in FINAL_STATES, job
        if one.job in play.ledger.withdrawn and (job["state"] == "cancelled" or job["expired"]):
            continue  # what finishes while it is cancelled keeps its result
        if one.sort is Sort.POISON:
            assert (job["state"], job["attempts"]) == ("dead", 3), job
            assert job["problem"]["code"] == "attempts-exhausted", job
        elif one.sort is Sort.BROKEN:
            assert (job["state"], job["problem"]["code"]) == ("failed", "picture-broken"), job
        else:
            assert job["state"] == "done", job
            _result_is_right(play, http, one, job)


def _result_is_right(play: Play, http: httpx2.Client, one: Sent, job: Mapping[str, Any]) -> None:
    answers = [http.get(f"/v1/jobs/{one.job}/result").raise_for_status() for _ in range(2)]
    found = {(answer.content, answer.headers["heliograph-worker"]) for answer in answers}
    found.add(play.ledger.seen.get(one.job, next(iter(found))))
    assert len(found) == 1, f"more than one result of {one.job}: {found}"
    ((content, worker),) = found
    assert worker == job["worker"]
    assert pictures.is_right(json.loads(content), one.number), (one, content)


def _each_happened_once(play: Play) -> None:
    odd = {job_id: play.witness.events[job_id] for job_id in play.witness.happened_twice()}
    assert not odd, odd


def _numbers_agree(play: Play, jobs: Mapping[str, dict[str, Any]]) -> None:
    """accepted = done + failed + dead + cancelled, by the queue's counters, its events and what clients see."""
    counts, events = counts_of(play.cast), play.witness.events
    assert counts.accepted == sum(counts.finished.values()) == len(events)
    ended = Counter(kinds[-1].value for kinds in events.values())
    assert {state.value: number for state, number in counts.finished.items() if number} == dict(ended)
    assert jobs.keys() <= events.keys()
    for job_id, job in jobs.items():
        assert job["state"] == events[job_id][-1].value
    asked_for = events.keys() - jobs.keys()
    assert play.ledger.answered <= len(asked_for), "what was answered was no job"
    for priority in Priority:
        _stream_is_empty(play, priority)
    _lag_was_exact(play)


def _stream_is_empty(play: Play, priority: Priority) -> None:
    stream = Keys(QUEUE).stream(priority)
    with play.cast.server.client() as client:
        groups: Any = client.xinfo_groups(stream)
        (group,) = (one for one in groups if one["name"] == CONSUMER_GROUP.encode())
        assert (group["pending"], group["lag"]) == (0, 0), group
        assert client.xlen(stream) == 0


def _lag_was_exact(play: Play) -> None:
    """It may be wrong only for a while after a server has died."""
    assert play.witness.looks > 10
    for spell in play.witness.spells:
        assert any(0.0 <= spell.begun - death < LAG_SECONDS for death in play.fate.server_deaths), spell
        assert spell.ended is not None, spell
        assert spell.ended - spell.begun < LAG_SECONDS, spell


def _nobody_crashed(play: Play) -> None:
    logs = play.cast.logs()
    for words in NEVER_LOGGED:
        assert words not in logs, logs[max(0, logs.index(words) - 2000) :][:6000]


def _nothing_is_left(play: Play, http: httpx2.Client, jobs: Mapping[str, dict[str, Any]]) -> None:
    """Once everything is acknowledged nothing is stored but that there were such jobs."""
    for job_id in jobs:
        assert http.delete(f"/v1/jobs/{job_id}").status_code == 200
    for job in asked(play.cast, lambda desk: desk.jobs(None, limit=100_000)).jobs:
        assert http.delete(f"/v1/jobs/{job.id}").status_code == 200
    assert counts_of(play.cast).stored_bytes == 0
    folder = play.cast.folder
    if folder is not None:
        left = len(blob_files(folder))
        asked(play.cast, lambda desk: _sweep(desk, folder))
        assert blob_files(folder) == []
        sys.stdout.write(f"  {left} files were left over by the dead, and swept\n")


async def _sweep(desk: JobDesk, folder: Path) -> int:
    """Removes what processes that were killed have left in the folder, whatever its age; how many blobs."""
    with WorkerThreads(4, name="blobs") as threads:
        shelf = Shelf(FolderBlobs(folder, QUEUE), threads)
        sweep = BlobSweep(desk, shelf, payload_seconds=-1.0, result_seconds=-1.0)
        return await sweep.sweep(limit=10**6)


def _print(play: Play, jobs: Mapping[str, dict[str, Any]], innocents: int) -> None:
    sys.stdout.write("\n" + "\n".join(_lines(play, jobs, innocents)) + "\n")


def _lines(play: Play, jobs: Mapping[str, dict[str, Any]], innocents: int) -> Iterator[str]:
    ledger, witness, fate, counts = play.ledger, play.witness, play.fate, counts_of(play.cast)
    ends = ", ".join(f"{number} {state.value}" for state, number in sorted(counts.finished.items()) if number)
    seen = Counter(job["state"] for job in jobs.values())
    told = ", ".join(f"{number} {state}" for state, number in sorted(seen.items()))
    yield f"seed {play.plot.seed}: {counts.accepted} accepted = {ends}; 0 lost, 0 duplicates"
    yield f"  of {len(jobs)} jobs that clients sent: {told}; {ledger.answered} synchronous answers"
    yield f"  {counts.redelivered} redelivered; {innocents} lost three workers by chance and were requeued"
    yield f"  {ledger.replayed} requests whose first answer was lost; refused or cut off: {dict(ledger.refusals)}"
    yield f"  faults: {dict(fate.counts)}"
    yield f"  lives: { ({actor.role: actor.lives for actor in play.cast.actors}) }"
    wrong = sum((spell.ended or 0.0) - spell.begun for spell in witness.spells)
    yield f"  lag looked at {witness.looks} times, wrong for {wrong:.1f} s in {len(witness.spells)} spells"
    yield f"  longest time without progress {witness.longest_gap():.1f} s"
    yield f"  {play.seconds_to_send:.1f} s until all was sent, {play.seconds_to_settle:.1f} s more until it was settled"
