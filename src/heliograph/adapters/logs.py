"""Log lines on standard error: plain for people, JSON for machines, the same fields in both."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

OURS = "heliograph"
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class PlainFormatter(logging.Formatter):
    """Time, level, event, then the fields as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging names it so
        """The line without a traceback."""
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in STANDARD_FIELDS]
        return " ".join([super().formatMessage(record), *fields])


def set_up_logs(*, level: str, json: bool, stream: TextIO | None = None) -> None:
    """Sends what Heliograph logs from ``level`` on, and what libraries warn of, to standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(json_formatter() if json else PlainFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.getLogger("python_multipart").setLevel(
        logging.ERROR
    )  # else it tells of each client's broken body
    logging.captureWarnings(True)


def json_formatter() -> logging.Formatter:
    """One JSON object a line: event, level, logger, timestamp (UTC), and the fields."""
    return JsonFormatter(
        "%(message)s %(levelname)s %(name)s",
        rename_fields={"message": "event", "levelname": "level", "name": "logger"},
        timestamp=True,
        json_ensure_ascii=False,
    )
