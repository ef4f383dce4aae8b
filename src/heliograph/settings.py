"""Every setting, once: group, unit, default, reason. Read by ``bootstrap`` and ``cli`` only.

A setting ``max_in_flight`` is the environment variable ``HELIOGRAPH_MAX_IN_FLIGHT``.
``docs/settings.md`` is generated from this file.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from heliograph.core import errors
from heliograph.core.fleet import MAX_WORKERS
from heliograph.core.pictures import MEGABYTE, MEGAPIXEL

PREFIX = "HELIOGRAPH_"
OTHERS = re.compile(r"API_KEY|CHROMIUM|TEST_.*|(.*_)?SERVICE_(HOST|PORT).*|(.*_)?PORT(_\d+_.*)?")
"""Behind it: variables of the commands and tests, and what Kubernetes tells of services whose names begin so."""

Port = Annotated[int, Field(ge=0, le=65_535)]
Names = Annotated[tuple[str, ...], NoDecode]
Folders = Annotated[tuple[Path, ...], NoDecode]


class Auth(StrEnum):
    """Whether API keys are asked for."""

    AUTO = "auto"
    OFF = "off"


class EngineChoice(StrEnum):
    """Which runtime runs the models."""

    AUTO = "auto"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    PLAIN = "plain"


class LogLevel(StrEnum):
    """From which level on log lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def default_worker_name() -> str:
    """The host's name, as far as a header can carry it."""
    name = "".join(character for character in socket.gethostname() if "!" <= character <= "~")
    return name[:253] or "heliograph"


