"""Settings from the environment, `CLEPSYDRA_*`. All faults are reported at once."""

import base64
import binascii
import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from topology.kafka_security import KafkaSecurity

ENV_PREFIX = "CLEPSYDRA_"
SECRET_PREFIX = "whsec_"  # noqa: S105  a prefix, no secret


class SettingsError(Exception):
    """Some settings cannot be used; `faults` has one line for each: the variable, what is wrong, what is allowed."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = faults


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "clepsydra"


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    """A number of seconds, or an ISO 8601 duration."""
    if not isinstance(value, str):
        return value
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        pass
    try:
        return msgspec.convert(value, timedelta)
    except msgspec.ValidationError:
        raise ValueError("is neither a number of seconds nor an ISO 8601 duration such as PT24H") from None


def _host_port(value: str) -> str:
    return _brokers(value) if "," not in value else _brokers(",")


def _brokers(value: str) -> str:
    for broker in value.split(","):
        host, sep, port = broker.strip().rpartition(":")
        if not (host and sep and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{broker.strip()!r} is not host:port")
    return ",".join(broker.strip() for broker in value.split(","))


def _webhook_secret(value: SecretStr) -> SecretStr:
    for text in value.get_secret_value().split():
        try:
            size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not text.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
            raise ValueError("is not whsec_ and the base64 of 24 to 64 bytes")
    return value


def _allow_private(value: Any) -> Any:
    """`true`, `false`, or networks with commas."""
    if not isinstance(value, str) or value.strip().lower() in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        return value
    networks = _split(value)
    for network in networks:
        try:
            ip_network(network)
        except ValueError as fault:
            raise ValueError(str(fault)) from None
    return networks


def _postgres(value: str) -> str:
    if not value.startswith(("postgres://", "postgresql://")):
        raise ValueError("is not a postgresql:// address")
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(KafkaSecurity, BaseSettings):
    """How one process is set up. Each description names the unit and the allowed range; errors repeat it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    brokers: Annotated[str, AfterValidator(_brokers)] = Field(
        "127.0.0.1:9092", description="host:port, several with commas"
    )
    prefix: str = Field(
        "clepsydra.",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="before each topic's name: 1 to 100 of A-Z a-z 0-9 . _ -",
    )
    postgres: Annotated[str, AfterValidator(_postgres)] | None = Field(
        None, description="postgresql://user@host/database"
    )
    archive_retention: Duration = Field(
        timedelta(days=396),
        ge=timedelta(days=31),
        le=timedelta(days=3660),
        description="seconds or ISO 8601 duration, 31 days to 10 years",
    )
    archive_bodies: bool = Field(
        True,  # noqa: FBT003  a field's default
        description="true or false: whether the archive keeps bodies",
    )
    data: Path = Field(default_factory=_data_home, description="a directory that can be written to")
    api_key: SecretStr | None = Field(None, min_length=16, description="at least 16 characters")
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = Field(
        None, description="whsec_ and the base64 of 24 to 64 bytes; two with a space between while one replaces another"
    )
    webhook_allow_private: Annotated[bool | tuple[str, ...], NoDecode, BeforeValidator(_allow_private)] = Field(
        False,  # noqa: FBT003  a field's default
        description="true, false, or networks with commas: whether webhooks may go to addresses that are not public",
    )
    secrets_dir: Path | None = Field(None, description="a directory with one file for each secret, named as it is")
    email_server: Annotated[str, AfterValidator(_host_port)] | None = Field(
        None, description="host:port of a mail server, as smtp.example.com:587"
    )
    email_tls: Annotated[Literal["starttls", "tls", "none"], BeforeValidator(str.lower)] = Field(
        "starttls", description="starttls (port 587), tls (port 465) or none"
    )
    email_user: str | None = Field(None, min_length=1, description="the user to log in as")
    email_password: SecretStr | None = Field(None, min_length=1, description="the user's password")
    email_from: str | None = Field(None, pattern=r"^.*@.*$", description="who emails are from, as news@example.com")
    email_ca: Path | None = Field(None, description="a file of certificates to trust; else those of the system")
    apprise_schemes: Names = Field((), description="networks that apprise may use, as slack,tgram")
    kafka_topics: Names = Field((), description="topics that the kafka channel may write to, with commas")
    partitions: int = Field(4, ge=1, le=1024, description="partitions, 1 to 1024, fixed for the life of a prefix")
    due_partitions: int = Field(
        default_factory=lambda data: data.get("partitions", 4),
        ge=1,
        le=1024,
        description="partitions of due and outcomes topics, 1 to 1024",
    )
    replication: int = Field(1, ge=1, le=10, description="replicas of each topic, 1 to 10; 3 in production")
    session_timeout: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=5),
        description="seconds or ISO 8601 duration, 1 s to 5 min",
    )
    request_timeout: Duration = Field(
        timedelta(seconds=40),
        ge=timedelta(seconds=2),
        le=timedelta(minutes=5),
        description="seconds or ISO 8601 duration, 2 s to 5 min",
    )
    commit_interval: Duration = Field(
        timedelta(seconds=0.3),
        ge=timedelta(seconds=0.05),
        le=timedelta(seconds=10),
        description="seconds or ISO 8601 duration, 0.05 to 10 s",
    )
    max_in_flight: int = Field(25_000, ge=1, le=100_000, description="messages per channel and partition, 1 to 100000")
    idempotency_window: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=30),
        description="seconds or ISO 8601 duration, 1 min to 30 days",
    )
    look_ahead: Duration = Field(
        timedelta(minutes=2),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="seconds or ISO 8601 duration, 1 s to 1 h",
    )
    schedule_horizon: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(days=31),
        description="seconds or ISO 8601 duration, 1 s to 31 days",
    )
    host: str = Field("127.0.0.1", min_length=1, description="the address that servers bind to")
    port: int = Field(8080, ge=0, le=65535, description="the port of the HTTP API, 0 to 65535")
    health_port: int | None = Field(
        None, ge=0, le=65535, description="the port of a worker's /healthz, /readyz and /metrics, 0: any free one"
    )
    request_rate: int = Field(
        2_000, ge=1, le=1_000_000, description="requests per second of one API key at one gateway, 1 to 1000000"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = Field(
        "info", description="debug, info, warning or error"
    )
    instance: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="1 to 100 of A-Z a-z 0-9 . _ -, one process each"
    )


def load_settings(**flags: Any) -> Settings:
    """The settings of the environment, overridden by what flags gave (None: not given). Raises SettingsError."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        faults = tuple(
            _fault(str(fault["loc"][0]), fault["msg"])
            for fault in error.errors()
            if fault["type"] != "default_factory_not_called"  # due_partitions, where partitions has a fault
        )
        raise SettingsError(faults) from None


def _fault(field: str, problem: str) -> str:
    known = Settings.model_fields.get(field)
    allowed = known.description if known is not None else f"no such setting; known: {', '.join(Settings.model_fields)}"
    return f"{ENV_PREFIX}{field.upper()}: {problem.removeprefix('Value error, ')} (allowed: {allowed})"
