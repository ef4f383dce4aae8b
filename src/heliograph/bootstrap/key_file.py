"""The file of API keys, read again when it has changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from heliograph.core import errors
from heliograph.serving.access import ApiKey, parse_keys

log = logging.getLogger(__name__)


class KeyFile:
    """The keys of a file, and those that it has later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()

    def read(self) -> tuple[ApiKey, ...]:
        """The keys that are there now.

        Raises:
            SettingsInvalid: the file cannot be read, or a line of it is no key.
        """
        self._seen = self._stamp()
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.SettingsInvalid(
                f"HELIOGRAPH_API_KEYS_FILE: cannot read {self._path}: {errors.excerpt(error)}"
            ) from None
        return parse_keys(text, origin=str(self._path))

    def renewed(self) -> Sequence[ApiKey] | None:
        """The keys if the file has changed since it was read; None if not, or if it is broken, which the log tells."""
        if self._stamp() == self._seen:
            return None
        try:
            keys = self.read()
        except errors.SettingsInvalid as error:
            log.warning("keys kept as they were", extra={"problem": error.message})
            return None
        log.info("keys read again", extra={"keys": len(keys)})
        return keys

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino
