"""Reads `events` for the archivist: a consumer group of its own, each partition from where the archive ends.

Not a Faust topic: one record costs a Faust stream 70-100 µs, and events are one per record; this costs 10.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from agents.archive_events import EventBatch, OvertakenError, Reach
from schemas.archive import Placed
from schemas.times import at
from schemas.wire import UnreadableError, read_event
from topology.archive_errors import ArchiveAwayError
from topology.clients import client_arguments
from topology.clock import SystemClock
from topology.settings import Settings
from topology.topics import MIB, TopicNames

logger = structlog.get_logger(__name__)
BATCH_MAX = 5_000
PACE_S = 0.15
"""A transaction costs far more than an event in it; so long events wait for others, unless there are many."""
COMMIT_S = 5.0
IDLE_S = 1.0
"""So often the archive is told that nothing new has come."""
AGAIN_S = 0.5
FINISH_S = 8.0


class Progress(Protocol):
    """What is archived of each partition."""

    async def starts(self, partitions: Iterable[int]) -> dict[int, int]:
        """The offset from which each is wanted. Raises ArchiveAwayError."""
        ...

    async def touch(self, reaches: dict[int, Reach]) -> None:
        """Complete as of a later time. Raises ArchiveAwayError."""
        ...


class EventReader(ConsumerRebalanceListener):
    """`feed` gets batch after batch, one while another is being stored."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        feed: Callable[[EventBatch], Awaitable[None]],
        unreadable: Callable[[ConsumerRecord, UnreadableError], Awaitable[None]],
    ) -> None:
        """Nothing is connected before `start`."""
        self._topic = TopicNames(settings.prefix).events
        self._progress = progress
        self._feed = feed
        self._unreadable = unreadable
        self._clock = SystemClock()
        self.joined = False
        self.owned: set[int] = set()
        self._placed: dict[TopicPartition, int] = {}
        self._stored: dict[int, int] = {}
        self._under_way: set[asyncio.Future[Exception | None]] = set()
        self._room = asyncio.Semaphore(2)
        self._waiting_since: float | None = None
        session_ms = int(settings.session_timeout.total_seconds() * 1000)
        self._consumer = AIOKafkaConsumer(
            **client_arguments(settings),
            client_id="clepsydra-archivist",
            group_id=f"{settings.prefix}archivist",
            group_instance_id=settings.instance and f"archivist-{settings.instance}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(300, session_ms // 5),
            max_poll_interval_ms=2**31 - 1,  # it may wait for Postgres for days
            rebalance_timeout_ms=max(10_000, session_ms),
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=4 * MIB,
        )

    async def start(self) -> None:
        """Join the group. Raises KafkaError."""
        self._consumer.subscribe([self._topic], listener=self)
        await self._consumer.start()

    async def stop(self) -> None:
        """Let what is under way be stored, leave the group."""
        await self._settled()
        await self._commit()
        await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - all go, in the eager protocol
        """What is under way is stored, within bounds; what is not, its new reader reads again."""
        await self._settled()
        await self._commit()
        self._placed.clear()
        self.joined = False

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """They wait until the archive has said where they begin."""
        self._placed.clear()
        self.joined = True
        self.owned = {place.partition for place in assigned}
        self._consumer.pause(*assigned)

    def waiting(self) -> list[str]:
        """What is not read yet, as `topic/partition`."""
        placed = {place.partition for place in self._placed}
        return [f"{self._topic}/{partition}" for partition in sorted(self.owned - placed)]

    def stored(self) -> dict[int, int]:
        """The offset below which all is archived, of each partition that is ours and has been looked up."""
        return {partition: self._stored[partition] for partition in sorted(self.owned & self._stored.keys())}

    async def run(self) -> None:
        """Until it is cancelled. Raises NewerRecordError, KafkaError."""
        loop = asyncio.get_running_loop()
        begun = idle_since = committed = loop.time()
        while True:
            await self._place()
            found = await self._consumer.getmany(timeout_ms=200, max_records=BATCH_MAX)
            now = loop.time()
            if now - committed > COMMIT_S:
                committed = now
                await self._commit()
            if found:
                begun = idle_since = now
                await self._batch(found)
                if sum(map(len, found.values())) < BATCH_MAX:
                    await asyncio.sleep(max(0.0, begun + PACE_S - loop.time()))
            elif now - idle_since > IDLE_S and not self._under_way:
                idle_since = now
                await self._idle()

    async def _place(self) -> None:
        """Partitions that were just given begin where the archive ends."""
        while fresh := self._consumer.assignment() - self._placed.keys():
            try:
                starts = await self._progress.starts(place.partition for place in fresh)
                oldest = await self._consumer.beginning_offsets(list(fresh))
            except (ArchiveAwayError, KafkaError) as away:
                self._tell_away(away)
                await asyncio.sleep(AGAIN_S)
                continue
            self._waiting_since = None
            for place in fresh & self._consumer.assignment():  # nothing awaits from here on: it stays so
                start = starts[place.partition]
                self._consumer.seek(place, within(place, start, oldest[place]))
                self._placed[place] = start
                self._stored[place.partition] = start
                self._consumer.resume(place)

    async def _batch(self, found: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        placed: list[Placed] = []
        for place, records in found.items():
            for record in records if place in self._placed else ():
                try:
                    placed.append(Placed(place.partition, record.offset, read_event(record.value)))
                except UnreadableError as fault:
                    await self._unreadable(record, fault)
        reaches: dict[int, Reach] = {}
        for place, records in found.items():
            if place in self._placed:  # it may have been displaced since: then all of it is read again
                end = records[-1].offset + 1
                reaches[place.partition] = Reach(self._placed[place], end, at(records[-1].timestamp))
                self._placed[place] = end
        if reaches:
            await self._hand_over(reaches, placed)

    async def _hand_over(self, reaches: dict[int, Reach], placed: list[Placed]) -> None:
        await self._room.acquire()
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._under_way.add(done)

        def settle(fault: Exception | None) -> None:
            self._under_way.discard(done)
            self._room.release()
            done.set_result(fault)
            if fault is None:
                self._stored |= {partition: reach.end for partition, reach in reaches.items()}
            else:
                self._begin_again(fault)

        await self._feed(EventBatch(reaches, placed, settle))

    def _begin_again(self, fault: Exception) -> None:
        """The archive is not where this reader thought: another archivist, or a rebuild."""
        assert isinstance(fault, OvertakenError)
        logger.info("archive_moved", reason=str(fault))
        self._consumer.pause(*self._consumer.assignment())
        self._placed.clear()

    async def _idle(self) -> None:
        """Tell the archive that it is complete as of now."""
        now = at(self._clock.now_ms())
        places = list(self._placed)
        try:
            ends = await self._consumer.end_offsets(places)
            reaches = {
                place.partition: Reach(start, start, now)
                for place, start in self._placed.items()
                if ends.get(place) == await self._consumer.position(place)
            }
            if reaches:
                await self._progress.touch(reaches)
        except (ArchiveAwayError, KafkaError) as away:
            self._tell_away(away)

    def _tell_away(self, away: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._waiting_since is None or now - self._waiting_since > 30:
            self._waiting_since = now
            logger.warning("archive_away", reason=str(away))

    async def _settled(self) -> None:
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=FINISH_S)

    async def _commit(self) -> None:
        """For tools: what counts is what the archive itself says."""
        offsets = {
            place: OffsetAndMetadata(self._stored[place.partition], "")
            for place in self._placed
            if place.partition in self._stored
        }
        if offsets:
            try:
                await self._consumer.commit(offsets)
            except KafkaError as error:
                logger.info("offsets_not_committed", reason=str(error))


def within(place: TopicPartition, start: int, oldest: int) -> int:
    """Where to read from: the oldest record where what is wanted is gone."""
    if 0 < start < oldest:
        logger.warning("events_gone", partition=place.partition, wanted=start, oldest=oldest)
    return max(start, oldest)
