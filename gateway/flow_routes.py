"""`/v1/flows`: the limits of flows and of whole channels, set while everything runs."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request, Response
from msgspec import Meta, Struct

from agents.ports import Clock, LogBrokenError
from gateway.answers import json_response
from gateway.keys import Caller
from gateway.openapi import Shown, described
from gateway.problems import ProblemError, invalid
from gateway.requests import decoded, read_body
from gateway.windows import told
from schemas.flow_limits import FlowLimits, flow_key_fault
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import Fault
from topology.settings_table import SettingsTable
from topology.windows_view import WindowsView

logger = structlog.get_logger(__name__)
Key = Annotated[str, Path(description="the flow, or `channel:<name>` for a whole channel")]


class FlowView(FlowLimits, frozen=True, kw_only=True, omit_defaults=False):
    """The limits of a flow as they are set."""

    key: str
    set_at: datetime
    held_back: Annotated[
        int | None, Meta(description="messages that are due and wait for the end of a pause, as of some seconds ago")
    ] = None


class FlowsView(Struct, frozen=True, kw_only=True):
    """All flows that have limits, in order of their keys."""

    flows: tuple[FlowView, ...]


NEW = {"rate": 10, "per": "PT1S", "burst": 1, "parallelism": 4, "note": "the network allows 600 a minute"}
VIEW = NEW | {
    "paused": False,
    "honours_key": None,
    "timeout": None,
    "webhook_secrets": [],
    "key": "acme",
    "set_at": "2026-11-24T09:12:44.120Z",
    "held_back": 0,
}
SET = described(
    "admin",
    {200: Shown("set: it holds for what is sent within about 100 ms", FlowView, VIEW)},
    (400, 413, 422, 503),
    asked=Shown("the limits, all of them: what is left out is no limit", FlowLimits, NEW),
)
SHOW = described("read", {200: Shown("found", FlowView, VIEW)}, (404, 503))
LIST = described("read", {200: Shown("all that have limits", FlowsView, {"flows": [VIEW]})}, (503,))
REMOVE = described("admin", {200: Shown("removed: it has no limits any more", FlowView, VIEW)}, (404, 503))


def flows_router(table: SettingsTable, owners: WindowsView, clock: Clock) -> APIRouter:
    """Set, show, list and remove limits."""
    router = APIRouter(prefix="/v1/flows", tags=["flows"])

    @router.get("", summary="List the flows that have limits", **LIST)
    async def list_flows() -> Response:
        """A flow that is not listed has none: its messages go when they are due."""
        held = await _held_back(owners)
        found = sorted(table.all(Flow).values(), key=lambda flow: flow.key)
        return json_response(FlowsView(flows=tuple(_view(flow, held[flow.key]) for flow in found)))

    @router.get("/{key:path}", summary="The limits of a flow", **SHOW)
    async def show(key: Key) -> Response:
        """404 where none are set."""
        flow = _found(table, key)
        return json_response(_view(flow, (await _held_back(owners))[key]))

    @router.put("/{key:path}", summary="Set the limits of a flow", **SET)
    async def put(request: Request, key: Key) -> Response:
        """`rate` sends in each `per`, `burst` at once after a rest, `parallelism` under way; `paused`: none.

        Messages over the rate go back to the timetable with a slot of their own and can be edited until then. Where
        a rate is raised or removed, what waits for its slots gets others at once. A URL of the flow that said 410 Gone is tried again.
        """
        fault = flow_key_fault(key)
        if fault:
            raise invalid(Fault("key", *fault.split(": ", 1)))
        limits: FlowLimits = decoded(await read_body(request), FlowLimits)
        flow = Flow(key=key, limits=limits, set_at=at(clock.now_ms()))
        await _written(table.put(flow), key)
        _audit("flow_set", key, request)
        return json_response(_view(flow))

    @router.delete("/{key:path}", summary="Remove the limits of a flow", **REMOVE)
    async def remove(request: Request, key: Key) -> Response:
        """What was paused goes on."""
        flow = _found(table, key)
        await _written(table.remove(Flow, key), key)
        _audit("flow_removed", key, request)
        return json_response(_view(flow))

    return router


def _view(flow: Flow, held_back: int | None = None) -> FlowView:
    limits = {name: getattr(flow.limits, name) for name in FlowLimits.__struct_fields__}
    return FlowView(**limits, key=flow.key, set_at=flow.set_at, held_back=held_back)


async def _held_back(owners: WindowsView) -> Counter[str]:
    """By key: what all owners told of it."""
    held: Counter[str] = Counter()
    for owner in (await told(owners.owners())).values():
        held.update(owner.paused)
    return held


def _found(table: SettingsTable, key: str) -> Flow:
    flow = table.get(Flow, key)
    if flow is None:
        detail = f"no limits are set for {key!r}: its messages go when they are due; PUT sets some"
        raise ProblemError(404, "not_found", "No such flow", detail)
    return flow


async def _written(writing: Any, key: str) -> None:
    try:
        await writing
    except LogBrokenError as fault:
        detail = f"it may or may not have been written ({fault}): look at GET /v1/flows/{key}, then send it again"
        raise ProblemError(503, "unavailable", "Not now", detail, headers={"Retry-After": "1"}) from None


def _audit(event: str, key: str, request: Request) -> None:
    caller: Caller = request.state.caller
    logger.info(event, key=key, by=caller.name)
