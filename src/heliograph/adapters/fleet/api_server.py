"""The API server of a Kubernetes cluster: the way to it, objects read from it, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import httpx2
import msgspec
from lightkube import AsyncClient, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import SERVICE_ACCOUNT
from lightkube.core.resource import NamespacedResource
from lightkube.exceptions import ApiError, ConfigError, NotReadyError
from lightkube.models.meta_v1 import ObjectMeta

from heliograph.core import errors

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
WATCH_SECONDS = 60
"""The server ends a watch after so long, also where nobody is left to read it."""
WATCH_PAUSE_SECONDS = 0.5
"""From the beginning of a watch to that of the next."""
FIELD_MANAGER = "heliograph"

NOT_UNDERSTOOD = (msgspec.MsgspecError, NotReadyError, LookupError)
"""What the client makes of an answer that is none of Kubernetes' own."""
FAILURES = (httpx2.HTTPError, ConfigError, OSError, *NOT_UNDERSTOOD)
"""What a call of the client may end in."""

Item = TypeVar("Item")


def in_cluster(folder: Path = Path(SERVICE_ACCOUNT)) -> tuple[AsyncClient, str]:
    """A client with the rights of the pod's service account, and the pod's namespace. The client is the caller's.

    Raises:
        SettingsInvalid: this process is in no pod, or its pod has no token.
    """
    try:
        config = KubeConfig.from_service_account(folder)
        namespace = folder.joinpath("namespace").read_text(encoding="utf-8").strip()
        return client_of(config), namespace
    except (ConfigError, OSError):
        raise errors.SettingsInvalid(
            f"The fleet is one of pods, but there is no service account in {folder}: it can only be followed from a "
            "pod whose automountServiceAccountToken is true. The Helm chart mounts it in the gateway."
        ) from None
    except KeyError as error:
        raise errors.SettingsInvalid(
            f"The fleet is one of pods, but {error.args[0]} is not set: it can only be followed from a pod."
        ) from None


def client_of(config: KubeConfig, network: httpx2.AsyncBaseTransport | None = None) -> AsyncClient:
    """A client whose calls end soon. No settings of the environment, such as a proxy's, count.

    Raises:
        ConfigError, OSError: what the configuration names is not there.
    """
    one = config.get()
    if one is None or one.user is None:
        raise ConfigError("The configuration names no cluster and user.")
    context = verify_cluster(one.cluster, one.user, one.abs_file, trust_env=False)
    return AsyncClient(
        config=one,
        timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        field_manager=FIELD_MANAGER,
        trust_env=False,
        transport=Paced(network or httpx2.AsyncHTTPTransport(verify=context, trust_env=False)),
    )


class Paced(httpx2.AsyncBaseTransport):
    """A network that takes its time between two watches of the same objects: a client begins another one at once."""

    def __init__(self, network: httpx2.AsyncBaseTransport) -> None:
        self._network = network
        self._next: dict[str, float] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, perhaps later."""
        if request.url.params.get("watch") == "true":
            now = asyncio.get_running_loop().time()
            at = max(now, self._next.get(request.url.path, now))
            self._next[request.url.path] = at + WATCH_PAUSE_SECONDS
            await asyncio.sleep(at - now)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the network."""
        await self._network.aclose()


class _Named(Protocol):
    """Every object of a cluster."""

    @property
    def metadata(self) -> ObjectMeta | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Generic[Item]):
    """Some objects of one kind in a namespace: those with these labels and fields, each as ``read`` sees it."""

    client: AsyncClient
    kind: type[NamespacedResource]
    namespace: str
    read: Callable[[Any], Item]
    labels: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    async def list(self) -> tuple[Mapping[str, Item], str]:
        """The objects by name, and the version that `changes` goes on from; raises `FAILURES`."""
        found = self.client.list(
            self.kind, namespace=self.namespace, labels={**self.labels}, fields={**self.fields}
        )
        items = {_name(item): self.read(item) async for item in cast("AsyncIterable[Any]", found)}
        return items, found.resourceVersion

    async def changes(self, version: str) -> AsyncGenerator[tuple[str, str, Item], None]:
        """What happens after a version, as ``ADDED``, ``MODIFIED`` or ``DELETED``, the name and the object.

        It ends when the server has forgotten that version; raises `FAILURES`.
        """
        watch = self.client.watch(
            self.kind,
            namespace=self.namespace,
            labels={**self.labels},
            fields={**self.fields},
            server_timeout=WATCH_SECONDS,
            resource_version=version,
        )
        try:
            async with aclosing(cast("AsyncGenerator[tuple[str, Any], None]", watch)) as events:
                async for event, item in events:
                    yield event, _name(item), self.read(item)
        except httpx2.HTTPStatusError as error:
            if status_of(error) != 410:
                raise


def status_of(error: BaseException | None) -> int:
    """The HTTP status of a failure, 0 for none."""
    if isinstance(error, ApiError):
        return error.status.code or 0
    return error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else 0


def is_another(error: BaseException) -> bool:
    """Whether the object that was meant is gone and another one has its name."""
    return status_of(error) == 409 and "UID" in reason_of(error)


def reason_of(error: BaseException) -> str:
    """What went wrong, in one printable line."""
    if isinstance(error, ApiError):
        parts = [error.status.message or str(status_of(error)), *_causes(error)]
        return errors.excerpt("; ".join(part.rstrip(".") for part in parts))
    if isinstance(error, httpx2.HTTPStatusError):
        return errors.excerpt(f"{error.response.status_code} {error.response.reason_phrase}".strip())
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "it does not answer in time"
    said = errors.excerpt(f"{type(error).__name__}: {error}".removesuffix(": "))
    return f"its answer is not understood ({said})" if isinstance(error, NOT_UNDERSTOOD) else said


def _causes(error: ApiError) -> list[str]:
    details = error.status.details
    causes = details.causes if details is not None else None
    return [cause.message for cause in causes or () if cause.message]


def _name(item: _Named) -> str:
    return (item.metadata.name if item.metadata is not None else None) or ""
