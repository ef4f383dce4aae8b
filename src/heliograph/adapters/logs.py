"""Log lines on standard error: plain for people, JSON for machines, the same fields in both."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TextIO

import structlog
from structlog.typing import Processor

OURS = "heliograph"
FOREIGN_LOGGERS = ("uvicorn", "asyncio", "PIL", "httpx2")


def set_up_logs(*, level: str, json: bool, stream: TextIO | None = None) -> None:
    """Sends what Heliograph logs from ``level`` on, and what libraries warn of, to standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_chain(json), processors=_renderers(json))
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.captureWarnings(True)


def _chain(json: bool) -> Sequence[Processor]:
    return (
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
    )


def _renderers(json: bool) -> Sequence[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if json:
        return (remove_meta, structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    return (remove_meta, _without_logger_name, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))


def _without_logger_name(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event.pop("logger", None)
    return event
