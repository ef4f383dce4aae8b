"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Pictures: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="PICTURE", help="Files, folders (searched whole), or - for standard input."),
]
Model: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Model to ask; the task's default without it.")
]
Server: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Ask this running service, such as http://localhost:8000, not this process."
    ),
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="HELIOGRAPH_API_KEY", show_envvar=False, help="The service's API key [HELIOGRAPH_API_KEY]."
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line and picture.")]
RedisUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Redis or Valkey behind the queue, 7.0 or later [HELIOGRAPH_REDIS_URL]."
    ),
]
