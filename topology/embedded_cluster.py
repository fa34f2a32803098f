"""Three real brokers on this machine, as in production: replication 3, min ISR 2. For tests and chaos."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

from topology.embedded_kafka import EmbeddedKafka, random_cluster_id
from topology.embedded_process import free_port

NODES = 3


class EmbeddedCluster:
    """Brokers that are controllers too; enter it to start them. A broker is lost with `nodes[n].kill()`."""

    def __init__(self, data: Path, *, progress: Callable[[str], None] = lambda _line: None) -> None:
        cluster_id = random_cluster_id()
        ports: list[int] = []
        while len(ports) < 2 * NODES:
            if (port := free_port()) not in ports:
                ports.append(port)
        voters = ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(ports[NODES:]))
        self.nodes = [
            EmbeddedKafka(
                data / f"broker-{n + 1}",
                ports[n],
                progress=progress,
                controller_port=ports[NODES + n],
                cluster_id=cluster_id,
                properties=_properties(n + 1, voters),
            )
            for n in range(NODES)
        ]

    @property
    def bootstrap(self) -> str:
        """All of them, with commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(node.start() for node in self.nodes))
        except BaseException:
            for node in self.nodes:
                node.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()


def _properties(node: int, voters: str) -> dict[str, str]:
    replicated = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "min.insync.replicas": "2",
        **{f"{name}.replication.factor": "3" for name in replicated},
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.min.isr": "2",
    }
