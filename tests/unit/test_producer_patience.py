"""A look at a log's end while brokers are away is made again; only long silence, or a real fault, is told."""

import pytest
from aiokafka.errors import KafkaTimeoutError, NodeNotReadyError, TopicAuthorizationFailedError

from agents.ports import LogBrokenError
from topology import producer
from topology.producer import patiently


class Broker:
    def __init__(self, *faults):
        self.faults = list(faults)

    async def __call__(self):
        if self.faults:
            raise self.faults.pop(0)
        return 7


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(producer, "RETRY_S", 0)


async def test_brokers_that_come_back_are_waited_for():
    assert await patiently(Broker(NodeNotReadyError("away"), KafkaTimeoutError("slow"))) == 7


async def test_long_silence_is_told(monkeypatch):
    monkeypatch.setattr(producer, "GIVE_UP_S", -1)
    with pytest.raises(LogBrokenError, match="no broker has answered"):
        await patiently(Broker(NodeNotReadyError("away")))


async def test_what_waiting_does_not_mend_is_told_at_once():
    with pytest.raises(LogBrokenError, match="TopicAuthorizationFailed"):
        await patiently(Broker(TopicAuthorizationFailedError("no")))
