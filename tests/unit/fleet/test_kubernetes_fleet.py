"""The fleet of pods against an API server whose answers the test decides; what needs a real one is in tests/cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import looptime
import pytest
from lightkube import KubeConfig
from lightkube.config.models import Cluster, User

from heliograph.adapters.fleet import kubernetes
from heliograph.adapters.fleet.api_server import client_of, in_cluster
from heliograph.adapters.fleet.kubernetes import KubernetesFleet
from heliograph.adapters.fleet.scalers import parse_scaler
from heliograph.core import errors
from heliograph.core.fleet import FleetAction, FleetBounds

pytestmark = pytest.mark.anyio

POD = "heliograph-worker-7c9d8b6f5-x2x4z"
LABELS = {"component": "worker"}
PODS = "/api/v1/namespaces/here/pods"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/here/scaledobjects"
BOUNDS = FleetBounds(minimum=1, maximum=2)
Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def pod(name: str = POD, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": "0f1e", "labels": LABELS, **metadata},
        "status": {"phase": "Running"},
    }


def status(code: int, message: str, *causes: str) -> httpx2.Response:
    details = {"causes": [{"reason": "DisruptionBudget", "message": cause} for cause in causes]}
    return httpx2.Response(
        code,
        json={"kind": "Status", "status": "Failure", "code": code, "message": message, "details": details},
    )


class FailingLog:
    """Implements `FleetLog`, and stores nothing."""

    async def add(self, action: FleetAction) -> None:
        raise errors.QueueUnavailable("nothing there")

    async def newest(self, *, limit: int = 100) -> Sequence[FleetAction]:
        raise errors.QueueUnavailable("nothing there")


class KeptLog(FailingLog):
    """Implements `FleetLog` in memory."""

    def __init__(self) -> None:
        self.actions: list[FleetAction] = []

    async def add(self, action: FleetAction) -> None:
        self.actions.append(action)


class Server(httpx2.AsyncBaseTransport):
    """Answers by method and path; what it has no answer for is not there."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.get(
            (request.method, request.url.path), httpx2.Response(404, text="404 page not found")
        )
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else answer(request)


def config() -> KubeConfig:
    return KubeConfig.from_one(cluster=Cluster(server="https://cluster"), user=User(token="t"))


@asynccontextmanager
async def fleet_at(
    server: Server, *, scaler: str = "hpa/w", log: FailingLog | None = None, allows_actions: bool = True
) -> AsyncIterator[KubernetesFleet]:
    client = client_of(config(), server)
    try:
        yield KubernetesFleet(
            client=client,
            namespace="here",
            selector=LABELS,
            scaler=parse_scaler(scaler),
            allows_actions=allows_actions,
            log=log or KeptLog(),
        )
    finally:
        await client.close()


@contextmanager
def unavailable(*words: str) -> Iterator[None]:
    with pytest.raises(errors.FleetUnavailable) as caught:
        yield
    for word in words:
        assert word in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(403, 'pods "x" is forbidden: User "sa" cannot get'), "service account may not look"),
        (status(401, "Unauthorized"), "Unauthorized"),
        (status(500, "etcd\x1b[2J is gone"), "etcd [2J is gone"),
        (httpx2.Response(502, html="<html>"), "502 Bad Gateway"),
        (httpx2.Response(503), "its answer is not understood"),
        (httpx2.Response(200, text="hello"), "not understood (DecodeError"),
        (httpx2.Response(500, json=[1]), "not understood (ValidationError"),
        (httpx2.ConnectError("refused"), "ConnectError: refused"),
        (httpx2.ReadTimeout(""), "does not answer in time"),
    ],
)
async def test_whatever_the_server_answers_is_told(answer: Answer, said: str) -> None:
    server = Server()
    server.answers["GET", f"{PODS}/{POD}"] = answer
    async with fleet_at(server) as fleet:
        with unavailable(said):
            await fleet.stop(POD, who="me")


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", "a/b", "x\x00", "\x1b[2J", "ü\ud800", 60_000 * "a", "a b", "a?b", "A", "a\n"]
)
@pytest.mark.parametrize("allows_actions", [True, False])
async def test_hostile_names_reach_nobody(name: str, *, allows_actions: bool) -> None:
    server = Server()
    async with fleet_at(server, allows_actions=allows_actions) as fleet:
        with pytest.raises(errors.HeliographError) as caught:
            await fleet.stop(name, who="me")
    assert isinstance(caught.value, errors.WorkerUnknown)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    assert server.requests == []


