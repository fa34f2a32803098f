"""The Faust app that both workers are: its group says which partitions are ours; what lies in them is read as bytes."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import faust
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from topology.clients import faust_credentials
from topology.clock import boot_ms
from topology.collector import calm_collector
from topology.group_offsets import committed, move, set_back
from topology.health import HealthPortError, HealthServer, Readiness
from topology.lease import HeartbeatLease
from topology.settings import Settings
from topology.watchdog import Standing, Watchdog
from topology.watches import StandingMetrics

logger = structlog.get_logger(__name__)
HEARTBEATS_PER_SESSION = 5
EXIT_BROKEN = 70
FETCH_WAIT_MS = 50
"""How long a broker may hold a fetch that finds nothing.

aiokafka has one fetch under way per broker: while one that asks for idle partitions hangs, the busy ones wait. With
Faust's 1,500 ms, 1,000 messages a second went from p50 12 ms to seconds, and stayed there (measured).
"""


class Grants(Protocol):
    """What a worker does with the partitions it is given."""

    async def start(self) -> None:
        """Connect, look at the topics. Raises what is wrong with them."""
        ...

    async def revoke(self) -> None:
        """Finish what is under way, within bounds, and let all partitions go."""
        ...

    async def assign(self, partitions: dict[str, set[int]]) -> None:
        """These partitions, by topic, are ours now. No event of theirs comes before this has returned."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...

    def owns(self) -> int:
        """How many partitions are here."""
        ...

    async def standings(self) -> Sequence[Standing]:
        """How far each partition that is caught up has come. Raises KafkaError."""
        ...

    def waiting(self) -> Sequence[str]:
        """What was assigned and is not caught up yet, as `topic/partition`."""
        ...


class ClepsydraApp(faust.App):
    """Tells its grants of rebalances; before Faust waits for streams, since what is under way is theirs to finish."""

    grants: Grants
    lease: HeartbeatLease
    standing: StandingMetrics
    health: HealthServer | None = None
    connected = joined = restart_helps = False
    leased = True
    disconnect_within_s: float | None = None
    """Where it has a process of its own: longer than this it does not wait for its connections to close."""
    watching: asyncio.Task[None] | None = None

    async def on_first_start(self) -> None:
        """Faust makes its own directory, not those above it."""
        try:
            self.conf.datadir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            leave(error)
        await super().on_first_start()

    async def on_start(self) -> None:
        """Connect before the group is joined."""
        await super().on_start()
        try:
            await self.grants.start()
        except Exception as error:  # noqa: BLE001 - told, then the process ends
            leave(error)
        self.connected = True
        if self.health is not None:
            try:
                logger.info("health_served", url=await self.health.start())
            except HealthPortError as error:
                leave(error)
        self.watching = asyncio.create_task(self._watchdog().run(), name="watchdog")
        calm_collector()

    def _watchdog(self) -> Watchdog:
        return Watchdog(
            self.grants.standings,
            lambda topic, partition: committed(self.consumer, topic, partition),
            lambda topic, partition, offset: move(self.consumer, topic, partition, offset),
            leave,
            restart_helps=self.restart_helps,
            metrics=self.standing,
        )

    async def on_stop(self) -> None:
        """Let go and disconnect."""
        if self.watching is not None:
            self.watching.cancel()
        await self.grants.revoke()
        if self.disconnect_within_s is not None:
            asyncio.get_running_loop().call_later(self.disconnect_within_s, cut_short)
        await super().on_stop()
        if self.health is not None:
            await self.health.stop()
        if self.connected:
            await self.grants.stop()

    def readiness(self) -> Readiness:
        """Whether it owns its share and has caught up: a lease that has run out means that it may not act at all."""
        return Readiness(self.joined and self.lease(), self.grants.owns(), self.grants.waiting())

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        """Commit and go on: the grants have finished what was under way, the rest is never acked here but replayed."""
        consumer._unacked_messages.clear()  # noqa: SLF001 - Faust would wait for them without end
        await super()._consumer_wait_empty(consumer, logger)

    def _watch_group(self) -> None:
        """From before the first join on: where it takes longer than the lease, the assignment itself renews it."""
        client = self.consumer._thread._consumer  # noqa: SLF001 - Faust has no public way to it
        self.lease.watch(client._coordinator)  # noqa: SLF001 - see HeartbeatLease.watch
        client._fetcher._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - 1,500 in Faust's source

    async def _on_partitions_revoked(self, revoked: Any) -> None:
        self._watch_group()
        self.joined = False
        await self.grants.revoke()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        self._watch_group()
        for place in await set_back(self.consumer._thread, assigned):  # noqa: SLF001 - Faust has no public way to it
            logger.warning("group_offset_set_back", place=place, reason="it was beyond the end of the log")
        partitions: dict[str, set[int]] = {}
        for tp in assigned:
            partitions.setdefault(tp.topic, set()).add(tp.partition)
        await self.grants.assign(partitions)
        await super()._on_partitions_assigned(assigned, generation_id)
        self.joined = True


