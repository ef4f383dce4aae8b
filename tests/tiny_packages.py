"""Small model packages for tests, written the way a person would write them."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS = b"weights of a tiny model" * 100
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()

MODEL = """\
format = 1
name = "{name}"
version = "1"
task = "background-removal"
title = "Tiny"
description = "A model for tests."
licence = "Apache-2.0"
homepage = "https://example.org/"

[input]
width = 8
height = 8
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]

[output]
meaning = "matte"

[[variants]]
precision = "fp32"
file = "tiny.onnx"
sha256 = "{sha256}"
size_bytes = {size}
"""

CLASSIFIER = (
    MODEL.replace("background-removal", "classification")
    .replace("matte", "logits")
    .replace(
        'homepage = "https://example.org/"\n', 'homepage = "https://example.org/"\nlabels = "labels.txt"\n'
    )
)

BUNDLED = '\n[[variants.sources]]\nkind = "bundled"\n'


def source(kind: str, **values: str) -> str:
    """A ``[[variants.sources]]`` table."""
    lines = [f'{key} = "{value}"' for key, value in {"kind": kind, **values}.items()]
    return "\n[[variants.sources]]\n" + "\n".join(lines) + "\n"


def write_package(
    folder: Path, text: str = MODEL, *, name: str = "tiny", weights: bytes = WEIGHTS, more: str = ""
) -> Path:
    """The folder of a new package below ``folder``; it says what the weights are and does not have them."""
    package = folder / name
    package.mkdir(parents=True)
    sha256 = hashlib.sha256(weights).hexdigest()
    (package / "model.toml").write_text(text.format(name=name, sha256=sha256, size=len(weights)) + more)
    return package
