"""The real application in this process, with the tiny models."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from heliograph.api.app import create_app, create_operations_app
from heliograph.api.errors import HTTP_CODES
from heliograph.api.openapi import build_document
from heliograph.api.routes import ROUTES
from heliograph.api.services import Services
from heliograph.bootstrap.parts import clock, read_keys
from heliograph.bootstrap.predicting import predicting
from heliograph.bootstrap.serve import serving
from heliograph.settings import read_settings

MODELS = "colours,brightness,absent"
PROBLEM_MEMBERS = {"type", "title", "status", "code", "detail"}


@dataclass
class Application:
    """A client of the main port, one of the operations port, and what is behind them."""

    client: httpx2.AsyncClient
    operations: httpx2.AsyncClient
    services: Services


@asynccontextmanager
async def application(folder: Path, **settings: object) -> AsyncIterator[Application]:
    """The application that the settings describe, its models settled."""
    chosen: dict[str, Any] = {
        "models": MODELS,
        "classification_model": "colours",
        "background_model": "brightness",
        "model_dir": folder,
        "threads": 2,
        "worker_name": "worker-1",
        **settings,
    }
    read = read_settings(**chosen)
    keys = read_keys(read)
    async with predicting(read) as parts, serving(read, keys, parts) as services:
        await parts.models.wait_until_settled()
        main = create_app(services, clock=clock)
        operations = create_operations_app(services, clock=clock)
        async with _client(main) as client, _client(operations) as operations_client:
            yield Application(client, operations_client, services)


def _client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost")


def check_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem details of an answer, which must be complete and right."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) - {"retry_after_seconds"} == PROBLEM_MEMBERS
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:heliograph:problem:{code}"
    assert ("retry_after_seconds" in problem) <= ("retry-after" in response.headers)
    assert code in HTTP_CODES.values() or f"`{code}`" in documented(response.request, status)
    return problem


openapi = functools.cache(partial(build_document, "0"))


def documented(request: httpx2.Request, status: int) -> str:
    """What the OpenAPI document says of a status of the route that a request went to."""
    path, method = request.url.path, request.method.replace("HEAD", "GET")
    specs = [s for s in ROUTES if re.fullmatch(re.sub(r"{\w+}", "[^/]+", s.path), path)]
    spec = next(s for s in specs if s.method == method)
    operation = openapi()["paths"][spec.path][spec.method.lower()]
    return str(operation["responses"].get(str(status), {}).get("description"))