AnyApp = TypeVar("AnyApp", bound=ClepsydraApp)


def make_app(name: str, settings: Settings, registry: CollectorRegistry, kind: type[AnyApp]) -> AnyApp:
    """An app set up as docs/decisions.md says: no tables, raw bytes, commits often, static membership only by name."""
    session_s = settings.session_timeout.total_seconds()
    app = kind(
        f"{settings.prefix}{name}",
        broker=[f"kafka://{broker}" for broker in settings.brokers.split(",")],
        broker_credentials=faust_credentials(settings),
        store="memory://",
        datadir=str(settings.data / "faust"),
        stream_wait_empty=True,
        broker_commit_interval=settings.commit_interval.total_seconds(),
        broker_session_timeout=session_s,
        broker_heartbeat_interval=max(0.3, session_s / HEARTBEATS_PER_SESSION),
        broker_request_timeout=max(12.0, session_s + 2),
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance and f"{name}-{settings.instance}",
        consumer_max_fetch_size=4 * 1024 * 1024,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=1,
        stream_buffer_maxsize=1024,
        web_enabled=False,
        loghandlers=[],
    )
    app.lease = HeartbeatLease(boot_ms, int(settings.session_timeout / timedelta(milliseconds=1)))
    app.standing = StandingMetrics(registry, app.lease if kind.leased else None, settings.partitions)
    ProcessCollector(registry=registry)
    if settings.health_port is not None:
        app.health = HealthServer(settings.host, settings.health_port, registry, app.readiness)
    return app


def raw_topic(app: ClepsydraApp, name: str, partitions: int) -> Any:
    """A topic whose records arrive as they are: a decoding error in Faust would be acked."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", partitions=partitions
    )


def leave(error: BaseException, exit_now: Callable[[int], None] = os._exit) -> None:
    """End this process at once, saying why: what survives kill -9 needs no gentler way to end (rule 8)."""
    try:
        logger.critical("process_ends", reason=f"{type(error).__name__}: {error}", remedy=remedy_of(error))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # a log that cannot be written, as on a full disk, must not keep it alive
        exit_now(EXIT_BROKEN)


def cut_short(exit_now: Callable[[int], None] = os._exit) -> None:
    """End a stop whose connections do not close (seen once in some hundred): all that was under way is durable."""
    try:
        logger.warning(
            "stop_cut_short", remedy="nothing: all was durable; its group may notice after a session time-out"
        )
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        exit_now(0)


def remedy_of(error: BaseException) -> str:
    """What a person can do."""
    remedies = {
        "NewerRecordError": "deploy the newer release here too: a release reads version n+1 before any writes it",
        "LogBrokenError": "nothing is lost: start it again; look at the brokers if it keeps happening",
        "DiskError": "free space or mend the data directory; the mirror is rebuilt from Kafka",
        "TopicsError": "run `clepsydra topics check`, then `clepsydra topics create`",
        "HealthPortError": "stop what listens there, or set CLEPSYDRA_HEALTH_PORT to another (0: any free one)",
        "StandsStillError": "look at what the partition waits for: the brokers, a channel that never returns; it is replayed",
        "KafkaConnectionError": "check CLEPSYDRA_BROKERS, that Kafka runs, and CLEPSYDRA_SECURITY_PROTOCOL",
        "AuthenticationFailedError": "check CLEPSYDRA_SASL_USERNAME, _PASSWORD and _MECHANISM",
        "TopicAuthorizationFailedError": "grant the rights that docs/operations.md lists for this process",
        "GroupAuthorizationFailedError": "grant the rights that docs/operations.md lists for this process",
    }
    return remedies.get(type(error).__name__, "start it again: everything is replayed; report it if it keeps happening")
