"""Messages that wait for slots of limits that were raised or removed since: they are due at once."""

import asyncio
from collections.abc import Callable

from agents.flows import Flows
from agents.inbox import Inbox, Item
from agents.ports import Clock, Due, Mirror
from schemas.decisions import Released
from schemas.flow_limits import CHANNEL_MARK
from schemas.lifecycle import LIVE

SLICE = 500
OWN_MAX = 2_000
"""So many may wait to be decided before more are looked for."""
PAUSE_MS = 5
AGAIN_MS = 2_000
"""Slots that were on their way when the limits changed are in their rows by then."""
FOREVER_MS = 1 << 62


class GivenSlots:
    """Of one timetable partition. A change of limits is rare, so they are looked for on disk then, not kept track of."""

    def __init__(self, flows: Flows, mirror: Mirror, inbox: Inbox, clock: Clock, ring: Callable[[], None]) -> None:
        """`ring`: there is something to decide."""
        self._mirror, self._inbox, self._clock, self._ring = mirror, inbox, clock, ring
        self._wanted: set[str] = set()
        self._changed = asyncio.Event()
        self._unheard = flows.on_change(self._hear)

    def _hear(self, key: str, *, raised: bool) -> None:
        if raised:
            self._wanted.add(key)
            self._changed.set()

    async def run(self) -> None:
        """Until the partition goes."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                wanted, self._wanted = self._wanted, set()
                await self._release(wanted)
                await self._clock.sleep_ms(AGAIN_MS)
                await self._release(wanted)
        finally:
            self._unheard()

    async def _release(self, wanted: set[str]) -> None:
        """All that waits for a slot of these, a slice at a time."""
        after = Due(self._clock.now_ms(), "", 0)
        while found := self._mirror.due_from(after, FOREVER_MS, SLICE):
            after = found[-1]
            for due in found:
                if self._waits(due, wanted):
                    self._inbox.put(Item(due.id, Released(due.id, due.target)))
            self._ring()
            await self._clock.sleep_ms(PAUSE_MS)
            while len(self._inbox.own) > OWN_MAX:
                await self._clock.sleep_ms(PAUSE_MS)

    def _waits(self, due: Due, wanted: set[str]) -> bool:
        row = self._mirror.get(due.id)
        if row is None:
            return False
        d = row.deliveries[due.target]
        return d.slot != "" and d.state in LIVE and (d.flow in wanted or f"{CHANNEL_MARK}{d.channel}" in wanted)
