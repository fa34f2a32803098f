"""The spout's agent: one event per partition that this process owns; it then emits until the partition goes."""

import asyncio
from collections.abc import Callable
from typing import Any

from agents.owner import PartitionOwner


def make_emit_due(owners: Callable[[int], PartitionOwner | None]) -> Callable[[Any], Any]:
    """`emit_due`: fed by a channel inside the process with the numbers of partitions that are owned and caught up."""

    async def emit_due(stream: Any) -> None:
        async with asyncio.TaskGroup() as spouts:
            async for partition in stream:
                owner = owners(partition)
                if owner is not None:
                    spouts.create_task(owner.emit())

    return emit_due
