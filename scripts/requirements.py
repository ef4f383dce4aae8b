"""Compiles the pinned requirement files from pyproject.toml: every platform, hashes, no index addresses."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
OPTIONS = ("-q", "--universal", "--python-version", "3.11", "--generate-hashes")
QUIET = ("--no-emit-index-url", "--no-annotate", "--no-header")
SERVE = ("--extra", "convert", "--extra", "efficientnet-lite0", "--group", "build")
FILES: dict[str, tuple[str, ...]] = {
    "serve.txt": SERVE,
    "dev.txt": (*SERVE, "--extra", "openvino", "--extra", "k8s", "--group", "dev"),
    "browser.txt": ("--group", "browser"),
    "train.txt": ("--extra", "train"),
    "train-test.txt": ("--extra", "train", "--group", "train-test"),
    "image.txt": ("--extra", "k8s"),
    "image-build.txt": (*SERVE, "--group", "image"),
}


def compile_file(name: str, selection: tuple[str, ...]) -> None:
    """Writes one requirement file; what is pinned already stays unless ``--upgrade`` is given."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, *QUIET, "pyproject.toml", *selection]
    pinned = {"image.txt": ("dev.txt",), "image-build.txt": ("dev.txt",), "train-test.txt": ("train.txt",)}
    for tested in ("serve.txt", *pinned.get(name, ())):
        if name != tested:
            command += ["-c", str(without_hashes(FOLDER / tested))]
    subprocess.run([*command, *sys.argv[1:], "-o", str(FOLDER / name)], cwd=ROOT, check=True)


def without_hashes(path: Path) -> Path:
    """A temporary copy that can serve as a constraints file."""
    lines = [line.rstrip("\\").rstrip() for line in path.read_text().splitlines() if "--hash" not in line]
    copy = Path(tempfile.mkdtemp()) / path.name
    copy.write_text("\n".join(lines) + "\n")
    return copy


if __name__ == "__main__":
    for file, choice in FILES.items():
        compile_file(file, choice)
