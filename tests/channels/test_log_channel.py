"""The log channel."""

import logging

import pytest
import structlog
from msgspec import Raw

from agents.channels.log import LogChannel
from agents.channels.settings import ChannelSettings
from schemas.outcomes import Delivered


@pytest.fixture
def channel(clock):
    return LogChannel(ChannelSettings(), clock)


def at_once(coroutine):
    """What a coroutine returns that never waits."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_it_never_waits(channel, due, caplog, level):
    caplog.set_level(level, logger="agents.channels.log")
    with structlog.testing.capture_logs():
        assert at_once(channel.send(due(channel="log"))) == Delivered()


def test_each_message_is_one_line(channel, due, caplog):
    caplog.set_level(logging.INFO, logger="agents.channels.log")
    with structlog.testing.capture_logs() as lines:
        at_once(channel.send(due(channel="log", to="me", body=Raw(b'"hi"'))))
    said = {"key": "m1/0", "to": "me", "attempt": 1, "body": "hi"}
    assert lines == [{"event": "message", "log_level": "info"} | said]


def test_nothing_is_said_below_info(channel, due, caplog):
    caplog.set_level(logging.WARNING, logger="agents.channels.log")
    with structlog.testing.capture_logs() as lines:
        at_once(channel.send(due(channel="log", body_base64="not base64")))
    assert lines == []
