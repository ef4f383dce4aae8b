"""The proxy that makes faults for other tests makes those that it is told to, in front of a real Valkey."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from fault_proxy import FaultProxy, fault_proxy
from queue_servers import QueueServer, queue_server
from service import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[QueueServer]:
    with queue_server("valkey") as running:
        yield running


@pytest.fixture
def proxy(server: QueueServer) -> Iterator[FaultProxy]:
    with server.client() as direct:
        direct.flushall()
    with fault_proxy(f"{server.folder}/socket") as running:
        yield running
    assert running.connections == 0


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[redis.Redis]:
    """A connected client that sends nothing twice."""
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(proxy.url, protocol=2, socket_timeout=10, retry=retry) as connected:
        connected.ping()
        yield connected


def seconds(client: redis.Redis, payload: bytes = b"") -> float:
    begun = time.monotonic()
    assert client.echo(payload) == payload
    return time.monotonic() - begun


@contextmanager
def counting(client: redis.Redis) -> Iterator[list[object]]:
    """What comes of a client's adding one, which somebody waits for while the context is open."""
    outcome: list[object] = []

    def count() -> None:
        try:
            outcome.append(client.incr("counter"))
        except redis.ConnectionError as error:
            outcome.append(error)

    waiting = threading.Thread(target=count)
    waiting.start()
    yield outcome
    waiting.join(10)
    assert len(outcome) == 1


def test_without_faults_everything_passes(client: redis.Redis, proxy: FaultProxy) -> None:
    large = bytes(range(256)) * 20_000
    assert client.set("large", large)
    assert client.get("large") == large
    assert proxy.connections == 1


def test_a_slow_connection_is_slow(client: redis.Redis, proxy: FaultProxy) -> None:
    proxy.slow(latency_seconds=0.05)
    assert seconds(client) >= 0.1
    proxy.slow(bytes_per_second=100_000)
    assert seconds(client, bytes(5_000)) >= 0.1
    proxy.heal()
    assert seconds(client) < 0.1


def test_what_is_held_comes_once_the_fault_is_over(client: redis.Redis, proxy: FaultProxy) -> None:
    proxy.hold()
    with counting(client) as outcome:
        wait_for("the request", lambda: proxy.held == 1)
        assert outcome == []
        proxy.heal()
    assert outcome == [1]


def test_a_cut_connection_is_reset_and_a_new_one_is_taken(client: redis.Redis, proxy: FaultProxy) -> None:
    proxy.hold()
    with counting(client) as outcome:
        wait_for("the request", lambda: proxy.held == 1)
        proxy.cut()
    assert isinstance(outcome[0], redis.ConnectionError)
    assert "reset" in str(outcome[0]).lower()
    proxy.heal()
    assert client.get("counter") is None
    seconds(client)


def test_an_answer_that_is_cut_off_is_lost_and_the_deed_is_done(
    client: redis.Redis, proxy: FaultProxy, server: QueueServer
) -> None:
    proxy.hold_answers()
    with counting(client) as outcome, server.client() as direct:
        wait_for("the answer", lambda: proxy.held == 1)
        assert direct.get("counter") == b"1"
        proxy.cut()
    assert isinstance(outcome[0], redis.ConnectionError)


def test_a_refused_connection_is_refused_until_it_is_over(client: redis.Redis, proxy: FaultProxy) -> None:
    for _ in range(2):
        proxy.refuse()
        with pytest.raises(redis.ConnectionError, match="refused"):
            client.echo(b"")
        proxy.heal()
        seconds(client)


def test_a_server_that_is_gone_is_a_cut_connection(server: QueueServer) -> None:
    with fault_proxy(f"{server.folder}/none") as proxy:
        client = redis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0))
        with client, pytest.raises(redis.ConnectionError):
            client.echo(b"")
        wait_for("the end", lambda: proxy.connections == 0)
