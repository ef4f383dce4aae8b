"""Single requests to a service, and whether the answers are right."""

from __future__ import annotations

import io
from pathlib import Path

import httpx2
from PIL import Image

CONNECT_RETRIES = 5
"""With pauses of 0, 0.5, 1, 2 and 4 s between them."""


def post(url: str, path: str, picture: Path, key: str | None = None) -> httpx2.Response:
    """The answer to one picture; like any client of a cluster it tries again where no connection is made.

    A pod is ready a moment before every node sends connections to it.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx2.HTTPTransport(retries=CONNECT_RETRIES)
    with httpx2.Client(transport=transport, timeout=30) as client:
        return client.post(url + path, content=picture.read_bytes(), headers=headers)


def check_answers(url: str, pictures: Path) -> None:
    """All three kinds of request have right answers."""
    labels = post(url, "/classify", pictures / "cat.jpg")
    assert labels.status_code == 200, labels.text
    assert "cat" in labels.json()[0]["label"]
    character = post(url, "/classify?model=kmnist&top=1", pictures / "tsu.png")
    assert character.status_code == 200, character.text
    assert "つ" in character.json()[0]["label"]
    cutout = post(url, "/remove-background", pictures / "coffee.jpg")
    assert cutout.status_code == 200, cutout.text
    with Image.open(io.BytesIO(cutout.content)) as picture, Image.open(pictures / "coffee.jpg") as sent:
        assert (picture.mode, picture.size) == ("RGBA", sent.size)
        assert picture.getchannel("A").getextrema() == (0, 255)


def workers_that_answer(url: str, pictures: Path, requests: int) -> set[str]:
    """Who answered so many requests, each on a connection of its own."""
    return {
        post(url, "/classify?model=kmnist", pictures / "tsu.png").headers["Heliograph-Worker"]
        for _ in range(requests)
    }
