"""Clients that do not give up: each sends a request again until it gets its answer, and remembers what it was told."""

from __future__ import annotations

import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx2

from chaos import pictures
from chaos.chance import Chance

PATIENCE_SECONDS = 180.0
PAUSE_SECONDS = 0.2
TRY_AGAIN = (408, 429, 503, 504)


class Sort(StrEnum):
    """What a picture is."""

    GOOD = "good"
    BROKEN = "broken"
    POISON = "poison"


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture that was accepted: the job, and what it is."""

    job: str
    group: str
    sort: Sort
    number: int


@dataclass
class Ledger:
    """What all clients know, and what went wrong."""

    sent: list[Sent] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    """Jobs that were cancelled, or whose result was removed if it was there already."""
    seen: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Results that were seen before the end, and who did them."""
    refusals: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    answered: int = 0
    """How many synchronous requests were answered."""
    failures: list[str] = field(default_factory=list)


class Client(threading.Thread, ABC):
    """Does something over and over until the play ends or something is wrong."""

    def __init__(self, url: str, ledger: Ledger, chance: Chance, ends: threading.Event) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.url = url
        self.ledger = ledger
        self.chance = chance
        self.ends = ends

    def run(self) -> None:
        """Works; whatever it raises is a failure of the play."""
        try:
            with httpx2.Client(base_url=self.url, timeout=20) as self.http:
                self.work()
        except Exception as error:
            self.ledger.failures.append(f"{self.name}: {type(error).__name__}: {error}")

    @abstractmethod
    def work(self) -> None:
        """What it does."""

    def insist(self, method: str, path: str, expected: Sequence[int], **content: Any) -> httpx2.Response:
        """The answer with one of the expected statuses, however often it takes; refusals are counted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self.http.request(method, path, **content)
            except httpx2.TransportError as error:
                self.ledger.refusals[type(error).__name__] += 1
            else:
                if answer.status_code in expected:
                    return answer
                assert answer.status_code in TRY_AGAIN, f"{path}: {answer.status_code} {answer.text}"
                assert answer.status_code == 504 or int(answer.headers["retry-after"]) >= 1, answer.headers
                self.ledger.refusals[answer.json()["code"]] += 1
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"no answer of {path} for {PATIENCE_SECONDS:.0f} s")


class Submitter(Client):
    """Sends groups of pictures with a key each, and withdraws some of the jobs."""

    def __init__(self, *where: Any, pictures_: Sequence[tuple[Sort, int]], seconds: float) -> None:
        super().__init__(*where)
        self._pictures = list(pictures_)
        self._seconds = seconds

    def work(self) -> None:
        """Sends all within the seconds, if that is possible."""
        begun, total, sent = time.monotonic(), len(self._pictures), 0
        while sent < total:
            count = min(total - sent, self.chance.randint(1, 60))
            self._send(self._pictures[sent : sent + count])
            sent += count
            self.ends.wait(max(0.0, begun + self._seconds * sent / total - time.monotonic()))

    def _send(self, part: Sequence[tuple[Sort, int]]) -> None:
        model = self.chance.choices(pictures.MODELS, (5, 1))[0]
        if any(sort is Sort.POISON for sort, _ in part):
            model = pictures.FRAGILE
        files = [("image", (f"{sort}-{number}.png", _bytes_of(sort, number))) for sort, number in part]
        answer = self.insist(
            "POST",
            "/v1/jobs",
            (202,),
            files=files,
            data={"model": model, "top": "3"},
            headers={"Idempotency-Key": secrets.token_hex(8)},
        )
        receipt = answer.json()
        assert receipt["refused"] == [], receipt
        self.ledger.replayed += "idempotent-replayed" in answer.headers
        accepted = [
            Sent(job["id"], receipt["group"], sort, number)
            for job, (sort, number) in zip(receipt["jobs"], part, strict=True)
        ]
        self.ledger.sent += accepted
        for one in accepted:
            if one.sort is not Sort.POISON and self.chance.random() < 0.03:
                self.ledger.withdrawn.add(one.job)
                self.insist("DELETE", f"/v1/jobs/{one.job}", (200,))


def _bytes_of(sort: Sort, number: int) -> bytes:
    if sort is Sort.POISON:
        return pictures.POISON
    return pictures.broken(number) if sort is Sort.BROKEN else pictures.picture(number)


class Watcher(Client):
    """Looks at results while they come: one that was seen never changes."""

    def work(self) -> None:
        """Asks for the result of one job after the other."""
        while not self.ends.wait(0.02):
            if self.ledger.sent:
                self._look(self.chance.choice(self.ledger.sent))

    def _look(self, one: Sent) -> None:
        answer = self.insist("GET", f"/v1/jobs/{one.job}/result", (200, 202, 409, 410, 422, 500))
        if answer.status_code == 200:
            found = (answer.content, answer.headers["heliograph-worker"])
            assert self.ledger.seen.setdefault(one.job, found) == found, (
                f"the result of {one.job} has changed"
            )
            assert pictures.is_right(json.loads(answer.content), one.number), (one, answer.text)


class Asker(Client):
    """Asks and waits for the answer, as a person does."""

    def work(self) -> None:
        """One picture after the other."""
        while not self.ends.wait(0.1):
            number = self.chance.randrange(pictures.DIFFERENT)
            path = f"/classify?model={pictures.FRAGILE}&top=3"
            answer = self.insist("POST", path, (200,), content=pictures.picture(number))
            assert pictures.is_right(answer.json(), number), (number, answer.text)
            self.ledger.answered += 1
