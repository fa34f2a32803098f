"""The spout without Kafka: what it marks, holds, releases and emits again."""

from collections.abc import Callable
from typing import Any

import pytest
from builders import BIRTH, EPOCH, NOON, a_cancel, a_message, a_row, an_ack, an_edit, asked, decided, replaced, seen
from fakes import FakeClock, FakeLog, settle
from sim_stores import SimMirror

from agents.flows import Flows
from agents.near_windows import NearWindows
from agents.ports import Change
from agents.spout import REEMIT_MS, Spout
from schemas.decisions import Lapsed, Mark, Released
from schemas.flow_limits import FlowLimits
from schemas.lifecycle import DeliveryState
from schemas.rows import Row
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import encode, read_due


class Watch:
    def __init__(self) -> None:
        self.counts: list[int] = []
        self.missing: list[str] = []

    def without_channel(self, channel: str) -> None:
        self.missing.append(channel)

    def emitted(self, _channel: str, count: int) -> None:
        self.counts.append(count)


class World:
    """A spout of epoch 40 that recovered long before noon, and what it writes into."""

    def __init__(self, in_flight_max: int = 100) -> None:
        self.clock, self.mirror, self.log, self.watch = FakeClock(NOON), SimMirror(), FakeLog(), Watch()
        self.lapsed: list[Lapsed] = []
        self.landed: list[str] = []
        self.near = NearWindows(lambda *_: 0)
        self.flows = Flows()
        self.spout = Spout(
            partition=1, due={"log": [self.log]}, mirror=self.mirror, near=self.near, clock=self.clock,
            lease=lambda: True, in_flight_max=in_flight_max, look_ahead_ms=120_000, tell=self.lapsed.append,
            landed=self.landed.append, watch=self.watch, flows=self.flows,
        )  # fmt: skip
        self.spout.begin(EPOCH, NOON - 60_000)
        while self.spout.arm():
            pass

    def write(self, row: Row) -> Row:
        """What an owner does with a row that has landed."""
        change = Change(row.id, self.mirror.get(row.id), row, encode(row))
        self.mirror.apply([change], 0)
        self.near.update(change)
        self.spout.settle(row)
        return row

    async def emit(self) -> list[tuple[str, int]]:
        """Ids and turns of what is in Kafka now."""
        while self.spout.emit():
            pass
        await settle(5)
        return [(m.id, m.turn) for m in self.log.decoded(read_due)]

    def mark(self, row: Row) -> Mark:
        return self.spout.marks(row)[0]


@pytest.fixture
async def world() -> World:
    return World()


async def test_what_is_due_is_emitted_once_and_what_is_not_is_not(world: World):
    world.write(a_row())
    world.write(a_row(a_message("later", due_at=at(NOON + 1))))
    assert await world.emit() == [("m", 1)]
    assert await world.emit() == [("m", 1)]
    await world.clock.advance(1)
    assert await world.emit() == [("m", 1), ("later", 1)]
    assert (world.landed, world.watch.counts) == (["m", "later"], [1, 1])


async def test_a_channel_that_is_not_here_keeps_its_own_messages_only(world: World):
    world.write(a_row(a_message("text"), {"channel": "sms"}))
    world.write(a_row())
    assert await world.emit() == [("m", 1)]
    assert world.watch.missing == ["sms"]


async def test_it_is_marked_before_the_produce_and_emitted_once_it_has_landed(world: World):
    row = world.write(a_row())
    assert world.mark(row) is Mark.FREE
    world.log.held = True
    assert await world.emit() == []
    assert (world.mark(row), world.landed) == (Mark.PRODUCING, [])
    world.log.release()
    await settle()
    assert (world.mark(row), world.landed) == (Mark.EMITTED, ["m"])


async def test_an_edited_message_is_emitted_in_its_new_turn_only(world: World):
    old = world.write(a_row())
    world.write(decided(seen(old), asked(an_edit(priority=9))).row)
    world.write(decided(seen(world.mirror.get("m")), asked(an_edit("again", priority=8))).row)
    assert await world.emit() == [("m", 3)]
    assert world.spout.in_flight() == {"log": 1}


async def test_a_cancelled_message_is_not_emitted(world: World):
    world.write(decided(seen(world.write(a_row())), asked(a_cancel())).row)
    assert await world.emit() == []
    assert world.spout.in_flight() == {"log": 0}


