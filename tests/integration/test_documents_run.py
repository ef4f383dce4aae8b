"""Every command block of the README and the docs runs, against a real server with real models.

A block after ``<!-- untested: why -->`` is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from service import Service

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(
    r"(?P<untested><!-- untested: .+? -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    page: Path
    number: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}-{self.number}"


def blocks() -> list[Block]:
    return [
        Block(page, number, match["language"], match["code"])
        for page in PAGES
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1)
        if match["language"] in ("sh", "python") and match["untested"] is None
    ]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """The checkout as a reader has it, with the samples, in a folder where commands may write."""
    folder = tmp_path_factory.mktemp("clone")
    for entry in ROOT.iterdir():
        if entry.name not in (".git", ".venv", "samples"):
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "samples").symlink_to(samples)
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return folder


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_block_runs(block: Block, clone: Path, service: Service) -> None:
    code = block.code.replace("localhost:8000", f"localhost:{service.port}")
    if block.language == "python":
        run([sys.executable, "-c", code], clone, service)
        return
    for command in code.replace("\\\n", " ").splitlines():
        if command.startswith("make "):
            continue  # targets may install; CI runs them in a real clone
        result = run(["sh", "-c", command], clone, service, check=False)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def run(
    command: list[str], folder: Path, service: Service, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    environment = {**service.environment, "CURL_HOME": str(folder)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_there_are_blocks_to_run() -> None:
    assert len(blocks()) >= 10
