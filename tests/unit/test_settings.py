"""Settings: read from the environment, every fault told at once."""

from datetime import timedelta

import pytest

from topology.settings import Settings, SettingsError, load_settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CLEPSYDRA_{name.upper()}", raising=False)


def test_without_an_environment_everything_has_a_default(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    settings = load_settings()
    assert (settings.brokers, settings.prefix, settings.partitions) == ("127.0.0.1:9092", "clepsydra.", 4)
    assert str(settings.data) == "/somewhere/clepsydra"
    assert settings.idempotency_window == timedelta(hours=24)
    assert settings.host == "127.0.0.1"


def test_due_topics_have_as_many_partitions_as_the_timetable_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("CLEPSYDRA_PARTITIONS", "7")
    assert load_settings().due_partitions == 7
    monkeypatch.setenv("CLEPSYDRA_DUE_PARTITIONS", "3")
    assert load_settings().due_partitions == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", timedelta(seconds=90)), ("PT1M30S", timedelta(seconds=90)), ("P1D", timedelta(days=1))],
)
def test_a_duration_is_a_number_of_seconds_or_iso_8601(monkeypatch, text, expected):
    monkeypatch.setenv("CLEPSYDRA_IDEMPOTENCY_WINDOW", text)
    assert load_settings().idempotency_window == expected


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("CLEPSYDRA_KAFKA_TOPICS", "orders, mails ,")
    monkeypatch.setenv("CLEPSYDRA_BROKERS", "a:1, b:2")
    settings = load_settings()
    assert settings.kafka_topics == ("orders", "mails")
    assert settings.brokers == "a:1,b:2"


def test_a_flag_goes_before_the_environment_and_one_that_was_not_given_does_not(monkeypatch):
    monkeypatch.setenv("CLEPSYDRA_PREFIX", "from-env.")
    monkeypatch.setenv("CLEPSYDRA_PORT", "81")
    settings = load_settings(prefix="from-flag.", port=None)
    assert (settings.prefix, settings.port) == ("from-flag.", 81)


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("CLEPSYDRA_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("CLEPSYDRA_API_KEY", "a-very-secret-key")
    settings = load_settings()
    assert settings.webhook_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings)
    assert "a-very-secret-key" not in repr(settings)


def test_all_faults_are_told_at_once_with_the_variable_and_what_is_allowed(monkeypatch):
    wrong = {
        "BROKERS": "nowhere",
        "PARTITIONS": "0",
        "SESSION_TIMEOUT": "soon",
        "MAX_IN_FLIGHT": "many",
        "WEBHOOK_SECRET": "hunter2",
        "IDEMPOTENCY_WINDOW": "P99D",
        "LOG_LEVEL": "loud",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(f"CLEPSYDRA_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    faults = caught.value.faults
    assert {fault.partition(":")[0] for fault in faults} == {f"CLEPSYDRA_{name}" for name in wrong}
    assert all("allowed: " in fault for fault in faults)
    assert "1 min to 30 days" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_change_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1