def default_model_dir() -> Path:
    """``$XDG_DATA_HOME/heliograph/models``, by default below ``~/.local/share``."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "heliograph" / "models"


class Settings(BaseSettings):
    """What an operator may choose. Groups are separated by comments, in the order of the docs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    # Network
    host: str = Field("127.0.0.1", description="Address to listen on. Only loopback works without API keys.")
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one.")
    ops_port: Port | None = Field(
        None,
        description="One more port for /livez, /readyz, /startupz and /metrics alone; none by default.",
    )
    worker_name: str = Field(
        default_factory=default_worker_name,
        pattern=r"^[\x21-\x7e]{1,253}$",
        description="How this process names itself in `Heliograph-Worker`; the host's name by default.",
    )
    keep_alive_seconds: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="How long an idle connection stays open; longer than proxies keep theirs.",
    )
    max_connections: int = Field(
        4096, ge=1, description="Connections open at the same time; one more is closed at once."
    )

    # Access
    auth: Auth = Field(
        Auth.AUTO,
        description="`auto`: keys are asked for once there are any, and there must be some unless the address is "
        "loopback. `off`: nobody is asked.",
    )
    api_keys_file: Path | None = Field(
        None, description="File with one hashed API key a line, as `heliograph keys create` prints it."
    )
    allowed_hosts: Names = Field(
        (),
        description="More names in the Host header that are answered on loopback without keys; comma-separated, "
        "`*` for all. Guards against DNS rebinding.",
    )

    # Models
    models: Names = Field(
        ("efficientnet-lite0", "kmnist", "silhouette", "*"),
        min_length=1,
        description="Models to serve, comma-separated, in the order in which they load. `*` stands for every package "
        "in the store: one that is added or removed while the service runs comes or goes within two seconds.",
    )
    classification_model: str = Field(
        "efficientnet-lite0",
        description="Model behind /classify; if it is not served, the first classification model that is.",
    )
    background_model: str = Field(
        "silhouette",
        description="Model behind /remove-background; if it is not served, the first background remover that is.",
    )
    model_dir: Path = Field(
        default_factory=default_model_dir,
        description="The store: where weights are kept. `$XDG_DATA_HOME/heliograph/models` by default.",
    )
    model_mirrors: Folders = Field(
        (),
        description=f"Folders that may already hold weights, separated by `{os.pathsep}`; tried before the network.",
    )

    # Speed
    engine: EngineChoice = Field(
        EngineChoice.AUTO,
        description="Runtime for the models. `auto` is ONNX Runtime; `openvino` needs the extra "
        "`heliograph[openvino]`.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads for decoding and for engines each. By default the CPU limit of the container, else the "
        "CPUs that this process may use; never the host's core count.",
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Largest batch; by default what each model's package recommends (1 to 4).",
    )
    max_wait_seconds: float = Field(
        0.005, ge=0, le=10, description="How long a picture waits for batch-mates while the engine is busy."
    )

    # Limits
    max_picture_bytes: int = Field(20 * MEGABYTE, ge=1, description="Bytes of one picture file.")
    max_picture_pixels: int = Field(50 * MEGAPIXEL, ge=1, description="Width × height of one picture.")
    max_picture_side: int = Field(16_384, ge=1, description="Pixels of a picture's longer side.")
    max_request_bytes: int = Field(64 * MEGABYTE, ge=1, description="Bytes of one request's body.")
    max_request_pictures: int = Field(64, ge=1, description="Pictures in one request.")
    max_in_flight: int = Field(
        64, ge=1, description="Requests in work at the same time; above that 503 with Retry-After."
    )
    max_upload_bytes: int = Field(
        256 * MEGABYTE,
        ge=1,
        description="Bytes of all request bodies, and of pictures on their way out, in memory together.",
    )
    max_decoded_pixels: int = Field(
        64 * MEGAPIXEL,
        ge=1,
        description="Pixels of all pictures in memory; pictures wait for room, larger ones until they are alone.",
    )
    request_timeout_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="From admission to the answer; then 504, or 503 if nothing had begun with it.",
    )
    upload_timeout_seconds: float = Field(
        60.0, gt=0, le=3600, description="For a request's body to arrive; then 408."
    )

    # Queue
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey, 7.0 or later, behind `gateway` and `worker`: `redis://`, `rediss://` or "
        "`unix://`, with user, password and database.",
    )
    redis_password: SecretStr | None = Field(
        None, description="Password for it, as it is, where the address has none."
    )
    queue: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the queue; several may lie on one server.",
    )
    jobs: bool = Field(
        True,
        description="Whether `serve` takes jobs into its memory; off where several processes stand behind one "
        "address without a queue.",
    )
    max_job_pictures: int = Field(500, ge=1, le=10_000, description="Pictures in one call of /v1/jobs.")
    max_queued_jobs: int = Field(
        100_000, ge=1, description="Jobs that may wait or run; above that 503 with Retry-After."
    )
    max_queued_bytes: int = Field(
        2_000 * MEGABYTE,
        ge=1,
        description="Bytes of the pictures of all jobs and of stored results. A server with a memory limit takes no "
        "more at 60 % of it.",
    )
    result_seconds: float = Field(3600.0, gt=0, description="How long a result is kept.")
    lease_seconds: float = Field(
        10.0,
        ge=1,
        le=600,
        description="After how long without a sign of its worker a job goes to another one; the same for all.",
    )
    blob_dir: Path | None = Field(
        None,
        description="Shared folder for the pictures and results of jobs; without it they lie in the queue's server.",
    )
    blob_owner: str = Field(
        "",
        max_length=200,
        description="Whose folder it is, where queues of the same name have folders of their own; it stands in the "
        "folder's mark.",
    )
    min_blob_bytes: int = Field(
        0, ge=0, description="What is smaller stays in the queue's server all the same."
    )
    max_event_streams: int = Field(256, ge=1, description="Streams of /v1/events open at the same time.")

    # Fleet
    workers: int = Field(2, ge=0, le=MAX_WORKERS, description="Workers that `heliograph up` runs.")
    finish_seconds: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="How long a worker that stops goes on with the jobs in its hands; what is left others get.",
    )
    fleet_socket: Path | None = Field(
        None, description="Unix socket of whoever runs the workers; `heliograph up` sets it."
    )
    fleet_selector: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9./_-]+=[A-Za-z0-9._-]*(,[A-Za-z0-9./_-]+=[A-Za-z0-9._-]*)*$",
        description="On Kubernetes, labels of the workers' pods as `name=value,…`; the Helm chart sets it.",
    )
    fleet_scaler: str | None = Field(
        None,
        description="What says how many pods there are: `hpa/NAME`, `scaledobject/NAME` or `deployment/NAME`; the "
        "Helm chart sets it.",
    )
    fleet_actions: bool = Field(
        False, description="Whether operators may stop pods and set their number through this gateway."
    )
    parent_pid: int | None = Field(
        None, description="Process with which this one ends; `heliograph up` sets it."
    )

    # Stopping
    drain_seconds: float = Field(
        0.2,
        ge=0,
        le=300,
        description="How long the listener goes on accepting after SIGTERM, so that load balancers notice. The Helm "
        "chart sets 5.",
    )

    # Logs
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="`auto`: plain on a terminal, else JSON, one object a line."
    )
    log_level: LogLevel = Field(LogLevel.INFO, description="From which level on lines are written.")

    @field_validator("models", "allowed_hosts", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
        return value

    @field_validator("model_mirrors", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part) for part in value.split(os.pathsep) if part)
        return value

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_settings(**overrides: object) -> Settings:
    """The settings of the environment, with ``overrides`` (those that are None left out) before them.

    Raises:
        SettingsInvalid: a value is not allowed; the message names the variable.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks the values itself
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'_'.join(str(part) for part in problem['loc'][:1]).upper()}: "
            f"{problem['msg']} (it is {errors.excerpt(repr(problem['input']))})"
            for problem in error.errors(include_url=False, include_context=False)
        ]
        raise errors.SettingsInvalid("\n".join(lines)) from None


def misspelt(environment: Iterable[str]) -> Mapping[str, str]:
    """Names of variables that look like settings and are none, each with the one that it may mean, or ""."""
    known = [name.upper() for name in Settings.model_fields]
    found = {}
    for name in environment:
        rest = name.upper().removeprefix(PREFIX)
        if name.upper() == rest or rest in known:
            continue
        like = get_close_matches(rest, known, n=1, cutoff=0.8)
        if like or not OTHERS.fullmatch(rest):
            found[name] = "".join(f"{PREFIX}{each}" for each in like)
    return found
