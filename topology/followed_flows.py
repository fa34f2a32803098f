"""The flows of a worker: its settings, as they change, told to what asks for limits on the way of each message."""

import asyncio
from collections.abc import Callable

import structlog

from agents.flows import Flows
from agents.ports import LogBrokenError
from schemas.settings_records import Flow, StoppedEndpoint
from topology.producer import Kafka
from topology.settings_table import SettingsTable

logger = structlog.get_logger(__name__)


class FollowedFlows:
    """`flows` are current from `start` to `stop`."""

    def __init__(self, flows: Flows, kafka: Kafka, topic: str, broken: Callable[[BaseException], None]) -> None:
        """Follows nothing before `start`. `broken`: see SettingsTable."""
        self.flows = flows
        self.table = SettingsTable(kafka, topic, broken)
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """All that was set before is known. Raises KafkaError, NewerRecordError, LogBrokenError."""
        await self.table.start()
        self.table.on_change(Flow, self.flows.put)
        self.table.on_change(StoppedEndpoint, self.flows.put_endpoint)
        self.flows.report_gone = self._report

    async def stop(self) -> None:
        """Follow no more."""
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self.table.stop()

    def _report(self, stopped: StoppedEndpoint) -> None:
        """Known here at once, to the other processes as soon as it is written."""
        self.flows.put_endpoint(stopped.key, stopped)
        task = asyncio.create_task(self._write(stopped))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _write(self, stopped: StoppedEndpoint) -> None:
        try:
            await self.table.put(stopped)
        except LogBrokenError as fault:
            logger.warning("endpoint_stop_not_written", url=stopped.url, fault=str(fault))
