"""Offsets in order, and the single-writer discipline of a log."""

from collections.abc import Sequence

import pytest
from fakes import FakeLog

from agents.claimed_log import ClaimedLog, LostClaimError
from agents.in_order import InOrder
from agents.ports import LogBrokenError, Record, Stored


def is_claim(stored: Stored) -> bool:
    return stored.key == b"!claim"


CLAIM, ROW = Record(b"!claim", b"{}"), Record(b"row", b"{}")


class TestInOrder:
    def scene(self, order: InOrder) -> list[int]:
        told: list[int] = []
        for offset, count in ((3, 2), (5, 1), (6, 0), (9, 1)):
            order.begin(offset, count, lambda offset=offset: told.append(offset))
        order.finish(5)
        order.finish(3)
        assert (told, order.low) == ([], 3)
        order.finish(3)
        assert (told, order.low) == ([3, 5, 6], 9)
        order.finish(9)
        assert (told, order.low, len(order)) == ([3, 5, 6, 9], 10, 0)
        return told

    def test_offsets_are_told_in_order_whatever_finishes_first(self) -> None:
        self.scene(InOrder(3))

    def test_without_the_order_a_hole_is_passed(self) -> None:
        class Hasty(InOrder):
            def may_tell(self, left: int) -> bool:
                return left >= 0

        with pytest.raises((AssertionError, KeyError)):
            self.scene(Hasty(3))

    def test_an_offset_that_comes_again_is_refused(self) -> None:
        order = InOrder()
        order.begin(4, 1)
        with pytest.raises(ValueError, match="offset 4 came after 4"):
            order.begin(4, 1)


class TestClaimedLog:
    async def claimed(self, kind: type[ClaimedLog] = ClaimedLog) -> tuple[FakeLog, ClaimedLog]:
        log = FakeLog()
        log.land(ROW, ROW)
        mine = kind(log, is_claim)
        assert await mine.claim(CLAIM) == 2
        return log, mine

    async def test_the_epoch_is_where_the_claim_landed_and_records_follow_it(self) -> None:
        _, mine = await self.claimed()
        assert (await mine.append([ROW, ROW]), mine.next, mine.epoch) == (3, 5, 2)

    async def test_a_newer_claim_before_a_record_voids_it(self) -> None:
        log, mine = await self.claimed()
        log.land(CLAIM)
        with pytest.raises(LostClaimError):
            await mine.append([ROW])

    async def test_without_continuity_nobody_notices(self) -> None:
        class Blind(ClaimedLog):
            def landed_as_expected(self, landed: int) -> bool:
                return landed >= 0

        log, mine = await self.claimed(Blind)
        log.land(CLAIM)
        assert await mine.append([ROW]) == 4

    async def test_void_records_are_named_once_and_work_goes_on(self) -> None:
        log, mine = await self.claimed()
        log.land(Record(b"a", b"{}"), Record(b"b", None))
        assert (await mine.append([ROW]), mine.next) == (5, 6)
        assert (mine.take_void(), mine.take_void()) == (["a", "b"], [])

    @pytest.mark.parametrize(("foreign", "lost"), [(Record(b"a", b"{}"), False), (CLAIM, True)])
    async def test_what_came_between_two_batches_of_one_append_is_found(self, foreign: Record, lost: bool) -> None:
        class Cut(FakeLog):
            async def append(self, records: Sequence[Record]) -> int:
                self.land(*records[:1])
                self.land(foreign)
                return self.land(*records[1:]) - 1

        log = Cut()
        mine = ClaimedLog(log, is_claim)
        rows = [Record(b"%d" % n, b"{}") for n in range(3)]
        if lost:
            with pytest.raises(LostClaimError):
                await mine.append(rows)
        else:
            await mine.append(rows)
            assert (mine.take_void(), mine.next) == (["a"], 4)

    async def test_check_notices_without_a_write(self) -> None:
        log, mine = await self.claimed()
        await mine.check()
        log.land(Record(b"a", b"{}"))
        await mine.check()
        assert (mine.take_void(), mine.next) == (["a"], 4)
        log.land(CLAIM)
        with pytest.raises(LostClaimError):
            await mine.check()

    async def test_a_log_that_lost_records_is_broken(self) -> None:
        log, mine = await self.claimed()
        await mine.append([ROW])
        del log.stored[1:]
        with pytest.raises(LogBrokenError):
            await mine.check()