async def test_an_edit_after_it_was_queued_stops_the_old_turn():
    world = World(in_flight_max=1)
    world.write(a_row(a_message("a")))
    row = world.write(a_row(a_message("b")))
    assert await world.emit() == [("a", 1)]
    world.write(decided(seen(row), asked(an_edit(id_="b", due_at=at(NOON + 5)))).row)
    world.spout.came_back(an_ack(id="a").ack)
    assert await world.emit() == [("a", 1)]
    await world.clock.advance(5)
    assert await world.emit() == [("a", 1), ("b", 2)]


async def test_a_row_that_is_being_written_is_held(world: World):
    world.write(a_row())
    world.spout.hold({"m"})
    assert await world.emit() == []
    assert world.spout.in_flight() == {"log": 0}
    world.spout.let_go()
    assert await world.emit() == [("m", 1)]


async def test_what_is_past_its_expiry_is_told_and_not_sent(world: World):
    world.write(a_row(a_message(due_at=at(NOON - 2), expires_at=at(NOON))))
    assert await world.emit() == []
    assert (world.lapsed, world.spout.in_flight()) == ([Lapsed("m", 0)], {"log": 0})


async def test_places_in_flight_are_freed_once_by_an_ack_or_by_the_row():
    world = World(in_flight_max=2)
    rows = [world.write(a_row(a_message(f"m{n}", flow="f"))) for n in range(6)]
    assert len(await world.emit()) == 2
    ack = an_ack(id="m0")
    world.spout.came_back(ack.ack)
    world.spout.came_back(ack.ack)
    world.write(decided(seen(rows[0]), ack, NOON).row)
    assert len(await world.emit()) == 3
    world.write(decided(seen(rows[1]), an_ack(id="m1"), NOON).row)
    assert len(await world.emit()) == 4
    assert world.spout.in_flight() == {"log": 2}


@pytest.mark.parametrize("over", [{"turn": 2}, {"birth": BIRTH + 1}, {"id": "other"}])
async def test_a_stale_ack_frees_nothing(world: World, over):
    world.write(a_row())
    await world.emit()
    world.spout.came_back(an_ack(**over).ack)
    assert world.spout.in_flight() == {"log": 1}


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"turn_epoch": EPOCH - 1, "due_at": at(NOON - 60_000)}, Mark.PERHAPS),
        ({"turn_epoch": EPOCH - 1, "due_at": at(NOON - 59_999)}, Mark.FREE),  # after the fences had landed
        ({"turn_epoch": EPOCH, "due_at": at(NOON - 60_000)}, Mark.FREE),  # begun by this owner
        ({"turn_epoch": EPOCH - 1, "due_at": at(0), "state": DeliveryState.DELIVERED}, Mark.FREE),
    ],
)
async def test_what_a_former_owner_may_have_emitted(world: World, over, expected):
    assert world.mark(a_row(a_message(), over)) is expected


async def test_a_message_made_anew_under_the_same_id_has_no_mark_of_the_old_one(world: World):
    row = world.write(a_row())
    await world.emit()
    assert world.mark(replaced(row, birth=BIRTH + 1)) is Mark.FREE


async def test_what_gets_no_ack_for_long_is_emitted_again_in_the_same_turn(world: World):
    row = world.write(a_row())
    await world.emit()
    await world.clock.advance(REEMIT_MS - 1)
    assert world.spout.emit_again() == 0
    await world.clock.advance(1)
    assert (world.spout.emit_again(), world.spout.emit_again()) == (1, 0)
    assert await world.emit() == [("m", 1), ("m", 1)]
    assert (world.mark(row), world.spout.in_flight()) == (Mark.EMITTED, {"log": 1})


async def test_what_was_acked_is_not_emitted_again(world: World):
    world.write(a_row())
    await world.emit()
    world.spout.came_back(an_ack().ack)
    await world.clock.advance(REEMIT_MS * 2)
    assert world.spout.emit_again() == 0


async def test_a_broken_produce_ends_the_spout(world: World):
    world.log.broken = True
    world.write(a_row())
    await world.emit()
    with pytest.raises(Exception, match="broken"):
        await world.spout.broke()


def armed_ids(world: World) -> Callable[[], list[str]]:
    return lambda: sorted({id_ for id_, _ in world.near.armed})


async def test_windows_are_armed_up_to_the_look_ahead_and_no_further(world: World):
    for minutes in (1, 2, 3):
        world.write(a_row(a_message(f"m{minutes}", due_at=at(NOON + minutes * 60_000))))
    armed = armed_ids(world)
    assert armed() == ["m1", "m2"]
    await world.clock.advance(60_000)
    assert not world.spout.arm()
    assert armed() == ["m1", "m2", "m3"]


