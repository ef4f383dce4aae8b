"""Downloads of release files over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import httpx2

from heliograph.adapters.models.files import CHUNK_BYTES, SourceFailed
from heliograph.core import errors

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 3_600.0
REDIRECTS = 5


class Downloader:
    """Downloads files over HTTP, by default only from ``https`` addresses."""

    def __init__(
        self,
        *,
        allowed_schemes: Iterable[str] = ("https",),
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
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
                if response.has_redirect_location:
                    url = url.join(response.headers["Location"])
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
