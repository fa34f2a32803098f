"""What the HTTP API stands on: connections and views that live as long as it does."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from agents.ports import Clock
from topology.archive import Archive
from topology.clock import SystemClock
from topology.commander import ANSWER_TIMEOUT_S, Commander
from topology.event_ends import event_ends
from topology.producer import Kafka
from topology.settings import Settings
from topology.settings_table import SettingsTable
from topology.topics import TopicNames
from topology.windows_view import WindowsView

MS = timedelta(milliseconds=1)


class Parts(NamedTuple):
    """One gateway's."""

    settings: Settings
    clock: Clock
    commander: Commander
    table: SettingsTable
    windows: WindowsView
    archive: Archive
    event_ends: Callable[[], Awaitable[dict[int, int]]]
    """Where `events` ends now, by partition: up to there the archive knows all that was answered, once it has caught up."""


async def connect_parts(
    settings: Settings,
    stack: AsyncExitStack,
    ending: Callable[[BaseException], None],
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
) -> Parts:
    """All connected; the stack closes them in turn. `ending` is told of what only a new process mends.

    Raises CommanderStartError, KafkaError.
    """
    clock, names = SystemClock(), TopicNames(settings.prefix)
    commander = Commander(settings, answer_timeout_s=answer_timeout_s)
    stack.push_async_callback(commander.stop)
    await commander.start()
    kafka = Kafka(settings.brokers, client_id="clepsydra-gateway", security=settings.kafka_security())
    stack.push_async_callback(kafka.stop)
    await kafka.start()
    table = SettingsTable(kafka, names.settings, ending)
    stack.push_async_callback(table.stop)
    await table.start()
    windows = WindowsView(kafka, names.windows, settings.partitions, clock, settings.look_ahead // MS)
    archive = await stack.enter_async_context(Archive(settings))
    ends = partial(event_ends, kafka, names.events, settings.partitions)
    return Parts(settings, clock, commander, table, windows, archive, ends)
