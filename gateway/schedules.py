"""`/v1/schedules`: recurring definitions. Each request is a command, answered by the schedule's owner."""

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import Raw

from agents.ports import Clock
from gateway.answers import json_response
from gateway.asking import ask
from gateway.messages import Key, Match
from gateway.problems import invalid
from gateway.requests import check_id, decoded, read_body, read_key, read_revision
from gateway.schedule_answers import accepted, changed_response, looked, occurrences_response, triggered_response
from gateway.schedule_docs import (
    ADD,
    BACKFILL,
    EDIT,
    LIST,
    LOOK,
    OCCURRENCES,
    PAUSE,
    PREVIEW,
    REMOVE,
    RESUME,
    TRIGGER,
)
from gateway.schedule_list import list_schedules
from gateway.schedule_requests import Backfill, NewSchedule, Pause
from schemas.ids import id_fault
from schemas.preview import Preview, preview
from schemas.schedule_commands import (
    LIST_MAX,
    ScheduleBackfill,
    ScheduleEdit,
    ScheduleLook,
    SchedulePause,
    SchedulePut,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)
from schemas.times import at
from schemas.wire import Fault
from topology.commander import Commander

Id = Annotated[str, Path(description="the schedule's id")]


def schedules_router(commander: Commander, partitions: int, clock: Clock) -> APIRouter:
    """Preview, make, read, change and remove schedules; run them by hand."""
    router = APIRouter(prefix="/v1/schedules", tags=["schedules"])
    _add_reading(router, commander, partitions, clock)
    _add_changing(router, commander)
    _add_actions(router, commander)
    return router


def _add_reading(router: APIRouter, commander: Commander, partitions: int, clock: Clock) -> None:
    @router.post("/preview", summary="What a recurrence would give", **PREVIEW)
    async def show_preview(request: Request) -> Response:
        """UTC instants, local times beside them. Nothing is stored, and no schedule needs to be there."""
        asked: Preview = decoded(await read_body(request), Preview)
        return json_response(preview(asked, at(clock.now_ms())))

    @router.get("", summary="List schedules", **LIST)
    async def list_all(
        cursor: Annotated[str, Query(description="of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
    ) -> Response:
        """In the order of ids, from their owners: it shows what was accepted before, at once."""
        return json_response(await list_schedules(commander, partitions, cursor, limit))

    @router.get(
        "/{schedule_id:path}/occurrences", summary="What happened to its runs, and those to come", **OCCURRENCES
    )
    async def occurrences(schedule_id: Id) -> Response:
        """The newest 50 of the past: sent, late, missed, skipped, cancelled, failed, and why. All of them are in events."""
        command = ScheduleLook(command_id=str(uuid4()), id=check_id(schedule_id))
        return occurrences_response(await ask(commander, command))

    @router.get("/{schedule_id:path}", summary="All that is known of a schedule", **LOOK)
    async def look(schedule_id: Id) -> Response:
        """Its definition, exceptions, what it did and what it will do."""
        command = ScheduleLook(command_id=str(uuid4()), id=check_id(schedule_id))
        return looked(await ask(commander, command))


def _add_changing(router: APIRouter, commander: Commander) -> None:
    @router.post("", status_code=201, summary="Make a schedule", **ADD)
    async def add(request: Request, _key: Key = None) -> Response:
        """The same id (or Idempotency-Key) and definition again gives 200 and the same answer, another 409."""
        key, body = read_key(request), await read_body(request)
        new: NewSchedule = decoded(body, NewSchedule)
        schedule_id = new.id or key.message_id()
        fault = id_fault(schedule_id)
        if fault:
            problem, _, remedy = fault.partition(": ")
            raise invalid(Fault("id", problem, remedy))
        command_id = key.command_id("SCHEDULE", schedule_id, body)
        command = SchedulePut(command_id=command_id, id=schedule_id, definition=new.definition())
        answer = await ask(commander, command)
        return changed_response(answer, 200 if answer.repeated else 201)

    @router.patch("/{schedule_id:path}", summary="Change a schedule", **EDIT)
    async def edit(request: Request, schedule_id: Id, _key: Key = None, _match: Match = None) -> Response:
        """What is left out stays, null takes a member away. Runs that were not handed over yet are replaced."""
        key, revision, body = read_key(request), read_revision(request), await read_body(request)
        changes: dict[str, Any] = decoded(body, dict[str, Raw])
        if not changes:
            raise invalid(Fault("", "changes nothing", "give at least one member, as note or recurrence"))
        command = ScheduleEdit(
            command_id=key.command_id("SCHEDULE-PATCH", check_id(schedule_id), body + str(revision).encode()),
            id=schedule_id,
            changes={name: Raw(msgspec.json.format(value, indent=-1)) for name, value in changes.items()},
            if_revision=revision,
        )
        return changed_response(await ask(commander, command))

    @router.delete("/{schedule_id:path}", summary="Remove a schedule", **REMOVE)
    async def remove(request: Request, schedule_id: Id, _key: Key = None) -> Response:
        """Runs that were not handed over yet are cancelled. Again: 200."""
        command_id = read_key(request).command_id("SCHEDULE-DELETE", check_id(schedule_id), b"")
        return changed_response(await ask(commander, ScheduleRemove(command_id=command_id, id=schedule_id)))


def _add_actions(router: APIRouter, commander: Commander) -> None:
    @router.post("/{schedule_id:path}/pause", summary="Pause a schedule", **PAUSE)
    async def pause(request: Request, schedule_id: Id, _key: Key = None) -> Response:
        """With a note, if you like. Runs that were not handed over yet are taken back; a trigger still runs."""
        key, body = read_key(request), await read_body(request)
        asked: Pause = decoded(body, Pause) if body else Pause()
        command_id = key.command_id("SCHEDULE-PAUSE", check_id(schedule_id), body)
        return changed_response(
            await ask(commander, SchedulePause(command_id=command_id, id=schedule_id, note=asked.note))
        )

    @router.post("/{schedule_id:path}/resume", summary="Resume a schedule", **RESUME)
    async def resume(request: Request, schedule_id: Id, _key: Key = None) -> Response:
        """What was missed meanwhile is treated as after an outage: see `missed` and `catch_up`."""
        command_id = read_key(request).command_id("SCHEDULE-RESUME", check_id(schedule_id), b"")
        return changed_response(await ask(commander, ScheduleResume(command_id=command_id, id=schedule_id)))

    @router.post("/{schedule_id:path}/trigger", summary="Run a schedule once, now", **TRIGGER)
    async def trigger(request: Request, schedule_id: Id, _key: Key = None) -> Response:
        """Whatever else is planned, and even when it is paused. The answer has the run's id."""
        command_id = read_key(request).command_id("SCHEDULE-TRIGGER", check_id(schedule_id), b"")
        return triggered_response(await ask(commander, ScheduleTrigger(command_id=command_id, id=schedule_id)))

    @router.post("/{schedule_id:path}/backfill", summary="Run what never ran of a past period", **BACKFILL)
    async def backfill(request: Request, schedule_id: Id, _key: Key = None) -> Response:
        """What was sent, failed or cancelled is not run again. At most 1,000 runs at a time."""
        key, body = read_key(request), await read_body(request)
        asked: Backfill = decoded(body, Backfill)
        command = ScheduleBackfill(
            command_id=key.command_id("SCHEDULE-BACKFILL", check_id(schedule_id), body),
            id=schedule_id,
            since=asked.from_,
            until=asked.to,
        )
        answer = await ask(commander, command)
        made = accepted(answer).detail.partition(" ")[0]
        return changed_response(answer, runs=int(made))
