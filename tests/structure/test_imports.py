"""The layers hold, and what must start quickly imports little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in result.stdout.split()}


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(ROOT / ".importlinter")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("statement", ["import heliograph", "import heliograph.cli.app"])
def test_what_starts_quickly_imports_little(statement: str) -> None:
    heavy = {"cv2", "numpy", "onnxruntime", "openvino", "pydantic", "starlette", "PIL", "fastapi"}
    assert not imported_by(statement) & heavy


def test_serving_does_without_fastapi_onnx_and_training() -> None:
    statement = "import heliograph.bootstrap.serve, heliograph.api.app, heliograph.api.server"
    assert not imported_by(statement) & {"fastapi", "onnx", "keras", "tensorflow", "openvino"}


def test_a_worker_has_no_web_framework_and_serving_no_client_of_a_queue() -> None:
    web = {"starlette", "fastapi", "uvicorn", "httptools", "python_multipart"}
    assert not imported_by("import heliograph.bootstrap.worker") & web
    assert "redis" not in imported_by("import heliograph.bootstrap.serve")
