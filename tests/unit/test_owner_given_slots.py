"""Limits that are raised or removed: what waits for its slot is due at once, and gets another one."""

import asyncio

import pytest
from builders import EPOCH, NOON, a_message, a_row, decided, seen
from fakes import FakeClock, settle
from sim_stores import SimMirror

from agents.flows import Flows
from agents.given_slots import GivenSlots
from agents.inbox import Inbox
from agents.ports import Change
from schemas.decide_released import CHANGED, RESUMED
from schemas.decisions import NOTHING, Mark, Released
from schemas.flow_limits import FlowLimits
from schemas.lifecycle import DeliveryState
from schemas.rows import Row
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import encode

LATER = NOON + 600_000


def waiting(id_: str = "m", flow: str = "acme", **over: object) -> Row:
    """A row whose message waits for its slot, ten minutes from now."""
    return a_row(
        a_message(id_, flow=flow), {"slot": "flow", "due_at": at(LATER), "turn": 2, "reason": "waiting"} | over
    )


def test_a_delivery_that_waits_for_its_slot_is_due_now_in_a_new_turn():
    made = decided(seen(waiting(), Mark.FREE), Released("m", 0), NOON)
    assert made.row is not None
    d = made.row.deliveries[0]
    assert (d.due_at, d.turn, d.turn_epoch, d.slot, d.reason) == (at(NOON), 3, EPOCH, "", CHANGED)
    assert d.state is DeliveryState.SCHEDULED
    assert [event.kind for event in made.events] == ["deferred"]


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        (waiting(), Mark.EMITTED),
        (waiting(), Mark.PERHAPS),
        (waiting(slot=""), Mark.FREE),
        (waiting(due_at=at(NOON)), Mark.FREE),
        (waiting(state=DeliveryState.CANCELLED), Mark.FREE),
        (None, Mark.FREE),
    ],
)
def test_what_is_on_its_way_or_waits_for_nothing_stays_as_it_is(row, mark):
    assert decided(seen(row, mark), Released("m", 0), NOON) == NOTHING


def test_what_was_held_back_by_a_pause_is_due_from_its_end_on_and_not_late_by_it():
    made = decided(seen(a_row(a_message(flow="acme")), Mark.FREE), Released("m", 0, resumed=True), NOON + 3_600_000)
    assert made.row is not None
    d = made.row.deliveries[0]
    assert (d.due_at, d.turn, d.reason) == (at(NOON + 3_600_000), 2, RESUMED)
    assert made.row.message.due_at == at(NOON)
    early = decided(seen(waiting(), Mark.FREE), Released("m", 0, resumed=True), NOON)
    assert early == NOTHING, "it was put off meanwhile"


class World:
    def __init__(self) -> None:
        self.clock, self.mirror, self.inbox, self.flows = FakeClock(NOON), SimMirror(), Inbox(), Flows()
        self.slots = GivenSlots(self.flows, self.mirror, self.inbox, self.clock, lambda: None)

    def write(self, *rows: Row) -> None:
        self.mirror.apply([Change(row.id, None, row, encode(row)) for row in rows], 0)

    def limit(self, key: str, **limits: object) -> None:
        self.flows.put(key, Flow(key=key, limits=FlowLimits(**limits), set_at=at(NOON)))

    async def found(self) -> set[str]:
        running = asyncio.create_task(self.slots.run())
        await settle()
        await self.clock.advance(3_000)
        running.cancel()
        return {item.id for item in self.inbox.own}


async def test_a_higher_rate_releases_what_waits_for_a_slot_of_this_flow():
    world = World()
    world.write(
        waiting("a"), waiting("b", flow="other"), waiting("c", slot=""), a_row(a_message("d", due_at=at(LATER)))
    )
    world.limit("acme", rate=1)
    world.limit("acme", rate=2)
    assert await world.found() == {"a"}


@pytest.mark.parametrize("limits", [{"rate": 5}, {"rate": 9}, {"rate": 9, "paused": True}, {"rate": 9, "burst": 5}])
async def test_a_lower_rate_or_another_change_releases_nothing(limits):
    world = World()
    world.write(waiting("a"))
    world.limit("acme", rate=9)
    world.limit("acme", **limits)
    assert await world.found() == set()


async def test_removing_a_channels_limits_releases_what_waits_for_them():
    world = World()
    world.write(waiting("a", flow="x", slot="channel"))
    world.limit("channel:log", rate=1)
    world.flows.put("channel:log", None)
    assert await world.found() == {"a"}
