"""Channels are files that are found."""

import sys
from types import SimpleNamespace

import pytest

import agents.channels
from agents.channels import channels_off, found_channels, made_channels, retry_delays, scan
from agents.channels.log import LogChannel
from agents.channels.settings import ChannelFactory, ChannelSettings
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
    assert set(found_channels()) == {"log", "webhook", "kafka", "email", "apprise"}
    assert channels_off() == {}


def test_a_channel_that_is_not_set_up_is_not_used(clock):
    assert set(made_channels(ChannelSettings(), clock)) == {"log", "webhook", "kafka"}
    email = ChannelSettings(email_server="127.0.0.1:25", email_from="a@b.org")
    assert set(made_channels(email, clock)) == {"log", "webhook", "kafka", "email"}


class Point:
    """An entry point of another package."""

    dist = SimpleNamespace(name="acme-sms")

    def __init__(self, name, found):
        self.name, self.value, self._found = name, f"acme:{name}", found

    def load(self):
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def brought(monkeypatch, *points):
    monkeypatch.setattr(agents.channels, "entry_points", lambda group: points if group == "clepsydra.channels" else ())


def test_another_package_brings_a_channel_by_entry_point(monkeypatch):
    brought(monkeypatch, Point("sms", ChannelFactory("sms", LogChannel)))
    assert scan().found["sms"].name == "sms"


def test_what_another_package_does_wrong_is_told_and_stops_nothing(monkeypatch):
    brought(
        monkeypatch,
        Point("broken", ImportError("no acme")),
        Point("log", ChannelFactory("log", LogChannel)),
        Point("none", "no factory"),
        Point("other", ChannelFactory("another", LogChannel)),
    )
    found = scan()
    assert found.found.keys() == {"log", "webhook", "kafka", "email", "apprise"}
    assert found.off == {
        "broken": "channel broken of acme-sms cannot be loaded: ImportError: no acme",
        "log of acme-sms": "there is a channel log already: its package has to rename it",
        "none": "acme:none of acme-sms is no ChannelFactory of the name none",
        "other": "acme:other of acme-sms is no ChannelFactory of the name other",
    }


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
    assert delays == dict.fromkeys(("log", "webhook", "kafka"), STANDARD_WEBHOOKS_MS)
    own = made_channels(ChannelSettings(delays_ms=(1_000,)), clock)
    assert {channel.delays_ms for channel in own.values()} == {(1_000,)}
