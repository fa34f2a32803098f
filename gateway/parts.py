"""What the HTTP API stands on: connections and views that live as long as it does."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import NamedTuple

from agents.ports import Clock
from topology.clock import SystemClock
from topology.commander import ANSWER_TIMEOUT_S, Commander
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
    return Parts(settings, clock, commander, table, windows)
