"""The couriers of one process, by place: begun, mended where only a write, a claim or the lease was lost, let go."""

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog

from agents.courier import CourierPartition
from agents.courier_memory import MEMORY_MS
from agents.ports import Clock, Memory
from agents.unrecorded import Unrecorded

LOOK_S = 1.0
CLAIM_AGAIN_AFTER = 5
"""Looks: whoever has claimed was given the partition, and we are about to hear that it is not ours any more."""
MEND_WITHIN = 120
"""Looks at a courier that has let go, after which the process ends: a supervisor can tell somebody."""

logger = structlog.get_logger(__name__)
Place = tuple[str, int]
"""A channel and a partition of its due topic."""
Make = Callable[[Place, Memory, int, Unrecorded], CourierPartition]
"""A courier over its memory, from a due offset on, with what its predecessors here left unrecorded."""


class PartitionGoneError(Exception):
    """A courier has let go of a partition that the group gives it, and it could not be taken up again."""


class Kept(NamedTuple):
    """`memory` outlives the couriers of one assignment."""

    courier: CourierPartition
    memory: Memory


class Couriers:
    """At most one of a place at a time (rule 8)."""

    def __init__(
        self, make: Make, clock: Clock, lease: Callable[[], bool], broken: Callable[[BaseException], None]
    ) -> None:
        """`broken` hears of what could not be mended."""
        self._make, self._clock, self._lease, self._broken = make, clock, lease, broken
        self._kept: dict[Place, Kept] = {}
        self._unrecorded: dict[Place, Unrecorded] = {}
        self._gone: dict[Place, int] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._kept

    def __iter__(self) -> Iterator[tuple[Place, CourierPartition]]:
        return iter([(place, kept.courier) for place, kept in sorted(self._kept.items(), key=lambda item: item[0])])

    def get(self, place: Place) -> CourierPartition | None:
        """The courier of a partition, if it is here."""
        kept = self._kept.get(place)
        return None if kept is None else kept.courier

    def begin(self, place: Place, memory: Memory, since: int) -> None:
        """Take a partition over; `since`: what the group has committed of it."""
        courier = self._make(place, memory, since, self._unrecorded.setdefault(place, Unrecorded()))
        self._kept[place] = Kept(courier, memory)
        courier.start()

    async def revoke(self) -> None:
        """Finish what is being sent, write it, let all partitions go."""
        kept, self._kept = self._kept, {}
        self._gone.clear()
        await asyncio.gather(*(courier.stop() for courier, _ in kept.values()))
        for _, memory in kept.values():
            memory.close()

    async def run(self) -> None:
        """Look each second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a partition without a courier must not go unnoticed
                self._broken(error)

    def look(self) -> None:
        """Take up again what has let go by itself and is still given to us."""
        for unrecorded in self._unrecorded.values():
            unrecorded.forget(self._clock.now_ms() - MEMORY_MS)
        for place, courier in self:
            if courier.state == "running":
                self._gone.pop(place, None)
            elif courier.state == "gone":
                self._look_at(place, courier)

    def _look_at(self, place: Place, courier: CourierPartition) -> None:
        looks = self._gone[place] = self._gone.get(place, 0) + 1
        channel, partition = place
        if looks == MEND_WITHIN:
            why = f"due.{channel}/{partition} is ours by the group and has let go: {courier.ended}"
            self._broken(PartitionGoneError(why))
        elif self._lease() and (courier.ended != "claim lost" or looks >= CLAIM_AGAIN_AFTER):
            logger.warning("claimed_again", channel=channel, partition=partition, reason=courier.ended)
            memory = self._kept[place].memory
            self.begin(place, memory, courier.done_before())
            self._kept[place].courier.inherit(courier)
