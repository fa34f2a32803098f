"""The list of schedules: each partition's owner tells of its own, in the order of ids."""

import asyncio
from itertools import count
from uuid import uuid4

from msgspec import Struct

from gateway.asking import ask
from schemas.schedule_commands import ScheduleList, ScheduleView
from topology.commander import Commander
from topology.partitions import partition_of


class Schedules(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page; `cursor` asks for the next one, and is left out on the last."""

    schedules: tuple[ScheduleView, ...]
    cursor: str = ""


async def list_schedules(commander: Commander, partitions: int, after: str, limit: int) -> Schedules:
    """The next page. Raises ProblemError where an owner does not answer."""
    asked = (
        ask(commander, ScheduleList(command_id=str(uuid4()), id=id_in(partition, partitions), after=after, limit=limit))
        for partition in range(partitions)
    )
    answers = await asyncio.gather(*asked)
    ends = [answer.detail for answer in answers if answer.detail]
    known_to = min(ends, default=None)
    found = sorted((s for answer in answers for s in answer.schedules), key=lambda s: s.id)
    page = tuple(s for s in found if known_to is None or s.id <= known_to)[:limit]
    more = len(found) > len(page) or known_to is not None
    cursor = page[-1].id if len(page) == limit else known_to or ""
    return Schedules(schedules=page, cursor=cursor if more else "")


def id_in(partition: int, partitions: int) -> str:
    """Some id that lives in a partition: a command is brought there by its id."""
    return next(name for name in map(str, count()) if partition_of(name, partitions) == partition)
