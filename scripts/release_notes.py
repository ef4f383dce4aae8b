"""Prints what CHANGELOG.md says of a version: ``release_notes.py v0.1.0``. The tag must be this source's version."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(r"^## (?P<version>\S+) \((?P<date>[^)]*)\)\n(?P<text>.*?)(?=^## |\Z)", re.M | re.S)


class NotReady(Exception):
    """This version cannot be released; the message says why."""


def notes(tag: str, version: str, changelog: str) -> str:
    """The section of the version that a tag names.

    Raises:
        NotReady: the tag is not that of the version, or the changelog does not tell of it, or not with a date.
    """
    if tag != f"v{version}":
        raise NotReady(f"The tag is {tag}, the version in src/heliograph/__init__.py is {version}.")
    for section in SECTION.finditer(changelog):
        if section["version"] != version:
            continue
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", section["date"]):
            raise NotReady(f"CHANGELOG.md says ({section['date']}) of {version}; put the date there.")
        return section["text"].strip() + "\n"
    raise NotReady(f"CHANGELOG.md has no section `## {version} (DATE)`.")


def main() -> int:
    """Prints the notes or why there are none; the exit status."""
    if len(sys.argv) != 2:
        print("Say which: release_notes.py TAG", file=sys.stderr)
        return 2
    source = (ROOT / "src" / "heliograph" / "__init__.py").read_text(encoding="utf-8")
    version = re.findall(r'^__version__ = "(.+)"$', source, re.M)[0]
    try:
        sys.stdout.write(notes(sys.argv[1], version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    except NotReady as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
