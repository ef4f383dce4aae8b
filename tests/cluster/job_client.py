"""Sends pictures as jobs, never gives one up, and keeps account of each. Runs inside a pod: standard library only.

Sends as many as it is told, or until SIGTERM, and no more at a time than the window has room for. Some pictures are
broken and some jobs are cancelled. Prints "started", and at the end its account as one line of JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 240.0
PAUSE_SECONDS = 0.25
BROKEN_EVERY, CANCELLED_EVERY = 10, 25
TRY_AGAIN = (408, 429, 500, 502, 503, 504)


@dataclass
class Account:
    """What became of every picture; ``results`` counts the answers that were read by what they say."""

    sent: int = 0
    accepted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    workers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    most_attempts: int = 0
    broken: int = 0


class Door:
    """The service's address; asks again until there is an answer that is one."""

    def __init__(self, host: str, account: Account) -> None:
        self._host, self._account = host, account

    def ask(
        self, method: str, path: str, expected: tuple[int, ...], body: bytes = b"", **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of the answer; ends the program if none comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        while time.monotonic() < deadline:
            try:
                status, text = self._once(method, path, body, names)
            except (OSError, http.client.HTTPException) as error:
                self._account.refusals[type(error).__name__] += 1
            else:
                if status in expected:
                    return status, text
                if status not in TRY_AGAIN:
                    raise SystemExit(f"{method} {path}: {status} {text[:300]!r}")
                self._account.refusals[f"{status} {json.loads(text)['code']}"] += 1
            time.sleep(PAUSE_SECONDS)
        raise SystemExit(f"{method} {path}: no answer for {PATIENCE_SECONDS} s")

    def _once(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 503 and int(answer.headers["Retry-After"]) < 1:
                self._account.wrong.append("503 without Retry-After")
            return answer.status, text
        finally:
            connection.close()

    def look(self, path: str) -> Any:
        """The JSON behind a path."""
        return json.loads(self.ask("GET", path, (200,))[1])


def form(pictures: list[bytes]) -> tuple[bytes, str]:
    """A multipart body with the pictures, and its media type."""
    boundary = secrets.token_hex(12)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{number}"\r\n\r\n'.encode()
        + picture
        + b"\r\n"
        for number, picture in enumerate(pictures)
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def send(door: Door, account: Account, picture: bytes, given: argparse.Namespace) -> str:
    """The next group, once it is accepted."""
    number = account.sent // given.group
    pictures = [picture] * min(given.group, given.jobs - account.sent)
    if number % BROKEN_EVERY == 0:
        pictures[0] = picture[: len(picture) // 2]
        account.broken += 1
    body, media = form(pictures)
    account.sent += len(pictures)
    path, key = f"/v1/jobs?model={given.model}&top=1", secrets.token_hex(8)
    text = door.ask("POST", path, (202,), body, Content_Type=media, Idempotency_Key=key)[1]
    answer = json.loads(text)
    account.accepted += len(answer["jobs"])
    if answer["refused"]:
        account.wrong.append(f"refused: {answer['refused'][0]}")
    if number % CANCELLED_EVERY == 0:
        door.ask("DELETE", f"/v1/jobs/{answer['jobs'][-1]['id']}", (200,))
    group: str = answer["group"]
    return group


def send_all(door: Door, account: Account, given: argparse.Namespace, ended: threading.Event) -> list[str]:
    """All groups that were accepted; while the window is full, the oldest is waited for."""
    picture, groups, oldest = Path(given.picture).read_bytes(), list[str](), 0
    while account.sent < given.jobs and not ended.is_set():
        groups.append(send(door, account, picture, given))
        while (len(groups) - oldest) * given.group > given.window and not ended.is_set():
            if door.look(f"/v1/groups/{groups[oldest]}?limit=1")["finished"]:
                oldest += 1
            else:
                time.sleep(PAUSE_SECONDS)
    return groups


def settle(door: Door, account: Account, groups: list[str]) -> None:
    """Waits until every job is final, and reads what came out."""
    began = time.monotonic()
    for group in groups:
        while not (found := door.look(f"/v1/groups/{group}?limit=500"))["finished"]:
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise SystemExit(f"group {group} does not finish: {found['counts']}")
            time.sleep(PAUSE_SECONDS)
        for job in found["jobs"]:
            account.states[job["state"]] += 1
            account.most_attempts = max(account.most_attempts, job["attempts"])
            if job["state"] == "done":
                account.workers[job["worker"]] += 1
                read(door, account, job["id"])


def read(door: Door, account: Account, job: str) -> None:
    """What a job answered; one that was cancelled when it was done has none any more."""
    status, text = door.ask("GET", f"/v1/jobs/{job}/result", (200, 410))
    account.results[json.loads(text)[0]["label"] if status == 200 else "gone"] += 1


def main() -> None:
    """Reads the arguments, sends, waits, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="address:port")
    parser.add_argument("picture")
    parser.add_argument("--model", default="kmnist")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=20, help="pictures in one call")
    parser.add_argument("--window", type=int, default=1_000_000, help="jobs under way at a time")
    given = parser.parse_args()
    account, ended = Account(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    door = Door(given.host, account)
    print("started", flush=True)
    settle(door, account, send_all(door, account, given, ended))
    print(json.dumps(vars(account)), flush=True)


if __name__ == "__main__":
    main()
