"""Reads values out of parsed TOML; every mistake is an error that names the file and the key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NoReturn, TypeVar

from heliograph.core import errors

Choice = TypeVar("Choice", bound=StrEnum)
TEXT_CHARACTERS = 2_000


class Table:
    """One table of a TOML file. Each key is read once; `finish` refuses those that nobody read.

    Every method raises `ModelInvalid` for a value that is missing, of the wrong type or out of range.
    """

    def __init__(self, values: Mapping[str, object], *, file: str, prefix: str = "") -> None:
        self._values = dict(values)
        self._file = file
        self._prefix = prefix

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raises the error for ``key``."""
        raise errors.ModelInvalid(f"{self._file}: {self._prefix}{errors.excerpt(key)} {problem}.")

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        pattern: re.Pattern[str] | None = None,
        lines: bool = False,
    ) -> str:
        """A text of 1 to 2,000 printable characters, matched whole by ``pattern``."""
        if default is not None and key not in self._values:
            return default
        value = self._take(key)
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_CHARACTERS:
            self.fail(key, f"must be a text of 1 to {TEXT_CHARACTERS:,} characters")
        if not (value.replace("\n", " ") if lines else value).isprintable():
            self.fail(key, "has characters that cannot be printed")
        if pattern is not None and not pattern.fullmatch(value):
            self.fail(key, f"is {errors.excerpt(value)!r}, which is not allowed here")
        return value

    def choice(self, key: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        """One of the values of ``kind``."""
        if default is not None and key not in self._values:
            return default
        value = self._take(key)
        member = next((member for member in kind if member.value == value), None)
        if member is None:
            self.fail(key, f"must be one of {', '.join(member.value for member in kind)}")
        return member

    def whole(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        if default is not None and key not in self._values:
            return default
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(key, f"must be a whole number from {low:,} to {high:,}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        if default is not None and key not in self._values:
            return default
        return self._number(key, self._take(key))

    def numbers(self, key: str, *, count: int) -> tuple[float, ...]:
        """``count`` finite numbers."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) != count:
            self.fail(key, f"must be a list of {count} {'number' if count == 1 else 'numbers'}")
        return tuple(self._number(key, item) for item in value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            self.fail(key, "must be true or false")
        return value

    def table(self, key: str) -> Table:
        """The table under ``key``."""
        value = self._take(key)
        if not isinstance(value, dict):
            self.fail(key, "must be a table")
        return Table(value, file=self._file, prefix=f"{self._prefix}{key}.")

    def tables(self, key: str, *, most: int) -> list[Table]:
        """The array of tables under ``key``, empty where there is none."""
        value = self._values.pop(key, [])
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(item, dict) for item in value)
        ):
            self.fail(key, f"must be at most {most} tables")
        return [
            Table(item, file=self._file, prefix=f"{self._prefix}{key}[{position}].")
            for position, item in enumerate(value)
        ]

    def finish(self) -> None:
        """Raises `ModelInvalid` for keys that were not read."""
        for key in self._values:
            self.fail(key, "is not a known key")

    def _take(self, key: str) -> object:
        if key not in self._values:
            self.fail(key, "is missing")
        return self._values.pop(key)

    def _number(self, key: str, value: object) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(_as_float(value))
        ):
            self.fail(key, "must be a finite number")
        return float(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
