"""What the image is built from: one version, every file let in, the pins of `make serve`, weights or a reason."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from heliograph import __version__

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def bake(tmp_path: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "bake_models.py"), "--store", str(tmp_path / "store")]
    return subprocess.run(
        [*command, "--mirror", str(tmp_path), *names], capture_output=True, text=True, check=False
    )


def test_the_image_has_the_version_of_the_source() -> None:
    assert f"\nARG VERSION={__version__}\n" in DOCKERFILE


def test_every_file_that_is_copied_exists_and_is_let_in() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for group in copied for source in group.split()]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in let_in), source


def pins(name: str) -> dict[str, str]:
    """The version of each package in a requirement file."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


def test_the_image_has_the_pins_of_make_serve_and_those_of_the_clusters_client_as_tested() -> None:
    image, serve, build, dev = (pins(f"{name}.txt") for name in ("image", "serve", "image-build", "dev"))
    assert serve.items() < build.items()
    assert image.items() <= (dev | serve).items()
    assert {"lightkube", "lightkube-models", "msgspec"} <= image.keys() - serve.keys()


def test_a_model_that_ships_needs_no_source(tmp_path: Path) -> None:
    baked = bake(tmp_path, "kmnist")
    assert (baked.returncode, baked.stdout) == (0, "kmnist: kmnist.onnx, 941,450 bytes\n")


def test_a_named_model_that_cannot_be_had_fails_the_build(tmp_path: Path) -> None:
    baked = bake(tmp_path, "kmnist", "no-such-model")
    assert baked.returncode == 1
    assert "no-such-model: NOT in this image." in baked.stdout
    assert "weights/" in baked.stdout


def test_weights_in_the_folder_are_baked(tmp_path: Path, data_folder: Path) -> None:
    (tmp_path / "u2netp_fp16w.onnx").symlink_to(data_folder / "u2net" / "u2netp_fp16w.onnx")
    assert bake(tmp_path, "u2netp-fp16").returncode == 0
    found = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert found == ["u2netp_fp16w.onnx"]
