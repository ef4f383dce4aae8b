"""Sends pictures without pause to one address and keeps account of every one. Runs inside a pod: standard library only.

It behaves as the documentation asks of clients: 503 and connection errors are tried again, within a deadline. Ends on
SIGTERM or after ``--seconds`` and prints its account as one line of JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 8.0
DEADLINE_SECONDS = 40.0
PAUSE_SECONDS = 0.1
REQUESTS_A_CONNECTION = 20


@dataclass
class Account:
    """What became of every request; ``dropped`` counts requests that were taken and not answered."""

    started: float = field(default_factory=time.time)
    sent: int = 0
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    not_connected: int = 0
    busy: int = 0
    workers: Counter[str] = field(default_factory=Counter)
    answered_in_second: Counter[int] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, worker: str, seconds: float) -> None:
        """One request was answered."""
        with self.lock:
            self.answered += 1
            self.workers[worker] += 1
            self.answered_in_second[int(time.time() - self.started)] += 1
            self.slowest_seconds = max(self.slowest_seconds, seconds)

    def report(self) -> dict[str, object]:
        """The account as JSON can carry it."""
        with self.lock:
            return {name: value for name, value in vars(self).items() if name != "lock"}


class Sender(threading.Thread):
    """One client: sends the next picture when the last one was answered."""

    def __init__(
        self, account: Account, host: str, path: str, picture: Path, ended: threading.Event, pause: float
    ) -> None:
        super().__init__(daemon=True)
        self._account, self._host, self._path, self._ended, self._pause = account, host, path, ended, pause
        self._picture = picture.read_bytes()
        self._connection: http.client.HTTPConnection | None = None
        self._uses = 0

    def run(self) -> None:
        """Sends until the end."""
        while not self._ended.is_set():
            with self._account.lock:
                self._account.sent += 1
            self._one()
            time.sleep(self._pause)

    def _one(self) -> None:
        began, why = time.monotonic(), ""
        while time.monotonic() - began < DEADLINE_SECONDS:
            try:
                connection = self._connected()
            except OSError as error:
                why = f"no connection: {error!r}"
                with self._account.lock:
                    self._account.not_connected += 1
                time.sleep(PAUSE_SECONDS)
                continue
            reused = self._uses > 0
            try:
                status, worker, wait, text = self._ask(connection)
            except (OSError, http.client.HTTPException) as error:
                when = time.time() - self._account.started
                why = f"after {when:.1f} s, {'kept' if reused else 'new'} connection: {error!r}"
                with self._account.lock:
                    self._account.dropped.append(why)
                self._forget()
                time.sleep(PAUSE_SECONDS)
                continue
            if status == 200:
                self._account.settle(worker, time.monotonic() - began)
                return
            why = f"{status} by {worker}: {text}"
            if status != 503:
                break
            with self._account.lock:
                self._account.busy += 1
            time.sleep(min(1.0, wait))
        with self._account.lock:
            self._account.failed.append(why)

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None or self._uses >= REQUESTS_A_CONNECTION:
            self._forget()
            connection = http.client.HTTPConnection(self._host, timeout=CONNECT_SECONDS)
            connection.connect()
            connection.sock.settimeout(ANSWER_SECONDS)
            self._connection, self._uses = connection, 0
        return self._connection

    def _ask(self, connection: http.client.HTTPConnection) -> tuple[int, str, float, str]:
        connection.request("POST", self._path, self._picture, {"Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        body = answer.read()
        self._uses += 1
        if answer.will_close:
            self._forget()
        worker = answer.headers.get("Heliograph-Worker", "")
        return (
            answer.status,
            worker,
            float(answer.headers.get("Retry-After", "0")),
            body[:200].decode(errors="replace"),
        )

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def main() -> None:
    """Reads the arguments, sends, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="address:port")
    parser.add_argument("work", nargs="+", help="clients:path:picture, as 2:/classify:/load/cat.jpg")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument(
        "--pause", type=float, default=0.02, help="seconds between an answer and the next request"
    )
    given = parser.parse_args()
    account, ended = Account(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    senders = []
    for work in given.work:
        clients, path, picture = work.split(":")
        senders += [
            Sender(account, given.host, path, Path(picture), ended, given.pause) for _ in range(int(clients))
        ]
    for sender in senders:
        sender.start()
    print("started", flush=True)
    ended.wait(given.seconds)
    ended.set()
    for sender in senders:
        sender.join(DEADLINE_SECONDS + ANSWER_SECONDS)
    print(json.dumps(account.report()), flush=True)


if __name__ == "__main__":
    main()
