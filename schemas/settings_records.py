"""What is set at run time, by kind and key: the records of the topic `settings`, which every process reads whole.

A new kind is a struct here and a member of `Setting`. A process passes over kinds that it does not know; a kind or field
that older processes must not overlook is written with a higher version, which ends them.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.flow_limits import FlowLimits
from schemas.versions import version

Scope = Literal["read", "write", "admin"]
"""read: look and list; write: schedule, edit, cancel, act on; admin: these, keys and limits. write does not hold read."""


class _Setting(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    v: int = version()
    key: Annotated[str, Meta(min_length=1, max_length=300, description="names it among those of its kind")]


class ApiKey(_Setting, frozen=True, kw_only=True, tag="api_key"):
    """Who may use the API. What its holder sends is shown once and kept nowhere: `sha256` is enough to know it again."""

    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    ending: Annotated[str, Meta(description="the last characters of the key, for people to tell keys apart")]
    created_at: datetime
    expires_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether it is no longer good."""
        return self.expires_at is not None and self.expires_at <= now


class Flow(_Setting, frozen=True, kw_only=True, tag="flow"):
    """The limits of the flow `key`, or of a whole channel, `channel:<name>`."""

    limits: FlowLimits
    set_at: datetime


class StoppedEndpoint(_Setting, frozen=True, kw_only=True, tag="endpoint"):
    """A URL that said 410 Gone: nothing is sent there until `until`, or until its flow is set again."""

    url: Annotated[str, Meta(description="without its query")]
    flow: str | None = None
    at: datetime
    until: datetime


class OpenBreaker(Struct, frozen=True, kw_only=True):
    """An endpoint that has not answered since `since`, `failures` times in a row; it is tried again at `until`."""

    endpoint: str
    failures: int
    since: datetime
    until: datetime


class Breakers(_Setting, frozen=True, kw_only=True, tag="breakers"):
    """The open breakers of a channel in one courier, whom `key` names; `at`: told then, and again while any is open."""

    channel: str
    at: datetime
    open: Annotated[tuple[OpenBreaker, ...], Meta(description="the first 50, by name")]


Setting = ApiKey | Flow | StoppedEndpoint | Breakers


def kind_of(record: type[Struct]) -> str:
    """The kind of a record, as it is written."""
    return str(record.__struct_config__.tag)


def setting_key(record: type[Struct], key: str) -> str:
    """The key in the topic: `kind/key`."""
    return f"{kind_of(record)}/{key}"
