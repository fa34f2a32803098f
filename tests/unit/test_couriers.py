"""Which couriers are taken up again in the same process, and when the process ends."""

from typing import Any

from fakes import FakeClock, FakeMemory

from topology.couriers import CLAIM_AGAIN_AFTER, MEND_WITHIN, Couriers, PartitionGoneError

PLACE = ("log", 3)


class Fake:
    """What Couriers asks of a courier."""

    def __init__(self, since: int, unrecorded: Any) -> None:
        self.since, self.unrecorded = since, unrecorded
        self.state, self.ended = "running", ""
        self.former: Fake | None = None

    def start(self) -> None:
        pass

    def inherit(self, former: "Fake") -> None:
        self.former = former

    def done_before(self) -> int:
        return self.since + 5

    def end(self, why: str) -> None:
        self.state, self.ended = "gone", why

    async def stop(self) -> None:
        self.end("stopped")


class World:
    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.ended: list[BaseException] = []
        self.lease = True
        self.couriers = Couriers(self.make, FakeClock(), lambda: self.lease, self.ended.append)
        self.couriers.begin(PLACE, FakeMemory(), 10)

    def make(self, _place: Any, _memory: Any, since: int, unrecorded: Any) -> Any:
        self.made.append(Fake(since, unrecorded))
        return self.made[-1]

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.couriers.look()


def test_one_whose_write_failed_is_followed_by_another_that_goes_on_where_it_stood() -> None:
    world = World()
    world.look()
    world.made[0].end("broken")
    world.look()
    first, second = world.made
    assert (second.since, second.former, second.unrecorded is first.unrecorded) == (15, first, True)
    world.look(3)
    assert len(world.made) == 2


def test_without_the_lease_nothing_is_claimed() -> None:
    world = World()
    world.made[0].end("lease lost")
    world.lease = False
    world.look(10)
    assert len(world.made) == 1
    world.lease = True
    world.look()
    assert len(world.made) == 2


def test_whoever_claimed_it_is_given_time_to_be_its_owner() -> None:
    world = World()
    world.made[0].end("claim lost")
    world.look(CLAIM_AGAIN_AFTER - 1)
    assert len(world.made) == 1
    world.look()
    assert len(world.made) == 2


def test_what_cannot_be_mended_ends_the_process() -> None:
    world = World()
    for _ in range(MEND_WITHIN):
        world.made[-1].end("broken")
        world.look()
    assert [type(error) for error in world.ended] == [PartitionGoneError]
    assert "due.log/3 is ours by the group and has let go: broken" in str(world.ended[0])


def test_one_that_works_again_has_all_the_time_anew() -> None:
    world = World()
    for _ in range(3):
        for _ in range(MEND_WITHIN - 1):
            world.made[-1].end("broken")
            world.look()
        world.look()
    assert world.ended == []


async def test_what_was_left_unsaid_is_kept_for_the_next_assignment() -> None:
    world = World()
    first = world.made[0]
    await world.couriers.revoke()
    assert (PLACE in world.couriers, first.ended) == (False, "stopped")
    world.couriers.begin(PLACE, FakeMemory(), 12)
    assert world.made[1].unrecorded is first.unrecorded
