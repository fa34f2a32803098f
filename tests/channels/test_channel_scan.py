"""Channels are files that are found."""

import sys

import pytest

import agents.channels
from agents.channels import channels_off, found_channels, made_channels, retry_delays, scan
from agents.channels.settings import ChannelSettings
from schemas.retry import STANDARD_WEBHOOKS_MS

SMS = """
{imports}
from agents.channels.settings import ChannelFactory
from agents.channels.log import LogChannel

CHANNEL = ChannelFactory("sms", LogChannel)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that counts as part of agents/channels for one test."""
    monkeypatch.setattr(agents.channels, "__path__", [*agents.channels.__path__, str(tmp_path)])
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("agents.channels.sms")]:
        del sys.modules[name]


def test_every_channel_of_this_release_is_found():
    assert {"log", "webhook", "kafka"} <= set(found_channels())
    assert channels_off() == {}


def test_a_file_with_a_channel_is_found(folder):
    (folder / "sms.py").write_text(SMS.format(imports=""))
    assert scan().found["sms"].name == "sms"


def test_a_channel_whose_library_is_missing_is_off_and_says_what_to_install(folder):
    (folder / "sms.py").write_text(SMS.format(imports="import no_such_library.client"))
    assert scan().off == {"sms": "channel sms is off: install the extra sms (no_such_library is missing)"}
    assert "sms" not in scan().found


def test_a_part_of_a_channel_is_not_taken_for_one(folder):
    (folder / "sms.py").write_text(SMS.format(imports="import no_such_library"))
    (folder / "sms_text.py").write_text("import no_such_library")
    assert set(scan().off) == {"sms"}


def test_a_fault_of_our_own_is_not_hidden(folder):
    (folder / "sms.py").write_text(SMS.format(imports="import schemas.no_such_file"))
    with pytest.raises(ModuleNotFoundError, match="schemas"):
        scan()


def test_retry_delays_are_told_without_starting_anything(clock):
    delays = retry_delays(ChannelSettings(), clock)
    assert delays == dict.fromkeys(found_channels(), STANDARD_WEBHOOKS_MS)
    own = made_channels(ChannelSettings(delays_ms=(1_000,)), clock)
    assert {channel.delays_ms for channel in own.values()} == {(1_000,)}
