"""Every error has a status, and its answer is complete."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from heliograph.api.errors import STATUS, problem_response, status_of
from heliograph.core import errors


def every(kind: type[errors.HeliographError]) -> Iterator[type[errors.HeliographError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every(child)


KINDS = sorted(set(every(errors.HeliographError)), key=lambda kind: kind.__name__)
LEAVES = [kind for kind in KINDS if not kind.__subclasses__()]


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in LEAVES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.code)
def test_an_answer_is_complete(kind: type[errors.HeliographError]) -> None:
    response = problem_response(kind("What “happened”.\n"))
    problem = json.loads(bytes(response.body))
    assert response.status_code == problem["status"] == status_of(kind())
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["title"]) == (kind.code, kind.title)
    assert problem["detail"] == "What “happened”.\n"
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1


def test_only_what_is_our_fault_has_a_status_of_the_500s() -> None:
    ours = {kind for kind in STATUS if STATUS[kind] >= 500}
    for blamed in (errors.RequestError, errors.PictureError, errors.AccessError):
        assert not any(issubclass(kind, blamed) for kind in ours)


@pytest.mark.parametrize(("seconds", "header"), [(0.001, "1"), (1.0, "1"), (1.2, "2"), (30.0, "30")])
def test_the_time_to_come_back_is_whole_seconds(seconds: float, header: str) -> None:
    response = problem_response(errors.Overloaded(retry_after_seconds=seconds))
    assert response.headers["retry-after"] == header
    assert json.loads(bytes(response.body))["retry_after_seconds"] == int(header)