def limits(**given: Any) -> Flow:
    return Flow(key="acme", limits=FlowLimits(**given), set_at=at(NOON))


async def test_what_is_due_of_a_paused_flow_is_held_back_and_counted_until_it_is_resumed(world: World):
    world.flows.put("acme", limits(paused=True))
    row = world.write(a_row(a_message(flow="acme")))
    world.write(a_row(a_message("other")))
    world.write(a_row(a_message("later", flow="acme", due_at=at(NOON + 1))))
    assert [id_ for id_, _ in await world.emit()] == ["other"]
    assert (dict(world.spout.paused.counts), world.mark(row), len(world.near.armed)) == ({"acme": 1}, Mark.FREE, 2)
    world.flows.put("acme", None)
    assert world.spout.bell.is_set()
    world.spout.arm()
    assert world.lapsed == [Released("m", 0, resumed=True)]
    world.write(replaced(row, deliveries=(replaced(row.deliveries[0], turn=2),)))
    assert [id_ for id_, _ in await world.emit()] == ["other", "m"]
    assert world.spout.paused.counts["acme"] == 0


async def test_a_flow_that_is_paused_while_its_messages_wait_for_places_emits_no_more(world: World):
    world = World(in_flight_max=1)
    for n in range(3):
        world.write(a_row(a_message(f"m{n}", flow="acme")))
    assert await world.emit() == [("m0", 1)]
    world.flows.put("acme", limits(paused=True))
    world.spout.came_back(an_ack(id="m0").ack)
    assert await world.emit() == [("m0", 1)]
    assert world.spout.paused.counts["acme"] == 2


async def test_a_paused_message_may_be_edited_and_cancelled_and_counts_stay_exact(world: World):
    world.flows.put("acme", limits(paused=True))
    first, second = (world.write(a_row(a_message(id_, flow="acme"))) for id_ in "ab")
    await world.emit()
    world.write(replaced(first, deliveries=(replaced(first.deliveries[0], turn=2, due_at=at(NOON + 60_000)),)))
    world.write(replaced(second, deliveries=(replaced(second.deliveries[0], state=DeliveryState.CANCELLED),)))
    await world.emit()
    assert world.spout.paused.counts["acme"] == 0
    world.clock.ms = NOON + 60_000
    assert await world.emit() == []
    assert world.spout.paused.counts["acme"] == 1


async def test_what_was_edited_out_of_a_paused_flow_goes_out(world: World):
    """Its former self is still in the group of that flow: to hold that back would take the new one away."""
    world.flows.put("acme", limits(paused=True))
    first, *_ = [world.write(a_row(a_message(id_, flow="acme"))) for id_ in "abc"]
    world.write(replaced(first, deliveries=(replaced(first.deliveries[0], turn=2, flow="another"),)))
    assert await world.emit() == [("a", 2)]
    assert dict(world.spout.paused.counts) == {"acme": 2}


async def test_a_paused_message_expires_in_time(world: World):
    world.flows.put("acme", limits(paused=True))
    world.write(a_row(a_message(flow="acme", expires_at=at(NOON + 5_000))))
    await world.emit()
    assert world.lapsed == []
    world.clock.ms = NOON + 5_000
    await world.emit()
    assert world.lapsed == [Lapsed("m", 0)]


async def test_a_whole_channel_can_be_paused(world: World):
    world.flows.put("channel:log", limits(paused=True))
    world.write(a_row())
    assert await world.emit() == []
    assert world.spout.paused.counts["channel:log"] == 1


async def test_what_a_former_owner_may_have_emitted_goes_to_the_couriers_though_paused_so_that_it_can_be_edited(
    world: World,
):
    world.flows.put("acme", limits(paused=True))
    world.write(a_row(a_message(flow="acme"), {"turn_epoch": EPOCH - 1, "due_at": at(NOON - 60_000)}))
    assert await world.emit() == [("m", 1)]


async def test_of_a_herd_due_at_one_instant_those_of_others_are_found_before_one_account_has_all_places():
    world = World(in_flight_max=100)
    for n in range(600):
        world.write(a_row(a_message(f"a-big-{n:03}", account="big")))
    for n in range(20):
        world.write(a_row(a_message(f"z-small-{n:02}", account=f"other-{n}")))
    emitted = [id_ for id_, _ in await world.emit()]
    assert len(emitted) == 100
    assert sum(id_.startswith("z-small") for id_ in emitted) == 20
