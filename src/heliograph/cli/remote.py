"""A running Heliograph, asked over HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

from heliograph.core import errors
from heliograph.core.predictions import CutoutOptions, Label

PARALLEL = 4
ATTEMPTS = 6
CONNECT_ATTEMPTS = 3
MAX_PAUSE_SECONDS = 30.0
TIMEOUT = httpx2.Timeout(120.0, connect=5.0)
BUSY = (429, 503)
PROBLEMS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.HeliographError) and "code" in vars(kind)
}
"""The error behind each code that an answer may have."""


class RemoteServer:
    """Asks a server; waits and asks again where it is too busy. Errors are those of the server.

    Args:
        address: its URL, with a path where it is behind one.
        model: the model to ask, or None for each task's default.
        key: an API key, where it wants one.
        pause: waits so many seconds.
    """

    parallel = PARALLEL

    def __init__(
        self,
        address: str,
        *,
        model: str | None = None,
        key: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = _checked_address(address)
        self._parameters = {} if model is None else {"model": model}
        self._pause = pause
        headers = {"Accept": "*/*"} | ({"Authorization": f"Bearer {_checked_key(key)}"} if key else {})
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def classify(self, data: bytes, *, top: int) -> Sequence[Label]:
        """The most likely labels, best first."""
        response = self._ask("classify", {"top": str(top)}, {"image": data})
        try:
            return [Label(str(row["label"]), float(row["probability"])) for row in response.json()]
        except (ValueError, TypeError, KeyError):
            raise self._stranger(response) from None

    def cut_out(self, data: bytes, options: CutoutOptions) -> bytes:
        """The picture file without its background."""
        parameters = {"output": options.output.value, "format": options.format.value}
        if options.decontaminate != CutoutOptions().decontaminate:  # older servers do not know it
            parameters["decontaminate"] = str(options.decontaminate).lower()
        files = {"image": data}
        if isinstance(options.background, bytes):
            files["background_image"] = options.background
        elif options.background is not None:
            parameters["background"] = f"#{bytes(options.background).hex()}"
        response = self._ask("remove-background", parameters, files)
        if response.headers.get("content-type") != options.format.media_type:
            raise self._stranger(response)
        return response.content

    def _ask(self, route: str, parameters: Mapping[str, str], files: Mapping[str, bytes]) -> httpx2.Response:
        """The answer to a request, asked again while the server is too busy for it.

        Raises:
            HeliographError: what the server says, or that there is none.
        """
        for attempt in range(ATTEMPTS):
            response = self._send(route, {**parameters, **self._parameters}, files)
            if response.status_code == 200:
                return response
            error = self._error(response)
            # Weights that are missing do not come by waiting.
            if response.status_code not in BUSY or isinstance(error, errors.ModelError):
                break
            if attempt + 1 < ATTEMPTS:
                self._pause(_pause_seconds(response, attempt))
        raise error

    def _send(self, route: str, parameters: Mapping[str, str], files: Mapping[str, bytes]) -> httpx2.Response:
        reason: Exception | None = None
        for attempt in range(CONNECT_ATTEMPTS):
            if attempt:
                self._pause(0.25 * 2**attempt)
            try:
                return self._client.post(
                    f"{self._address}/{route}",
                    params=parameters,
                    files={name: (name, data) for name, data in files.items()},
                )
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError) as error:
                reason = error
            except httpx2.ReadError as error:  # the server went away; asking again does no harm
                reason = error
            except httpx2.TimeoutException:
                raise errors.DeadlineExceeded(f"{self._address} did not answer in time.") from None
            except httpx2.HTTPError as error:
                reason = error
                break
        raise errors.HeliographError(
            f"No service answers at {self._address}: {errors.excerpt(reason) or type(reason).__name__}. "
            "`heliograph serve` starts one."
        )

    def _error(self, response: httpx2.Response) -> errors.HeliographError:
        """What an answer says went wrong."""
        try:
            problem: Any = response.json()
            kind = PROBLEMS[problem["code"]]
            detail = errors.excerpt(problem["detail"])
        except (ValueError, TypeError, KeyError):
            return self._stranger(response)
        return kind(detail)

    def _stranger(self, response: httpx2.Response) -> errors.HeliographError:
        return errors.HeliographError(
            f"{self._address} answered {response.status_code} in a way that Heliograph does not; is it another service?"
        )


def _pause_seconds(response: httpx2.Response, attempt: int) -> float:
    """What the server asks to wait, within bounds; without that, longer from attempt to attempt."""
    try:
        wanted = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        wanted = math.nan
    if not math.isfinite(wanted) or wanted < 0:
        wanted = 0.5 * 2**attempt
    return min(wanted, MAX_PAUSE_SECONDS)


def _checked_address(address: str) -> str:
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise errors.ParameterInvalid(
            f"--server {errors.excerpt(address)} is not an address such as http://localhost:8000."
        )
    return address.rstrip("/")


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise errors.ParameterInvalid("The API key has characters that no key has.")
    return key
