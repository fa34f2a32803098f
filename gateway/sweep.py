"""`POST /v1/messages/cancel` and `/reschedule`: all that a filter finds, each decided by its own owner.

The archive names the candidates, from one snapshot that knows all that was accepted before the request; the owners decide.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from gateway.answering import Portion
from gateway.answers import problem_of
from gateway.asking import unanswered
from gateway.lists import archive_problem
from gateway.problems import TYPE_PREFIX, ProblemDetails, invalid
from gateway.requests import Keyed
from schemas.commands import Answer, Cancel, Command, Edit, Look
from schemas.lifecycle import DeliveryState, MessageState
from schemas.message import LATEST, Changes, Channel, Input, Instant, Name
from schemas.times import EPOCH
from schemas.wire import Fault, encode
from topology.archive import Archive, ArchiveAwayError, Filter, Match
from topology.commander_errors import CommandError
from topology.tally import Found

PAGE = 500
MOVABLE = (MessageState.SCHEDULED, MessageState.RETRYING)


class Sweep(Input, frozen=True, kw_only=True):
    """Which messages: those that are not finished and fit every filter that is given."""

    account: Name | None = None
    tag: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    channel: Channel | None = None
    due_from: Annotated[Instant, Meta(description="due then or later")] | None = None
    due_to: Annotated[Instant, Meta(description="due before")] | None = None
    all: Annotated[bool, Meta(description="must be true where no filter is given")] = False
    dry_run: Annotated[bool, Meta(description="tell what would be done, and do nothing")] = False


class CancelSweep(Sweep, frozen=True, kw_only=True):
    """What to cancel."""


class RescheduleSweep(Sweep, frozen=True, kw_only=True):
    """What to move, and where to: to one instant, or each by the same length of time."""

    due_at: Instant | None = None
    by: Annotated[timedelta, Meta(description="ISO 8601 duration, as PT1H or -PT30M")] | None = None
    allow_past: bool = False


class SweepAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one message: `status` is what a request about it alone would have got.

    `result` is cancelled, partly_cancelled, accepted (rescheduled), with `dry_run` would_cancel or would_reschedule, or
    the name of the problem.
    """

    id: str | None = None
    status: int
    result: str
    state: MessageState | None = None
    due_at: datetime | None = None
    revision: int | None = None
    results: dict[str, DeliveryState] = {}
    problem: ProblemDetails | None = None


def check_sweep(sweep: Sweep) -> None:
    """Raises ProblemError 422: no filter, a period that ends before it begins, not one of `due_at` and `by`."""
    given = (sweep.account, sweep.tag, sweep.channel, sweep.due_from, sweep.due_to)
    if not sweep.all and all(each is None for each in given):
        remedy = "give some of account, tag, channel, due_from, due_to, or `all: true` for all there is"
        raise invalid(Fault("all", "no filter is given", remedy))
    if sweep.due_from is not None and sweep.due_to is not None and sweep.due_to <= sweep.due_from:
        raise invalid(Fault("due_to", "is not after `due_from`: nothing could be found", "give a later time"))
    if isinstance(sweep, RescheduleSweep) and (sweep.due_at is None) == (sweep.by is None):
        raise invalid(Fault("due_at", "one of `due_at` and `by` is needed", "say to when, or by how much"))


def filter_of(sweep: Sweep) -> Filter:
    """What the archive is asked for."""
    return Filter(
        account=sweep.account,
        tag=sweep.tag,
        channel=sweep.channel,
        due_from=sweep.due_from,
        due_to=sweep.due_to,
    )


class Orders:
    """The commands of one sweep, and how their answers are told."""

    def __init__(self, sweep: Sweep, key: Keyed, content: bytes) -> None:
        self._sweep = sweep
        self._key = key
        self._content = content

    def portion(self, found: Sequence[Match]) -> Portion:
        """Of a page. A message whose new due time would be no time is refused here."""
        orders = [self._order(match) for match in found]

        def told(answers: Sequence[Found]) -> bytes:
            rest = iter(answers)
            lines = (
                refused(match.id, order) if isinstance(order, ProblemDetails) else self._answer(match, next(rest))
                for match, order in zip(found, orders, strict=True)
            )
            return b"".join(encode(line) + b"\n" for line in lines)

        return Portion([order for order in orders if not isinstance(order, ProblemDetails)], told)

    def _order(self, match: Match) -> Command | ProblemDetails:
        sweep = self._sweep
        due_at = self._due_at(match) if isinstance(sweep, RescheduleSweep) else match.due_at
        if due_at is None:
            return invalid(Fault("by", "moves it out of the calendar", "give a shorter length of time")).details
        command_id = self._key.command_id(f"SWEEP {type(sweep).__name__}", match.id, self._content)
        if sweep.dry_run:
            return Look(command_id=command_id, id=match.id)
        if not isinstance(sweep, RescheduleSweep):
            return Cancel(command_id=command_id, id=match.id)
        # moved by a length of time, it must still be where the archive knew it
        revision = match.revision if sweep.by is not None else None
        changes = Changes(due_at=due_at)
        return Edit(
            command_id=command_id, id=match.id, changes=changes, if_revision=revision, allow_past=sweep.allow_past
        )

    def _due_at(self, match: Match) -> datetime | None:
        assert isinstance(self._sweep, RescheduleSweep)
        if self._sweep.by is None:
            return self._sweep.due_at
        try:
            moved = match.due_at + self._sweep.by
        except OverflowError:
            return None
        return moved if EPOCH <= moved <= LATEST else None

    def _answer(self, match: Match, found: Found) -> SweepAnswer:
        if isinstance(found, CommandError):
            return refused(match.id, unanswered(found, match.id).details)
        if self._sweep.dry_run:
            return self._foretold(match, found)
        if found.result not in ("accepted", "cancelled", "partly_cancelled"):
            return refused(match.id, problem_of(found).details)
        return _told(found, found.result)

    def _foretold(self, match: Match, found: Answer) -> SweepAnswer:
        if found.view is None:
            return refused(match.id, problem_of(found).details)
        if found.state not in MOVABLE:
            late = Answer(
                command_id="", id=match.id, result="too_late", state=found.state, detail="it would be too late"
            )
            return refused(match.id, problem_of(late).details)
        return _told(found, "would_reschedule" if isinstance(self._sweep, RescheduleSweep) else "would_cancel")


def _told(answer: Answer, result: str) -> SweepAnswer:
    return SweepAnswer(
        id=answer.id,
        status=200,
        result=result,
        state=answer.state,
        due_at=answer.due_at,
        revision=answer.revision or None,
        results=answer.deliveries,
    )


def refused(message_id: str | None, problem: ProblemDetails) -> SweepAnswer:
    """Why it was not done."""
    name = problem.type.removeprefix(TYPE_PREFIX)
    return SweepAnswer(id=message_id, status=problem.status, result=name, state=_state(problem), problem=problem)


def _state(problem: ProblemDetails) -> MessageState | None:
    return None if problem.state is None else MessageState(problem.state)


async def portions(
    archive: Archive, wanted: Filter, orders: Orders, turns: asyncio.Semaphore
) -> AsyncGenerator[Portion]:
    """Of all that is found, when it is its turn; where the archive goes away meanwhile, the last line says so."""
    try:
        async with turns, aclosing(archive.matching(wanted, page=PAGE)) as pages:
            async for page in pages:
                yield orders.portion(page)
    except ArchiveAwayError as away:
        broken = archive_problem(away).details
        yield Portion((), lambda _: encode(refused(None, broken)) + b"\n")
