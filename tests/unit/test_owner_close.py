"""What an owner says on its way out: how far all is done, and only where nothing of it was broken off."""

from fakes import FakeLog

from agents.claimed_log import ClaimedLog
from agents.decider import Decider
from agents.in_order import InOrder
from agents.owner import PartitionOwner
from agents.ports import Record
from agents.recovery import Taken, is_claim
from schemas.wire import read_timetable


class Mirror:
    commands = acks = applied = 0
    unsaid = ()

    def __init__(self):
        self.voids = set()

    def apply(self, changes, applied):
        assert list(changes) == []
        self.applied = applied


class Source:
    def __init__(self, low):
        self.order = InOrder(low)


class Inputs:
    commands, acks = Source(7), Source(5)


async def leaving(
    *, settled: bool, found: tuple[Record, ...] = (), known: tuple[str, ...] = (), to_tell: tuple[str, ...] = ()
):
    owner, decider, log, mirror = object.__new__(PartitionOwner), object.__new__(Decider), FakeLog(), Mirror()
    mirror.voids.update(known)
    log.land(*found)
    decider.mirror, decider.inputs = mirror, Inputs()
    decider.taken = Taken(0, 0, ClaimedLog(log, is_claim))
    decider.to_tell = dict.fromkeys(to_tell)
    owner.partition, owner.lease, owner.decider, owner.settled = 0, lambda: True, decider, settled
    await owner.close()
    return log, mirror


async def test_one_that_ended_in_peace_says_how_far_all_is_done():
    log, mirror = await leaving(settled=True)
    progress = read_timetable(log.stored[-1].value)
    assert (progress.commands, progress.acks, mirror.applied) == (7, 5, 1)


async def test_one_that_was_broken_off_in_mid_write_says_nothing():
    """Its rows may have landed: a mirror that counts past them would never have them."""
    log, mirror = await leaving(settled=False)
    assert (log.stored, mirror.applied) == ([], 0)


async def test_what_it_found_void_and_had_no_time_to_write_over_is_known_to_the_next_owner_of_its_disk():
    """It lies before what the mirror has applied: nobody would come upon it again, and compaction could choose it."""
    zombie = (Record(b"m1", b"{}"), Record(b"!progress", b"{}"))
    _, mirror = await leaving(settled=True, found=zombie, known=("m2",))
    assert (mirror.voids, mirror.applied) == ({"m1", "m2"}, 3)


async def test_what_a_former_owner_left_unsaid_and_it_had_no_round_to_tell_is_named_for_the_next_one():
    """As when a group is rebalanced again at once."""
    log, mirror = await leaving(settled=True, to_tell=("lapsed",))
    assert read_timetable(log.stored[-1].value).unsaid == mirror.unsaid == ("lapsed",)
