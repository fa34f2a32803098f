"""`/v1/channels`: the ways to send that this installation has, and what is missing for others."""

import os
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from agents.channels import scan
from agents.channels.settings import ChannelFactory
from agents.ports import Channel, Clock
from gateway.answers import json_response
from gateway.openapi import Shown, described
from schemas.breaker_view import BreakerView, seen
from schemas.settings_records import Breakers
from topology.channel_settings import channel_settings
from topology.settings import ENV_PREFIX, Settings
from topology.settings_table import SettingsTable


class ChannelSetting(Struct, frozen=True, kw_only=True):
    """A setting that bears on a channel; `value` is never a secret, only whether there is one."""

    name: str
    value: str


class ChannelView(Struct, frozen=True, kw_only=True):
    """A channel as this gateway is set up. `missing`: what to do before it can be used; empty: it can."""

    name: str
    usable: bool
    missing: str = ""
    honours_key: bool | None = None
    timeout: timedelta | None = None
    concurrency: int | None = None
    retry_delays: tuple[timedelta, ...] = ()
    settings: tuple[ChannelSetting, ...] = ()
    breakers: tuple[BreakerView, ...] = ()
    """Endpoints that do not answer, as couriers tell: up to 50 of each."""


class ChannelsView(Struct, frozen=True, kw_only=True):
    """All channels, usable or not, in order of their names."""

    channels: tuple[ChannelView, ...]


VIEW = {
    "name": "webhook", "usable": True, "missing": "", "honours_key": True, "timeout": "PT15S", "concurrency": 256,
    "retry_delays": ["PT5S", "PT300S"], "settings": [{"name": "CLEPSYDRA_WEBHOOK_SECRET", "value": "set"}],
    "breakers": [{
        "endpoint": "https://example.com", "since": "2026-11-24T08:00:01.310Z",
        "tried_again_at": "2026-11-24T08:00:41.310Z", "failures": 8, "couriers": 1,
    }],
}  # fmt: skip
LIST = described("read", {200: Shown("all channels", ChannelsView, {"channels": [VIEW]})})


def channels_router(settings: Settings, table: SettingsTable, clock: Clock) -> APIRouter:
    """What can be sent with."""
    router = APIRouter(prefix="/v1/channels", tags=["flows"])
    set_up = channels(settings, clock)

    @router.get("", summary="The channels, what they are set to, and what is missing", **LIST)
    async def list_channels() -> Response:
        """As this gateway is set up; couriers may have other settings. A channel's limits: `/v1/flows/channel:NAME`.

        `breakers`: endpoints that do not answer, as of some seconds ago; their messages are put off until they do.
        """
        silent = seen(table.all(Breakers).values(), clock.now_ms())
        views = (replace(view, breakers=tuple(silent.get(view.name, ()))) for view in set_up)
        return json_response(ChannelsView(channels=tuple(views)))

    return router


def channels(settings: Settings, clock: Clock) -> list[ChannelView]:
    """Every channel that was found, and those that are off."""
    found, known = scan(), channel_settings(settings)
    views = []
    for factory in found.found.values():
        missing = factory.missing(known)
        views.append(_view(factory, factory(known, clock), missing, settings))
    off = [ChannelView(name=name, usable=False, missing=reason) for name, reason in found.off.items()]
    return sorted([*views, *off], key=lambda view: view.name)


def _view(factory: ChannelFactory, channel: Channel, missing: str, settings: Settings) -> ChannelView:
    return ChannelView(
        name=factory.name,
        usable=not missing,
        missing=missing,
        honours_key=channel.honours_key,
        timeout=timedelta(milliseconds=channel.timeout_ms),
        concurrency=channel.concurrency,
        retry_delays=tuple(timedelta(milliseconds=delay) for delay in channel.delays_ms),
        settings=tuple(_setting(name, settings) for name in factory.settings),
    )


def _setting(name: str, settings: Settings) -> ChannelSetting:
    """Ours with its value; one of another package's own only as set or not."""
    if name not in Settings.model_fields:
        return ChannelSetting(name=name, value="set" if os.environ.get(name) else "not set")
    value: Any = getattr(settings, name)
    if isinstance(value, SecretStr):
        shown = "set"
    elif value is None or value == ():
        shown = "not set"
    elif isinstance(value, tuple):
        shown = ",".join(map(str, value))
    else:
        shown = str(value).lower() if isinstance(value, bool) else str(value)
    return ChannelSetting(name=f"{ENV_PREFIX}{name.upper()}", value=shown)
