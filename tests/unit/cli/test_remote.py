"""The client against a real HTTP server that answers as a script says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from heliograph.cli.remote import ATTEMPTS, CONNECT_ATTEMPTS, RemoteServer
from heliograph.core import errors
from heliograph.core.predictions import CutoutOptions, CutoutOutput, Label, PictureFormat

LABELS = json.dumps([{"label": "cat", "probability": 0.5}]).encode()


@dataclass
class Scripted:
    """A server's answers to come (status, headers, body) and the requests that it got (path, headers, body)."""

    address: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, body))

    def problem(self, status: int, code: str, **headers: str) -> None:
        body = {"code": code, "title": "T", "detail": f"detail of {code}"}
        self.answer(status, json.dumps(body).encode(), **headers)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            script.requests.append((self.path, dict(self.headers), body))
            status, headers, answer = script.answers.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield script
        server.shutdown()
        thread.join()
    assert script.answers == []


def test_labels_come_back_and_key_model_and_top_go_along(scripted: Scripted) -> None:
    scripted.answer(200, LABELS)
    with RemoteServer(f"{scripted.address}/sub/", model="kmnist", key="hg_key") as server:
        assert server.classify(b"picture", top=1) == [Label("cat", 0.5)]
    [(path, headers, body)] = scripted.requests
    assert path == "/sub/classify?top=1&model=kmnist"
    assert headers["Authorization"] == "Bearer hg_key"
    assert b"picture" in body


def test_a_busy_server_is_asked_again_after_what_it_says(scripted: Scripted) -> None:
    pauses: list[float] = []
    scripted.problem(503, "overloaded", Retry_After="7")
    scripted.problem(429, "overloaded", Retry_After="soon")
    scripted.problem(503, "shutting-down", Retry_After="100000")
    scripted.answer(200, LABELS)
    with RemoteServer(scripted.address, pause=pauses.append) as server:
        assert server.classify(b"picture", top=3)
    assert pauses == [7.0, 1.0, 30.0]


def test_a_server_that_stays_busy_is_given_up(scripted: Scripted) -> None:
    pauses: list[float] = []
    for _ in range(ATTEMPTS):
        scripted.problem(503, "overloaded", Retry_After="1")
    with (
        RemoteServer(scripted.address, pause=pauses.append) as server,
        pytest.raises(errors.Overloaded, match="detail of overloaded"),
    ):
        server.classify(b"picture", top=3)
    assert len(pauses) == ATTEMPTS - 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "model-unavailable", errors.ModelUnavailable),
        (401, "key-missing", errors.KeyMissing),
        (422, "picture-broken", errors.PictureBroken),
        (500, "internal", errors.HeliographError),
    ],
)
def test_what_waiting_does_not_cure_is_raised_at_once(
    scripted: Scripted, status: int, code: str, kind: type[errors.HeliographError]
) -> None:
    scripted.problem(status, code, Retry_After="60")
    pauses: list[float] = []
    with RemoteServer(scripted.address, pause=pauses.append) as server, pytest.raises(kind) as caught:
        server.classify(b"picture", top=3)
    assert (type(caught.value), pauses) == (kind, [])
    assert caught.value.message == f"detail of {code}"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b'[{"label": 1}]'), (200, b"7"), (404, b"nothing"), (502, b"{}")],
)
def test_another_service_is_noticed(scripted: Scripted, status: int, body: bytes) -> None:
    scripted.answer(status, body)
    with (
        RemoteServer(scripted.address) as server,
        pytest.raises(errors.HeliographError, match="another service"),
    ):
        server.classify(b"picture", top=3)


def test_options_of_a_cut_out_go_along(scripted: Scripted) -> None:
    scripted.answer(200, b"file", Content_Type="image/webp")
    scripted.answer(200, b"file", Content_Type="image/png")
    scripted.answer(200, b"file", Content_Type="image/png")
    with RemoteServer(scripted.address) as server:
        options = CutoutOptions(output=CutoutOutput.MASK, format=PictureFormat.WEBP, background=(255, 0, 128))
        assert server.cut_out(b"picture", options) == b"file"
        assert server.cut_out(b"picture", CutoutOptions(background=b"backdrop")) == b"file"
        assert server.cut_out(b"picture", CutoutOptions(decontaminate=False)) == b"file"
    assert scripted.requests[0][0] == "/remove-background?output=mask&format=webp&background=%23ff0080"
    assert b'name="background_image"' in scripted.requests[1][2]
    assert scripted.requests[2][0] == "/remove-background?output=cutout&format=png&decontaminate=false"


def test_a_cut_out_that_is_no_picture_is_refused(scripted: Scripted) -> None:
    scripted.answer(200, b"file", Content_Type="text/html")
    with RemoteServer(scripted.address) as server, pytest.raises(errors.HeliographError):
        server.cut_out(b"picture", CutoutOptions())


def test_a_server_that_is_not_there_is_said_after_a_few_attempts() -> None:
    pauses: list[float] = []
    with (
        RemoteServer("http://127.0.0.1:1", pause=pauses.append) as server,
        pytest.raises(errors.HeliographError, match="heliograph serve"),
    ):
        server.classify(b"picture", top=3)
    assert len(pauses) == CONNECT_ATTEMPTS - 1


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "http://", "http://h/?a=b", "\x00", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(errors.ParameterInvalid, match="--server"):
        RemoteServer(address)


@pytest.mark.parametrize("key", ["schlüssel", "a b", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(errors.ParameterInvalid) as caught:
        RemoteServer("http://localhost:8000", key=key)
    assert key not in caught.value.message