async def test_the_pod_that_was_looked_at_is_evicted_and_no_other() -> None:
    server, log = Server(), KeptLog()
    server.answers["GET", f"{PODS}/{POD}"] = httpx2.Response(200, json=pod())
    server.answers["POST", f"{PODS}/{POD}/eviction"] = httpx2.Response(
        201, json={"kind": "Status", "code": 201}
    )
    async with fleet_at(server, log=log) as fleet:
        action = await fleet.stop(f"{POD}-0123abcd", who=300 * "m")
    assert (action.what, action.outcome) == (f"stopping {POD}", "ok")
    assert action.command == f"kubectl --namespace here delete pod {POD}"
    assert len(action.who) == 256
    assert log.actions == [action]
    assert 0.0 < action.seconds < 10.0
    sent = json.loads(server.requests[-1].content)
    assert (sent["apiVersion"], sent["kind"]) == ("policy/v1", "Eviction")
    assert sent["deleteOptions"]["preconditions"] == {"uid": "0f1e"}


@pytest.mark.parametrize(
    "found",
    [
        pod(labels={"component": "gateway"}),
        pod(labels=None),
        {**pod(), "status": {"phase": "Succeeded"}},
        {**pod(), "status": {"phase": "Failed"}},
    ],
)
async def test_a_pod_that_is_no_worker_now_is_unknown(found: dict[str, Any]) -> None:
    server = Server()
    server.answers["GET", f"{PODS}/{POD}"] = httpx2.Response(200, json=found)
    async with fleet_at(server) as fleet:
        with pytest.raises(errors.WorkerUnknown):
            await fleet.stop(POD, who="me")
    assert [request.method for request in server.requests] == ["GET"]


async def test_one_that_stops_already_is_not_asked_twice() -> None:
    server = Server()
    server.answers["GET", f"{PODS}/{POD}"] = httpx2.Response(
        200, json=pod(deletionTimestamp="2026-11-24T10:00:00Z")
    )
    async with fleet_at(server) as fleet:
        assert (await fleet.stop(POD, who="me")).what == f"{POD} is stopping already"
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            status(
                429, "Cannot evict pod.", "The disruption budget w needs 2 healthy pods and has 2 currently"
            ),
            "let it go now: Cannot evict pod; The disruption budget w needs 2",
        ),
        (status(403, "forbidden"), "service account may not stop a worker: forbidden"),
        (status(409, "Operation cannot be fulfilled: try again"), "try again"),
        (status(500, "more than one PodDisruptionBudget"), "more than one PodDisruptionBudget"),
    ],
)
async def test_a_pod_that_may_not_go_is_told_and_noted(answer: Answer, said: str) -> None:
    server, log = Server(), KeptLog()
    server.answers["GET", f"{PODS}/{POD}"] = httpx2.Response(200, json=pod())
    server.answers["POST", f"{PODS}/{POD}/eviction"] = answer
    async with fleet_at(server, log=log) as fleet:
        with unavailable(said):
            await fleet.stop(POD, who="me")
    assert said in log.actions[0].outcome
    assert log.actions[0].seconds > 0.0


@pytest.mark.parametrize(
    "answer",
    [
        status(404, "not found"),
        status(409, "Precondition failed: UID in precondition: 0f1e, UID in object meta: 2"),
    ],
)
async def test_one_that_has_just_gone_is_unknown(answer: Answer) -> None:
    server = Server()
    server.answers["GET", f"{PODS}/{POD}"] = httpx2.Response(200, json=pod())
    server.answers["POST", f"{PODS}/{POD}/eviction"] = answer
    async with fleet_at(server) as fleet:
        with pytest.raises(errors.WorkerUnknown):
            await fleet.stop(POD, who="me")


