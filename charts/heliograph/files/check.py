"""What `helm test` runs in a pod of its own: asks the service as a client does.

Every model that is ready answers a picture; where API keys are asked for, nobody gets in without one; where there is a
queue, a job is done; metrics are there. SERVICE and OPERATIONS are addresses, KEYS_ASKED and TAKES_JOBS are `true` or
`false`.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import NamedTuple

from PIL import Image, ImageDraw

PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "60"))
SIDE = 96
LACKED = b'"model-unavailable"'
"""In the answer of a service whose image was built without the model's weights."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    media_type: str
    body: bytes

    def told(self) -> str:
        """The answer in a line, for people."""
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


def ask(url: str, body: bytes | None = None, key: str | None = None) -> Answer:
    """The answer; asks again while there is none or only 503. Ends the test if it stays so."""
    headers = {"Content-Type": "image/png"} if body else {}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return Answer(answer.status, answer.headers.get_content_type(), answer.read())
        except urllib.error.HTTPError as error:
            refusal = Answer(error.code, error.headers.get_content_type(), error.read())
            if error.code != 503 or LACKED in refusal.body or time.monotonic() > deadline:
                return refusal
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"FAILED: {url} does not answer: {error}")
        time.sleep(0.5)


def expect(truth: bool, what: str, otherwise: str) -> None:
    """Prints what holds, or ends the test with what was found instead."""
    if not truth:
        sys.exit(f"FAILED: {what}: {otherwise}")
    print(f"ok: {what}", flush=True)


def picture() -> bytes:
    """A dark stroke on white: a photograph to one model, a character to another."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).line([(20, 20), (76, 30), (40, 80)], fill="black", width=9)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def check_ready(service: str) -> list[str]:
    """The names of the models that are ready; there must be one."""
    answer = ask(f"{service}/readyz")
    expect(answer.status == 200, "the service is ready", answer.told())
    models = json.loads(answer.body)["models"]
    for name, state in models.items():
        if state == "unavailable":
            print(f"NOTE: {name} is {state}; the log of a pod that has models says why.", flush=True)
    # What is on its way comes with the first worker; a picture wakes one.
    return [name for name, state in models.items() if state != "unavailable"]


def check_answer(service: str, model: str) -> None:
    """A picture gets labels with probabilities, or its cut-out."""
    answer = ask(f"{service}/v1/models/{model}/predict", picture())
    if LACKED in answer.body:  # with a queue this is known once there is a worker
        print(f"NOTE: {model} is unavailable: {answer.told()}", flush=True)
        return
    expect(answer.status == 200, f"{model} answers", answer.told())
    if answer.media_type == "image/png":
        size = Image.open(io.BytesIO(answer.body)).size
        expect(size == (SIDE, SIDE), f"{model}: a cut-out as large as the picture", str(size))
        return
    first = json.loads(answer.body)["results"][0]["predictions"][0]
    expect(0 < first["probability"] <= 1, f"{model}: {first['label']}", answer.told())


def check_door(service: str, model: str) -> None:
    """Nobody gets in without a key, or with one that is not known."""
    for key, who in ((None, "no key"), ("hg_unknown", "an unknown key")):
        answer = ask(f"{service}/v1/models/{model}/predict", picture(), key)
        expect(answer.status == 401, f"{who} is refused", answer.told())


def check_job(service: str, model: str) -> None:
    """A picture that is accepted is done."""
    accepted = ask(f"{service}/v1/jobs?model={model}", picture())
    expect(accepted.status == 202, f"{model} takes a job", accepted.told())
    job = json.loads(accepted.body)["jobs"][0]["id"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    result = ask(f"{service}/v1/jobs/{job}/result")
    while result.status == 202 and time.monotonic() < deadline:
        time.sleep(0.2)
        result = ask(f"{service}/v1/jobs/{job}/result")
    expect(result.status == 200, f"{model} has done it", result.told())


def main() -> None:
    """The whole test."""
    service, operations = os.environ["SERVICE"], os.environ["OPERATIONS"]
    ready = check_ready(service)
    if os.environ["KEYS_ASKED"] == "true":
        check_door(service, ready[0])
    else:
        for model in ready:
            check_answer(service, model)
        if os.environ["TAKES_JOBS"] == "true":
            check_job(service, ready[0])
    metrics = ask(f"{operations}/metrics")
    expect(metrics.status == 200 and b"heliograph_" in metrics.body, "metrics are there", metrics.told())


main()
