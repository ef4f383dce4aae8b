"""Jobs over HTTP: what is answered in every state, over a queue in memory and on a real server."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from heliograph.api.job_schemas import GroupShape, JobPageShape, JobShape, ReceiptShape
from heliograph.core.queue import QueueRules
from heliograph.serving.answers import unpack_job
from integration.applications import application, check_problem
from integration.job_desks import BROKEN, LABELLED, LABELS, WORKER, Desk, desk
from integration.tiny_models import colour_picture, write_models
from queue_servers import QueueServer, queue_server
from queue_trials import MemoryTrial, RedisTrial, Trial, dead_job

RED, BLUE = colour_picture("red"), colour_picture("blue")
JUNK = b"junk"
UNKNOWN = "0" * 32
RULES = QueueRules(max_jobs=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server() -> Iterator[QueueServer]:
    with queue_server("valkey") as running:
        yield running


@pytest.fixture(params=["memory", "valkey"])
async def trial(request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    if request.param == "memory":
        yield MemoryTrial(RULES)
        return
    server = request.getfixturevalue("server")
    with server.client() as client:
        client.flushall()
    trial = RedisTrial(RULES, server)
    yield trial
    await trial.close()


@pytest.fixture
async def front(folder: Path, trial: Trial) -> AsyncIterator[Desk]:
    async with desk(folder, trial) as running:
        yield running


def job_of(response: httpx2.Response, status: int = 200) -> dict[str, Any]:
    """The job of an answer, which must have the documented shape."""
    assert response.status_code == status, response.text
    JobShape.model_validate(response.json())
    found: dict[str, Any] = response.json()
    return found


async def test_pictures_become_jobs_of_one_group(front: Desk) -> None:
    response = await front.send(RED, JUNK, BLUE, data={"top": "2"})
    assert response.status_code == 202
    receipt = response.json()
    ReceiptShape.model_validate(receipt)
    assert receipt["durable"] is True
    assert response.headers["location"] == f"/v1/groups/{receipt['group']}"
    assert [(job["name"], job["state"]) for job in receipt["jobs"]] == [
        ("0.png", "queued"),
        ("2.png", "queued"),
    ]
    assert [(each["name"], each["problem"]["code"]) for each in receipt["refused"]] == [
        ("1.png", "picture-format-unknown")
    ]
    taken = await front.begin()
    assert [unpack_job(each.payload, each.parameters)[0] for each in taken] == [RED, BLUE]
    assert {(each.model, unpack_job(b"", each.parameters)[1].top) for each in taken} == {("colours", 2)}


async def test_a_job_from_its_acceptance_to_its_acknowledgement(front: Desk) -> None:
    (job_id,) = await front.ids(RED)
    path = f"/v1/jobs/{job_id}"
    queued = job_of(await front.client.get(path))
    assert (queued["state"], queued["worker"], queued["started_at"]) == ("queued", None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", queued["accepted_at"])
    unfinished = await front.client.get(f"{path}/result")
    assert job_of(unfinished, 202) == queued
    assert unfinished.headers["retry-after"] == "1"

    await front.answer(LABELLED)
    done = job_of(await front.client.get(path))
    assert (done["state"], done["worker"], done["attempts"]) == ("done", WORKER, 1)
    assert done["timings_ms"] == {"queue": 1.0, "decode": 0.5, "infer": 2.0, "encode": 0.0}
    result = await front.client.get(f"{path}/result")
    assert (result.status_code, result.json()) == (200, LABELS)
    assert result.headers["content-type"] == "application/json"
    assert result.headers["heliograph-worker"] == WORKER
    assert result.headers["server-timing"] == "queue;dur=1.0, decode;dur=0.5, infer;dur=2.0, encode;dur=0.0"
    known = {"If-None-Match": result.headers["etag"]}
    same = await front.client.get(f"{path}/result", headers=known)
    assert (same.status_code, same.content) == (304, b"")

    assert job_of(await front.client.delete(path))["expired"] is True
    check_problem(await front.client.get(f"{path}/result", headers=known), 410, "result-expired")
    assert job_of(await front.client.delete(path))["expired"] is True


async def test_a_job_that_failed_says_why(front: Desk) -> None:
    (job_id,) = await front.ids(RED)
    await front.answer(BROKEN)
    told = check_problem(await front.client.get(f"/v1/jobs/{job_id}/result"), 422, "picture-broken")
    assert told["detail"] == BROKEN.message
    assert job_of(await front.client.get(f"/v1/jobs/{job_id}"))["problem"] == told
    check_problem(await front.client.post(f"/v1/jobs/{job_id}/requeue"), 409, "job-not-dead")


async def test_a_job_that_is_cancelled(front: Desk) -> None:
    waiting, running = await front.ids(RED, BLUE)
    assert job_of(await front.client.delete(f"/v1/jobs/{waiting}"))["state"] == "cancelled"
    await front.begin()
    assert job_of(await front.client.delete(f"/v1/jobs/{running}"))["state"] == "cancelled"
    for job_id in (waiting, running):
        check_problem(await front.client.get(f"/v1/jobs/{job_id}/result"), 409, "job-cancelled")


async def test_a_dead_job_can_be_requeued(front: Desk) -> None:
    job_id = await dead_job(front.trial)
    check_problem(await front.client.get(f"/v1/jobs/{job_id}/result"), 500, "engine-failed")
    again = job_of(await front.client.post(f"/v1/jobs/{job_id}/requeue"))
    assert (again["state"], again["attempts"]) == ("queued", 0)
    await front.answer(LABELLED)
    assert (await front.client.get(f"/v1/jobs/{job_id}/result")).json() == LABELS


@pytest.mark.parametrize("job_id", [UNKNOWN, "A" * 32, "%2e%2e", "*", "é", "x" * 3000, "a%00b"])
async def test_an_unknown_job(front: Desk, job_id: str) -> None:
    path = f"/v1/jobs/{job_id}"
    for method, address in (
        ("GET", path),
        ("GET", f"{path}/result"),
        ("DELETE", path),
        ("POST", f"{path}/requeue"),
        ("GET", f"/v1/groups/{job_id}"),
    ):
        check_problem(await front.client.request(method, address), 404, "job-unknown")


def multipart(boundary: str, *pictures: bytes, name: str = "a.png") -> dict[str, Any]:
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="image"; filename="%b"\r\n\r\n%b\r\n'
        % (boundary.encode(), name.encode(), picture)
        for picture in pictures
    ]
    content = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return {
        "content": content,
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": "once"},
    }


async def test_a_repeated_request_takes_nothing_in_twice(front: Desk) -> None:
    first = await front.client.post("/v1/jobs", **multipart("x", RED, JUNK, BLUE))
    assert "idempotent-replayed" not in first.headers
    await front.answer(LABELLED)
    again = await front.client.post("/v1/jobs", **multipart("another", RED, JUNK, BLUE))
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    expected = first.json()
    for job in expected["jobs"]:
        job["state"] = "done"
    assert again.json() == expected
    others: list[dict[str, Any]] = [
        multipart("x", BLUE, JUNK, RED),
        multipart("x", RED, JUNK),
        multipart("x", RED, JUNK, BLUE, name="b.png"),
        multipart("x", RED, JUNK, BLUE) | {"params": {"top": "1"}},
    ]
    for other in others:
        check_problem(await front.client.post("/v1/jobs", **other), 409, "idempotency-conflict")
    assert len((await front.client.get("/v1/jobs")).json()["jobs"]) == 2


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256])
async def test_a_key_that_is_none_is_refused(front: Desk, key: str) -> None:
    headers = httpx2.Headers({"Idempotency-Key": key}, encoding="latin-1")
    check_problem(await front.send(RED, headers=headers), 400, "parameter-invalid")
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    check_problem(await front.client.post("/v1/jobs", content=RED, headers=twice), 400, "parameter-invalid")


async def test_lists_have_pages(front: Desk) -> None:
    ids = await front.ids(*[RED] * 7)
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = (await front.client.get("/v1/jobs", params=query)).json()
        JobPageShape.model_validate(page)
        seen += [job["id"] for job in page["jobs"]]
        if "next" not in page:
            break
        query["cursor"] = page["next"]
    assert seen == ids[::-1]


async def test_a_group_is_counted_and_has_pages(front: Desk) -> None:
    receipt = (await front.send(*[RED] * 5)).json()
    await front.client.delete(f"/v1/jobs/{receipt['jobs'][0]['id']}")
    path = f"/v1/groups/{receipt['group']}"
    found = (await front.client.get(path, params={"limit": "3"})).json()
    GroupShape.model_validate(found)
    assert (found["total"], found["finished"], found["next_offset"]) == (5, False, 3)
    assert found["counts"] == {"queued": 4, "cancelled": 1}
    await front.answer(LABELLED)
    rest = (await front.client.get(path, params={"limit": "3", "offset": "3"})).json()
    assert (rest["finished"], "next_offset" in rest) == (True, False)
    assert [job["id"] for job in found["jobs"] + rest["jobs"]] == [job["id"] for job in receipt["jobs"]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=%d9%a3",
        "limit=",
        "limit=-1",
        "cursor=x",
        "cursor=-1",
        "cursor=1.5",
        "cursor=" + "9" * 400,
        "limitt=1",
    ],
)
async def test_bad_pages_are_refused(front: Desk, query: str) -> None:
    check_problem(await front.client.get(f"/v1/jobs?{query}"), 400, "parameter-invalid")


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "picture-missing"),
    "only junk": ({"files": [("image", ("a", JUNK))] * 2}, 415, "picture-format-unknown"),
    "an empty picture": ({"files": [("image", ("a", b""))]}, 400, "picture-missing"),
    "an unknown model": ({"content": RED, "params": {"model": "x"}}, 404, "model-unknown"),
    "an unknown parameter": ({"content": RED, "params": {"tops": "1"}}, 400, "parameter-invalid"),
    "another task's parameter": ({"content": RED, "params": {"format": "webp"}}, 400, "parameter-invalid"),
    "a bad top": ({"content": RED, "params": {"top": "0"}}, 400, "parameter-invalid"),
    "a bad colour": (
        {"content": RED, "params": {"model": "brightness", "background": "?"}},
        400,
        "parameter-invalid",
    ),
    "a broken background": (
        {
            "files": {"image": RED, "background_image": JUNK},
            "data": {"model": "brightness"},
        },
        415,
        "picture-format-unknown",
    ),
    "too many pictures": ({"files": [("image", ("a", RED))] * 501}, 413, "too-many-pictures"),
    "more jobs than fit": ({"files": [("image", ("a", RED))] * 60}, 503, "queue-full"),
    "another page": ({"content": RED, "headers": {"Origin": "http://evil.example"}}, 403, "origin-refused"),
}


@pytest.mark.parametrize(("request_", "status", "code"), REFUSED.values(), ids=list(REFUSED))
async def test_what_is_refused_leaves_nothing_behind(
    front: Desk, request_: dict[str, Any], status: int, code: str
) -> None:
    response = await front.client.post("/v1/jobs", **request_)
    check_problem(response, status, code)
    assert (await front.trial.desk.counts()).accepted == 0
    assert front.services.admission.in_flight == 0


async def test_other_methods_are_told_which_there_are(front: Desk) -> None:
    response = await front.client.put("/v1/jobs", content=RED)
    check_problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert (await front.client.head("/v1/jobs")).status_code == 200


async def test_a_cut_out_and_its_background(front: Desk) -> None:
    files = [("image", ("a.png", RED)), ("image", ("b.png", BLUE)), ("background_image", ("c.png", BLUE))]
    response = await front.client.post(
        "/v1/jobs", files=files, data={"model": "brightness", "format": "webp"}
    )
    assert response.status_code == 202, response.text
    for assignment, picture in zip(await front.begin(), (RED, BLUE), strict=True):
        data, wanted = unpack_job(assignment.payload, assignment.parameters)
        assert (data, wanted.cutout.background, wanted.cutout.format.value) == (picture, BLUE, "webp")


async def test_the_server_behind_the_queue_goes_and_comes(folder: Path) -> None:
    with queue_server("valkey") as server:
        trial = RedisTrial(RULES, server)
        async with desk(folder, trial) as front:
            (job_id,) = await front.ids(RED)
            server.kill()
            for response in (
                await front.send(RED),
                await front.client.get("/v1/jobs"),
                await front.client.get(f"/v1/jobs/{job_id}/result"),
            ):
                check_problem(response, 503, "queue-unavailable")
                assert int(response.headers["retry-after"]) >= 1
            server.start()
            await front.answer(LABELLED)
            assert (await front.client.get(f"/v1/jobs/{job_id}/result")).json() == LABELS
        await trial.close()


async def test_background_pictures_do_not_multiply_beyond_a_request(folder: Path) -> None:
    trial = MemoryTrial(QueueRules())
    size = 400_000
    background = colour_picture("red", 300, "BMP")
    async with desk(folder, trial, max_request_bytes=size) as front:
        files = [("image", (f"{n}.png", RED)) for n in range(10)] + [("background_image", ("b", background))]
        response = await front.client.post("/v1/jobs", files=files, data={"model": "brightness"})
        check_problem(response, 413, "request-too-large")


async def test_serve_answers_jobs_itself(folder: Path) -> None:
    """Its worker is in the same process; nothing of it is durable."""
    async with application(folder, threads=1) as app:
        names = ["red", "green", "blue"] * 20
        files = [("image", (name, colour_picture(name if name != "green" else "lime"))) for name in names]
        receipt = (await app.client.post("/v1/jobs", files=files, params={"top": "1"})).json()
        assert receipt["durable"] is False
        for job in receipt["jobs"]:
            result = await finished(app.client, job["id"])
            assert result.json()[0]["label"] == job["name"]
            assert result.headers["heliograph-worker"] == "worker-1"
        group = (await app.client.get(f"/v1/groups/{receipt['group']}")).json()
        assert (group["finished"], group["counts"]) == (True, {"done": 60})


async def finished(client: httpx2.AsyncClient, job_id: str) -> httpx2.Response:
    """The result of a job, once it is there."""
    deadline = time.monotonic() + 20
    response = await client.get(f"/v1/jobs/{job_id}/result")
    while response.status_code == 202:
        assert time.monotonic() < deadline, response.text
        await asyncio.sleep(0.01)
        response = await client.get(f"/v1/jobs/{job_id}/result")
    assert response.status_code == 200, response.text
    return response


async def test_without_jobs_every_route_says_what_has_them(folder: Path) -> None:
    async with application(folder, jobs=False) as app:
        for method, path in (
            ("POST", "/v1/jobs"),
            ("GET", "/v1/jobs"),
            ("GET", f"/v1/jobs/{UNKNOWN}"),
            ("GET", f"/v1/jobs/{UNKNOWN}/result"),
            ("DELETE", f"/v1/jobs/{UNKNOWN}"),
            ("POST", f"/v1/jobs/{UNKNOWN}/requeue"),
            ("GET", f"/v1/groups/{UNKNOWN}"),
            ("GET", "/v1/events"),
        ):
            told = check_problem(await app.client.request(method, path), 501, "needs-queue-mode")
            assert "heliograph up" in told["detail"]
