"""Signatures as Standard Webhooks has them."""

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from agents.channels.webhook_signature import signature, signing_keys, webhook_id

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@given(st.text(), st.integers(0, 4_000_000_000), st.binary())
def test_the_signature_is_that_of_the_reference_library(key, seconds, body):
    sent_id = webhook_id(key)
    text = body.hex()
    expected = Webhook(SECRET).sign(sent_id, datetime.fromtimestamp(seconds, UTC), text)
    assert signature(signing_keys(SECRET), sent_id, str(seconds), text.encode()) == expected


def test_while_one_secret_replaces_another_both_sign():
    both = signature(signing_keys(f"{SECRET} {OTHER}"), "m/0", "1", b"x")
    assert both.split() == [signature(signing_keys(s), "m/0", "1", b"x") for s in (SECRET, OTHER)]


@given(st.text())
def test_an_id_is_visible_ascii_and_tells_its_key(key):
    sent_id = webhook_id(key)
    assert all("!" <= c <= "~" for c in sent_id)
    assert unquote(sent_id) == key


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("a/0", "a/0"),
        ("a b/0", "a%20b/0"),
        ("a%20b/0", "a%2520b/0"),
        ("ü@2026-01-01T00:00Z/0", "%C3%BC@2026-01-01T00:00Z/0"),
    ],
)
def test_an_ordinary_key_is_sent_as_it_is_and_any_other_percent_encoded(key, sent):
    assert webhook_id(key) == sent


@pytest.mark.parametrize(
    "secret",
    ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_short", "whsec_%%%", "whsec_" + "A" * 100, "whsec_\u00fc"],
)
def test_a_bad_secret_is_refused_without_being_shown(secret):
    with pytest.raises(ValueError, match="openssl rand -base64 32") as refused:
        signing_keys(secret)
    assert secret.removeprefix("whsec_")[:8] not in str(refused.value) or secret == "whsec_"
