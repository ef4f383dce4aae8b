"""Sessions over HTTP: a cookie for a key, on every gateway, for pages of ours alone."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from heliograph.api.access import SECURE_COOKIE, SESSION_COOKIE
from heliograph.api.app import create_app
from heliograph.api.schemas import SessionShape
from heliograph.bootstrap.parts import clock
from heliograph.core.queue import QueueRules
from heliograph.serving.access import KeyRing, Scope, create_key
from heliograph.serving.sessions import SESSION_SECONDS
from integration.applications import Application, application, check_problem
from integration.job_desks import desk, on_socket, stream
from integration.tiny_models import colour_picture, write_models
from queue_trials import MemoryTrial

RED = colour_picture("red")
USER, STORED_USER = create_key("user", [Scope.PREDICT])
OPERATOR, STORED_OPERATOR = create_key("operator", [Scope.OPERATE])
OWN_PAGES = [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"{STORED_USER.line()}\n{STORED_OPERATOR.line()}\n")
    return file


@pytest.fixture
async def app(folder: Path, key_file: Path) -> AsyncIterator[Application]:
    async with application(folder, api_keys_file=key_file) as running:
        yield running


@dataclass
class Cookie:
    """A cookie as an answer sets it."""

    name: str
    value: str
    attributes: dict[str, str]

    @property
    def sent(self) -> dict[str, str]:
        """The header that a browser sends with it."""
        return {"Cookie": f"{self.name}={self.value}"}


def cookies_of(response: httpx2.Response) -> list[Cookie]:
    found = []
    for header in response.headers.get_list("set-cookie"):
        (name, value), *rest = [part.partition("=")[::2] for part in header.split("; ")]
        found.append(Cookie(name, value, {name.lower(): value for name, value in rest}))
    return found


async def signed_in(client: httpx2.AsyncClient, key: str = USER, **headers: str) -> Cookie:
    response = await client.post("/v1/session", json={"key": key}, headers=headers)
    assert response.status_code == 200, response.text
    client.cookies.clear()
    (cookie,) = cookies_of(response)
    return cookie


@asynccontextmanager
async def client_at(app: Application, base_url: str, **changes: Any) -> AsyncIterator[httpx2.AsyncClient]:
    services = replace(app.services, **changes)
    transport = httpx2.ASGITransport(create_app(services, clock=clock))
    async with httpx2.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client


async def test_a_key_is_exchanged_for_a_cookie_that_stands_for_it(app: Application) -> None:
    response = await app.client.post("/v1/session", json={"key": USER})
    SessionShape.model_validate(response.json())
    assert response.json() == {"name": "user", "scopes": ["predict"], "keys_asked": True}
    assert response.headers["cache-control"] == "no-store"
    app.client.cookies.clear()
    (cookie,) = cookies_of(response)
    assert cookie.name == SESSION_COOKIE
    assert cookie.attributes == {
        "httponly": "",
        "max-age": str(SESSION_SECONDS),
        "path": "/",
        "samesite": "strict",
    }
    assert USER not in cookie.value
    for credentials in (cookie.sent, {"Authorization": f"Bearer {USER}"}):
        told = await app.client.get("/v1/session", headers=credentials)
        assert (told.status_code, told.json()) == (200, response.json())
        assert (await app.client.get("/v1/models", headers=credentials)).status_code == 200
        check_problem(await app.client.get("/metrics", headers=credentials), 403, "scope-missing")
    operator = await signed_in(app.client, OPERATOR)
    assert (await app.client.get("/metrics", headers=operator.sent)).status_code == 200
    both = {**operator.sent, "Authorization": f"Bearer {USER}"}
    assert (await app.client.get("/v1/session", headers=both)).json()["name"] == "user"


async def test_another_gateway_takes_it_until_the_key_is_gone(
    app: Application, folder: Path, key_file: Path
) -> None:
    cookie = await signed_in(app.client)
    async with application(folder, api_keys_file=key_file) as another:
        assert (await another.client.get("/v1/session", headers=cookie.sent)).status_code == 200
    async with client_at(app, "http://localhost", keys=KeyRing([STORED_OPERATOR])) as client:
        check_problem(await client.get("/v1/session", headers=cookie.sent), 401, "key-invalid")
    later = KeyRing([STORED_USER], lambda: time.time() + SESSION_SECONDS + 1)
    async with client_at(app, "http://localhost", keys=later) as client:
        check_problem(await client.get("/v1/models", headers=cookie.sent), 401, "key-invalid")


async def test_a_key_that_leaves_the_file_is_refused_without_a_restart(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{STORED_USER.line()}\n{STORED_OPERATOR.line()}\n")
    async with application(folder, api_keys_file=file) as running:
        cookie = await signed_in(running.client)
        file.write_text(STORED_OPERATOR.line())
        until = time.monotonic() + 10
        while (answer := await running.client.get("/v1/session", headers=cookie.sent)).status_code == 200:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        check_problem(answer, 401, "key-invalid")
        await signed_in(running.client, OPERATOR)


async def test_who_has_nothing_is_told_so(app: Application) -> None:
    missing = await app.client.get("/v1/session")
    check_problem(missing, 401, "key-missing")
    assert missing.headers["www-authenticate"] == 'Bearer realm="heliograph"'
    for cookie in ("x", "1.9.YQ.YQ", '"', "é", "x" * 5000):
        headers = httpx2.Headers({"Cookie": f"{SESSION_COOKIE}={cookie}"}, encoding="latin-1")
        check_problem(await app.client.get("/v1/session", headers=headers), 401, "key-invalid")
    for nothing in (f"{SESSION_COOKIE}=", SESSION_COOKIE, "other=1", ";;"):
        check_problem(await app.client.get("/v1/session", headers={"Cookie": nothing}), 401, "key-missing")


JSON = {"Content-Type": "application/json"}
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {"key": "hg_wrong"}}, 401, "key-invalid"),
    ({"json": {"key": STORED_USER.sha256}}, 401, "key-invalid"),
    ({"json": {"key": ""}}, 401, "key-missing"),
    ({"content": b'{"key": "\\ud800"}', "headers": JSON}, 401, "key-invalid"),
    ({"json": {}}, 400, "request-malformed"),
    ({"json": {"key": USER, "more": 1}}, 400, "request-malformed"),
    ({"json": {"key": None}}, 400, "request-malformed"),
    ({"json": {"key": [USER]}}, 400, "request-malformed"),
    ({"json": [USER]}, 400, "request-malformed"),
    ({"json": USER}, 400, "request-malformed"),
    ({"content": b"\xff", "headers": JSON}, 400, "request-malformed"),
    ({"content": b"[" * 4000, "headers": JSON}, 400, "request-malformed"),
    ({"data": {"key": USER}}, 400, "request-malformed"),
    ({"params": {"key": USER}}, 400, "request-malformed"),
    (
        {"content": json.dumps({"key": USER}), "headers": {"Content-Type": "text/plain"}},
        400,
        "request-malformed",
    ),
    ({"json": {"key": "x" * 4096}}, 413, "request-too-large"),
    ({"json": {"key": USER}, "headers": {"Origin": "http://evil.example"}}, 403, "origin-refused"),
    ({"json": {"key": USER}, "headers": {"Sec-Fetch-Site": "same-site"}}, 403, "origin-refused"),
]


@pytest.mark.parametrize(("request_", "status", "code"), REFUSED)
async def test_nonsense_signs_nobody_in(
    app: Application, request_: dict[str, Any], status: int, code: str
) -> None:
    response = await app.client.post("/v1/session", **request_)
    check_problem(response, status, code)
    assert "set-cookie" not in response.headers
    assert USER not in response.text


async def test_a_cookie_changes_something_only_for_a_page_of_ours(app: Application) -> None:
    cookie = await signed_in(app.client)
    for headers in OWN_PAGES:
        response = await app.client.post("/classify", content=RED, headers={**cookie.sent, **headers})
        assert response.status_code == 200, response.text
    others: list[dict[str, str]] = [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "https://localhost.evil.example"},
    ]
    for headers in others:
        response = await app.client.post("/classify", content=RED, headers={**cookie.sent, **headers})
        check_problem(response, 403, "origin-refused")
        response = await app.client.delete("/v1/session", headers={**cookie.sent, **headers})
        check_problem(response, 403, "origin-refused")
    bearer = {**cookie.sent, "Authorization": f"Bearer {USER}"}
    assert (await app.client.post("/classify", content=RED, headers=bearer)).status_code == 200
    for method in ("GET", "HEAD"):
        assert (await app.client.request(method, "/v1/models", headers=cookie.sent)).status_code == 200


async def test_signing_out_removes_the_cookie_whatever_it_is(app: Application) -> None:
    cookie = await signed_in(app.client)
    for headers in ({**cookie.sent, **OWN_PAGES[0]}, {"Cookie": f"{SESSION_COOKIE}=x", **OWN_PAGES[1]}, {}):
        response = await app.client.delete("/v1/session", headers=headers)
        assert (response.status_code, response.content) == (204, b"")
        removed = {one.name: one for one in cookies_of(response)}
        assert set(removed) == {SESSION_COOKIE, SECURE_COOKIE}
        assert all(
            one.attributes["max-age"] == "0" and one.attributes["path"] == "/" for one in removed.values()
        )
        assert "secure" in removed[SECURE_COOKIE].attributes


async def test_over_https_it_is_a_secure_cookie_of_this_host_alone(app: Application) -> None:
    async with client_at(app, "https://localhost") as client:
        assert (await signed_in(client)).name == SECURE_COOKIE
    behind_a_proxy = await signed_in(app.client, Origin="https://localhost")
    assert (behind_a_proxy.name, behind_a_proxy.attributes["secure"]) == (SECURE_COOKIE, "")
    assert (await app.client.get("/v1/session", headers=behind_a_proxy.sent)).status_code == 200
    both = {"Cookie": f"{SESSION_COOKIE}=x; {SECURE_COOKIE}={behind_a_proxy.value}"}
    assert (await app.client.get("/v1/session", headers=both)).status_code == 200
    planted = {"Cookie": f"{SESSION_COOKIE}={behind_a_proxy.value}", "Origin": "https://localhost"}
    check_problem(await app.client.post("/classify", content=RED, headers=planted), 401, "key-missing")
    own = {**behind_a_proxy.sent, "Origin": "https://localhost"}
    assert (await app.client.post("/classify", content=RED, headers=own)).status_code == 200
    nobodys_word = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}
    assert (await signed_in(app.client, **nobodys_word)).name == SESSION_COOKIE


async def test_where_nobody_is_asked_there_is_no_cookie(folder: Path) -> None:
    everything = {"name": "", "scopes": ["operate", "predict"], "keys_asked": False}
    async with application(folder) as app:
        for response in (
            await app.client.get("/v1/session"),
            await app.client.get("/v1/session", headers={"Cookie": f"{SESSION_COOKIE}=x"}),
            await app.client.post("/v1/session", json={"key": USER}),
        ):
            assert (response.status_code, response.json()) == (200, everything)
            assert "set-cookie" not in response.headers
        kept = {"Cookie": f"{SESSION_COOKIE}=x"}
        assert (await app.client.post("/classify", content=RED, headers=kept)).status_code == 200


async def test_logs_and_answers_tell_neither_key_nor_cookie(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "heliograph")
    cookie = await signed_in(app.client)
    for headers in (cookie.sent, {"Cookie": f"{SESSION_COOKIE}={cookie.value}x"}):
        response = await app.client.get("/v1/session", headers=headers)
        assert cookie.value not in response.text
    await app.client.post("/v1/session", json={"key": USER[:-1]})
    said = "".join(f"{record.getMessage()}{vars(record)}" for record in caplog.records)
    assert "/v1/session" in said
    for secret in (cookie.value, USER, USER[:-1]):
        assert secret not in said


async def test_a_stream_of_events_takes_the_cookie_and_ends_with_the_session(
    folder: Path, key_file: Path
) -> None:
    trial = MemoryTrial(QueueRules())
    async with desk(folder, trial, api_keys_file=key_file) as front:
        almost_over = KeyRing([STORED_USER], lambda: time.time() - SESSION_SECONDS + 2)
        cookie = await signed_in(front.client)
        short = almost_over.open_session(USER)
        async with on_socket(front.services) as socket:
            async with stream(socket.port, Cookie=f"{cookie.name}={cookie.value}") as listener:
                assert (await listener.next())["event"] == "snapshot"
            async with stream(socket.port, Cookie=f"{cookie.name}={short}") as listener:
                assert (await listener.next())["event"] == "snapshot"
                await listener.end()
