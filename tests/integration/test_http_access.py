"""Who is let in: hosts, origins, keys, and the ports that need none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from heliograph.bootstrap.parts import read_keys
from heliograph.core import errors
from heliograph.serving.access import Scope, create_key
from heliograph.settings import read_settings
from integration.applications import Application, application, check_problem
from integration.tiny_models import colour_picture, write_models
from service import start_service

RED = colour_picture("red")
EVERYWHERE = "0.0.0" + ".0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def app(folder: Path) -> AsyncIterator[Application]:
    async with application(folder, allowed_hosts="Gateway.Example") as running:
        yield running


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]:8000", "[::1]", "gateway.example:80"],
)
async def test_own_names_are_served(app: Application, host: str) -> None:
    assert (await app.client.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8000", "", "*"])
async def test_other_names_are_refused(app: Application, host: str) -> None:
    """A page of evil.example whose name resolves to this machine must not read answers."""
    check_problem(await app.client.get("/v1/models", headers={"Host": host}), 421, "host-refused")
    check_problem(
        await app.client.post("/classify", content=RED, headers={"Host": host}), 421, "host-refused"
    )


OTHER_ORIGINS = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "http://a@localhost"},
    {"Origin": "http://localhost]"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]


@pytest.mark.parametrize("headers", OTHER_ORIGINS, ids=str)
async def test_other_pages_may_not_change_anything(app: Application, headers: dict[str, str]) -> None:
    response = await app.client.post("/classify", content=RED, headers=headers)
    check_problem(response, 403, "origin-refused")
    assert (await app.client.get("/livez", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}],
)
async def test_own_pages_and_programs_may(app: Application, headers: dict[str, str]) -> None:
    assert (await app.client.post("/classify", content=RED, headers=headers)).status_code == 200


async def test_keys_decide_once_there_are_any(folder: Path, tmp_path: Path) -> None:
    user, stored_user = create_key("user", [Scope.PREDICT])
    operator, stored_operator = create_key("operator", [Scope.OPERATE, Scope.PREDICT])
    file = tmp_path / "keys"
    file.write_text(f"# keys\n{stored_user.line()}\n{stored_operator.line()}\n")
    async with application(folder, host=EVERYWHERE, api_keys_file=file) as app:
        await check_keys(app, user, operator)


async def check_keys(app: Application, user: str, operator: str) -> None:
    client = app.client
    as_user = {"Authorization": f"Bearer {user}", "Host": "any.example"}
    as_operator = {"Authorization": f"bearer {operator}"}
    missing = await client.post("/classify", content=RED)
    check_problem(missing, 401, "key-missing")
    assert missing.headers["www-authenticate"] == 'Bearer realm="heliograph"'
    for wrong in ("Bearer hg_wrong", "Bearer é"):
        refused = await client.get(
            "/v1/models", headers=httpx2.Headers({"Authorization": wrong}, encoding="latin-1")
        )
        check_problem(refused, 401, "key-invalid")
    check_problem(
        await client.get("/v1/models", headers={"Authorization": f"Basic {user}"}), 401, "key-missing"
    )
    assert (await client.post("/classify", content=RED, headers=as_user)).status_code == 200
    check_problem(await client.get("/metrics", headers=as_user), 403, "scope-missing")
    assert (await client.get("/metrics", headers=as_operator)).status_code == 200
    assert (await app.operations.get("/metrics")).status_code == 200
    for probe in ("/livez", "/readyz", "/startupz"):
        assert (await client.get(probe)).status_code == 200


async def test_the_operations_port_has_nothing_else(app: Application) -> None:
    for path in ("/livez", "/readyz", "/startupz", "/metrics"):
        response = await app.operations.get(path, headers={"Host": "10.0.0.7:8001"})
        assert response.status_code == 200
    check_problem(await app.operations.get("/v1/models"), 404, "route-unknown")
    check_problem(await app.operations.post("/classify", content=RED), 404, "route-unknown")


def test_without_keys_it_refuses_to_listen_to_the_network(folder: Path) -> None:
    with start_service(model_dir=folder, models="colours", host=EVERYWHERE, until=None) as service:
        assert service.process.wait(20) == 1
        complaint = service.log()
    assert "HELIOGRAPH_API_KEYS_FILE" in complaint
    assert "Traceback" not in complaint


def test_auth_off_lets_it_listen_to_the_network_without_keys() -> None:
    settings = read_settings(host=EVERYWHERE, auth="off")
    assert not read_keys(settings)
    with pytest.raises(errors.SettingsInvalid, match="without API keys"):
        read_keys(read_settings(host=EVERYWHERE))


async def test_auth_off_answers_under_every_name(folder: Path) -> None:
    async with application(folder, host=EVERYWHERE, auth="off") as app:
        assert (await app.client.get("/v1/models", headers={"Host": "any.example"})).status_code == 200
