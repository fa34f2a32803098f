"""`/v1/messages/cancel` and `/v1/messages/reschedule`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import uuid4

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Header, Request, Response

from gateway.answering import Answering, LinesResponse
from gateway.lists import asked
from gateway.openapi import NDJSON, Shown, described
from gateway.problems import ProblemError
from gateway.requests import Keyed, decoded, read_body, read_key
from gateway.sweep import CancelSweep, Orders, RescheduleSweep, Sweep, SweepAnswer, check_sweep, filter_of, portions
from schemas.commands import Look
from topology.archive import Archive
from topology.commander import Commander
from topology.commander_errors import CommandError
from topology.partitions import one_in_each

CATCH_UP_S = 10.0
SWEEPS_MAX = 4
"""At once, at one gateway: each holds a connection to the archive while it goes on."""

FAULTS = (400, 413, 422, 503)
FILTER = {"account": "acme", "due_from": "2027-01-04T00:00:00Z", "due_to": "2027-01-05T00:00:00Z"}
CANCELLED = {
    "id": "post-4711",
    "status": 200,
    "result": "cancelled",
    "state": "cancelled",
    "results": {"0": "cancelled"},
}
MOVED = {"id": "post-4711", "status": 200, "result": "accepted", "state": "scheduled", "revision": 2}
CANCEL = described(
    "write",
    {200: Shown("one answer per message, as its owner decided", SweepAnswer, CANCELLED, NDJSON)},
    FAULTS,
    asked=Shown("which messages", CancelSweep, FILTER),
)
RESCHEDULE = described(
    "write",
    {200: Shown("one answer per message, as its owner decided", SweepAnswer, MOVED, NDJSON)},
    FAULTS,
    asked=Shown("which messages, and where to", RescheduleSweep, FILTER | {"by": "PT1H"}),
)
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="with it a message that was moved is not moved again by a repeat"),
]
Ends = Callable[[], Awaitable[dict[int, int]]]


def sweeps_router(
    commander: Commander, answering: Answering, archive: Archive, ends: Ends, partitions: int
) -> APIRouter:
    """Cancel and reschedule by filter."""
    router = APIRouter(prefix="/v1/messages", tags=["bulk"])
    probes = one_in_each(partitions)
    turns = asyncio.Semaphore(SWEEPS_MAX)

    @router.post("/cancel", summary="Cancel what a filter finds", **CANCEL)
    async def cancel(request: Request, _key: Key = None) -> Response:
        """NDJSON, one exact answer per message. Nothing that was accepted before the request is missed.

        Candidates come from the archive, once it has caught up with the request (within 10 s, else 503); what becomes
        of each is decided by its owner. A filter is needed, or `all: true`.
        """
        return await run(request, CancelSweep)

    @router.post("/reschedule", summary="Reschedule what a filter finds", **RESCHEDULE)
    async def reschedule(request: Request, _key: Key = None) -> Response:
        """As cancel. `due_at` moves all to one instant, `by` each by the same length of time.

        With `by`, a message that somebody else edits meanwhile is not moved: 412 `revision_mismatch`.
        """
        return await run(request, RescheduleSweep)

    async def run(request: Request, kind: type[Sweep]) -> Response:
        key, content = read_key(request), await read_body(request)
        sweep: Sweep = decoded(content, kind)
        check_sweep(sweep)
        await asked(archive.as_of())  # says at once that there is none
        await caught_up()
        orders = Orders(sweep, key if key.key is not None else Keyed(uuid4().hex), content)
        return LinesResponse(answering, portions(archive, filter_of(sweep), orders, turns))

    async def caught_up() -> None:
        """Until the archive has all that was accepted before. Raises ProblemError 503."""
        for found in await commander.ask_many([Look(command_id=str(uuid4()), id=probe) for probe in probes]):
            if isinstance(found, CommandError):
                raise _behind(f"the owner of a partition does not answer: {found.problem}")
        try:
            known = await ends()
        except KafkaError as fault:
            raise _behind(f"the end of the events is not known: {fault!r}") from None
        if not await asked(archive.caught_up(known, CATCH_UP_S)):
            raise _behind(f"the archive has not caught up within {CATCH_UP_S:g} s: see whether its archivist runs")

    return router


def _behind(reason: str) -> ProblemError:
    detail = f"{reason}; nothing was done, since a message could have been missed: send it again later"
    return ProblemError(503, "archive_behind", "The archive is behind", detail, headers={"Retry-After": "5"})
