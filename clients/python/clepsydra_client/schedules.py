"""Schedules: messages that recur, each run once."""

from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import quote

import httpx

from clepsydra_client.endpoints import Group, M, Pages, endpoint, listing, paged, read_one
from clepsydra_client.exchange import Call
from clepsydra_client.given import Definition, Fold, Gap, Moment, NewSchedule, Recurrence
from clepsydra_client.reading import read
from clepsydra_client.records import Preview, Schedule, ScheduleChange
from clepsydra_client.writing import encoded, message_json, query

SCHEDULES = "/v1/schedules"


class Schedules(Group[M]):
    """`client.schedules`. A run is a message with the id `<schedule>@<nominal time>`: look at it as at any other."""

    @endpoint
    def create(self, *, idempotency_key: str | None = None, **schedule: Unpack[NewSchedule]) -> Call[ScheduleChange]:
        """Make a schedule. The same id or key and definition again is the same one: `repeated` says so.

        Raises Conflict for an id that has another definition, Refused for a value that cannot be used.
        """
        return Call(method="POST", path=SCHEDULES, read=_created, content=_definition(schedule), key=idempotency_key)

    @endpoint
    def get(self, schedule_id: str) -> Call[Schedule]:
        """Its definition, what it did, and the next runs. Raises NotFound."""
        return Call(method="GET", path=_path(schedule_id), read=read_one(Schedule))

    @listing
    def list(self, *, limit: int | None = None) -> Pages[Schedule]:
        """All schedules in the order of their ids."""
        return paged(SCHEDULES, query({"limit": limit}), "schedules", Schedule)

    @endpoint
    def edit(
        self,
        schedule_id: str,
        *,
        if_match: int | None = None,
        idempotency_key: str | None = None,
        **changes: Unpack[Definition],
    ) -> Call[ScheduleChange]:
        """Change what is given, None takes a member away. Runs that were not handed over yet are replaced.

        `if_match`: only this revision. Raises RevisionMismatch, NotFound, Refused.
        """
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        return Call(
            method="PATCH",
            path=_path(schedule_id),
            read=read_one(ScheduleChange),
            content=_definition(changes),
            headers=headers,
            key=idempotency_key,
        )

    @endpoint
    def remove(self, schedule_id: str, *, idempotency_key: str | None = None) -> Call[ScheduleChange]:
        """Cancel the runs that were not handed over yet, and make no more. Raises NotFound."""
        return Call(method="DELETE", path=_path(schedule_id), read=read_one(ScheduleChange), key=idempotency_key)

    @endpoint
    def pause(
        self, schedule_id: str, *, note: str | None = None, idempotency_key: str | None = None
    ) -> Call[ScheduleChange]:
        """Make no runs until it is resumed. Raises NotFound."""
        return _act(schedule_id, "pause", None if note is None else {"note": note}, idempotency_key)

    @endpoint
    def resume(self, schedule_id: str, *, idempotency_key: str | None = None) -> Call[ScheduleChange]:
        """Go on; what was missed meanwhile is treated as `missed` and `catch_up` say. Raises NotFound."""
        return _act(schedule_id, "resume", None, idempotency_key)

    @endpoint
    def trigger(self, schedule_id: str, *, idempotency_key: str | None = None) -> Call[str]:
        """Run it once, now, whatever else is planned: the id of the run's message. Raises NotFound."""
        return Call(method="POST", path=_path(schedule_id, "trigger"), read=_occurrence, key=idempotency_key)

    @endpoint
    def backfill(
        self, schedule_id: str, since: Moment, until: Moment, *, idempotency_key: str | None = None
    ) -> Call[ScheduleChange]:
        """Run what never ran of a past period: `runs` says how many. Raises NotFound, Refused."""
        return _act(schedule_id, "backfill", {"from": since, "to": until}, idempotency_key)

    @endpoint
    def preview(
        self,
        recurrence: Recurrence,
        *,
        timezone: str | None = None,
        gap: Gap | None = None,
        fold: Fold | None = None,
        since: Moment | None = None,
        count: int | None = None,
    ) -> Call[Preview]:
        """The first `count` times that a recurrence gives from `since` on; nothing is stored. Raises Refused."""
        given = {
            "recurrence": recurrence, "timezone": timezone, "gap": gap, "fold": fold, "from": since, "count": count
        }  # fmt: skip
        content = encoded({name: value for name, value in given.items() if value is not None})
        return Call(method="POST", path=f"{SCHEDULES}/preview", read=read_one(Preview), content=content)


def _definition(given: Mapping[str, Any]) -> bytes:
    return encoded({**given, "message": message_json(given["message"])} if "message" in given else given)


def _path(schedule_id: str, act: str = "") -> str:
    return f"{SCHEDULES}/{quote(schedule_id, safe='')}" + (f"/{act}" if act else "")


def _act(schedule_id: str, act: str, given: Any, key: str | None) -> Call[ScheduleChange]:
    content = None if given is None else encoded(given)
    return Call(method="POST", path=_path(schedule_id, act), read=read_one(ScheduleChange), content=content, key=key)


def _created(found: httpx.Response) -> ScheduleChange:
    return read(ScheduleChange, found.json() | {"repeated": found.status_code == 200})


def _occurrence(found: httpx.Response) -> str:
    return str(found.json()["occurrence"])