async def test_a_log_that_fails_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.answers["PATCH", "/apis/autoscaling/v2/namespaces/here/horizontalpodautoscalers/w"] = (
        httpx2.Response(
            200, json={"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "w"}}}
        )
    )
    async with fleet_at(server, log=FailingLog()) as fleet:
        assert (await fleet.scale(BOUNDS, who="me")).outcome == "ok"
    assert server.requests[0].headers["content-type"] == "application/merge-patch+json"
    assert "'scaled to 1 to 2 workers' is not in the log of the fleet: nothing there" in caplog.text


async def test_nothing_is_done_where_that_is_not_allowed() -> None:
    server = Server()
    async with fleet_at(server, allows_actions=False) as fleet:
        assert fleet.is_read_only
        with pytest.raises(
            errors.FleetReadOnly, match=r"fleet\.actions=true .* or run: kubectl .* delete pod a"
        ):
            await fleet.stop("a", who="me")
        with pytest.raises(errors.FleetReadOnly, match="or run: kubectl --namespace here patch hpa w"):
            await fleet.scale(BOUNDS, who="me")
        with pytest.raises(errors.ParameterInvalid):
            await fleet.scale(FleetBounds(minimum=2, maximum=1), who="me")
    assert server.requests == []


async def test_a_fleet_without_labels_would_be_all_pods() -> None:
    client = client_of(config(), Server())
    with pytest.raises(errors.SettingsInvalid):
        KubernetesFleet(
            client=client,
            namespace="here",
            selector={},
            scaler=parse_scaler("hpa/w"),
            allows_actions=True,
            log=KeptLog(),
        )
    await client.close()


def play(scene: Callable[[], Any]) -> None:
    """Runs a scene by a clock that does not wait."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(scene())


def listing(*items: dict[str, Any]) -> Callable[[httpx2.Request], httpx2.Response]:
    """A list of these; a watch ends at once."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.params.get("watch") == "true":
            return httpx2.Response(200, text="")
        return httpx2.Response(200, json={"metadata": {"resourceVersion": "7"}, "items": items})

    return answer


def test_a_server_that_ends_every_watch_is_not_hurried_and_keda_may_be_missing() -> None:
    async def scene() -> None:
        server = Server()
        server.answers["GET", PODS] = listing(pod())
        async with fleet_at(server, scaler="scaledobject/w") as fleet:
            watching = asyncio.create_task(fleet.watch())
            await asyncio.sleep(60)
            assert [member.name for member in await fleet.members()] == [POD]
            assert await fleet.bounds() is None
            assert (await fleet.obstacle()).startswith("KEDA is not installed in this cluster")
            assert len([request for request in server.requests if request.url.path == PODS]) < 150
            assert len([request for request in server.requests if request.url.path == SCALED_OBJECTS]) < 20
            assert server.requests[0].url.params["labelSelector"] == "component=worker"
            assert server.requests[1].url.params["fieldSelector"] == "metadata.name=w"
            server.answers["GET", PODS] = listing()
            await asyncio.sleep(30)
            (gone,) = await fleet.members()
            assert (gone.name, gone.state, gone.reason) == (POD, "gone", "deleted")
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    play(scene)


def test_pods_that_have_ended_are_not_listed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster keeps evicted pods until there are thousands of them."""

    async def scene() -> None:
        server = Server()
        evicted = {**pod("evicted"), "status": {"phase": "Failed", "reason": "Evicted"}}
        server.answers["GET", PODS] = listing(pod(), evicted)
        async with fleet_at(server) as fleet:
            watching = asyncio.create_task(fleet.watch())
            await asyncio.sleep(5)
            assert [member.name for member in await fleet.members()] == ["evicted", POD]
            monkeypatch.setattr(kubernetes, "GONE_SECONDS", 0.0)
            assert [member.name for member in await fleet.members()] == [POD]
            server.answers["GET", PODS] = listing(pod())
            await asyncio.sleep(30)
            assert [member.name for member in await fleet.members()] == [POD], "it does not come back"
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    play(scene)


def test_a_pod_outside_of_a_cluster_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.SettingsInvalid, match="no service account"):
        in_cluster(tmp_path)
    tmp_path.joinpath("token").write_text("t")
    tmp_path.joinpath("namespace").write_text("here\n")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.SettingsInvalid, match="KUBERNETES_SERVICE_HOST is not set"):
        in_cluster(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(errors.SettingsInvalid, match="no service account"):  # its certificate is missing
        in_cluster(tmp_path)
