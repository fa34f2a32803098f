"""What comes in over HTTP, before anything is asked of anyone."""

import pytest
from starlette.requests import Request

from gateway.problems import ProblemError
from gateway.requests import Keyed, check_id, field_fault, read_changes, read_key, read_message, read_revision
from schemas.wire import Fault


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs})


@pytest.mark.parametrize(
    ("body", "status", "field", "remedy"),
    [
        (b"{", 400, "", "JSON"),
        (b"\xff", 400, "", "JSON"),
        (b"[]", 422, "", ""),
        (b'{"due_at":"2026-01-01T00:00:00Z","channel":"webhook","colour":1}', 422, "colour", "list of fields"),
        (b'{"channel":"webhook"}', 422, "due_at", "add it"),
        (b'{"due_at":"2026-01-01T00:00:00","channel":"webhook"}', 422, "due_at", "offset"),
        (b'{"due_at":"tomorrow","channel":"webhook"}', 422, "due_at", "RFC 3339"),
        (b'{"due_at":"2026-01-01T00:00:00Z"}', 422, "channel", "name a channel"),
        (b'{"due_at":"2026-01-01T00:00:00Z","channel":"webhook","id":"a@b"}', 422, "id", "another character"),
        (b'{"due_at":"2026-01-01T00:00:00Z","channel":"webhook","priority":10}', 422, "priority", "correct"),
        (b'{"due_at":"2026-01-01T00:00:00Z","channel":"log","body_base64":"?"}', 422, "body_base64", ""),
        (b'{"metadata":' + b'{"a":' * 100_000, 400, "", "JSON"),
    ],
)  # fmt: skip
def test_a_fault_names_the_field_and_the_remedy(body: bytes, status: int, field: str, remedy: str):
    with pytest.raises(ProblemError) as caught:
        read_message(body)
    (fault,) = caught.value.details.errors
    assert (caught.value.status, fault.field) == (status, field)
    assert remedy in fault.remedy
    assert fault.problem


def test_a_message_without_an_id_is_named_and_its_body_kept_as_given():
    new = read_message(b'{"due_at":"2026-01-01T00:00:00Z","channel":"log","body":{"z": 1.10, "a": 1e400}}')
    message = new.named("m")
    assert (message.id, bytes(message.body)) == ("m", b'{"z":1.10,"a":1e400}')


def test_an_edit_that_changes_nothing_is_refused():
    with pytest.raises(ProblemError, match="changes nothing"):
        read_changes(b"{}")


def test_a_key_gives_the_same_id_and_command_for_the_same_request_only():
    key, again, other = Keyed("k"), Keyed("k"), Keyed("l")
    assert key.message_id() == again.message_id() != other.message_id()
    assert key.message_id() == "c6b0b3cf-0733-524b-9260-5bd888c0a28c"
    first = key.command_id("POST", "m", b"{}")
    assert first == again.command_id("POST", "m", b"{}")
    assert first not in {
        other.command_id("POST", "m", b"{}"), key.command_id("PATCH", "m", b"{}"),
        key.command_id("POST", "n", b"{}"), key.command_id("POST", "m", b"{} "),
    }  # fmt: skip
    assert len(Keyed("x" * 255).command_id("DELETE", "y" * 200, b"")) <= 300


def test_without_a_key_nothing_is_the_same():
    assert Keyed(None).message_id() != Keyed(None).message_id()
    assert Keyed(None).command_id("POST", "m", b"") != Keyed(None).command_id("POST", "m", b"")


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_impossible_key_is_refused(key: str):
    with pytest.raises(ProblemError, match="Idempotency-Key"):
        read_key(request(Idempotency_Key=key))


@pytest.mark.parametrize(
    ("given", "revision"), [('"3"', 3), ("3", 3), ('W/"12"', 12), ("*", None), (None, None)]
)  # fmt: skip
def test_if_match_is_a_revision(given: str | None, revision: int | None):
    assert read_revision(request(**({} if given is None else {"If_Match": given}))) == revision


def test_another_if_match_is_refused():
    with pytest.raises(ProblemError, match="If-Match"):
        read_revision(request(If_Match='"abc"'))


@pytest.mark.parametrize("message_id", ["x" * 301, "a\x00b"])
def test_an_id_that_no_message_can_have_is_refused(message_id: str):
    with pytest.raises(ProblemError, match="id"):
        check_id(message_id)


def test_a_rules_sentence_is_taken_apart():
    assert field_fault("`due_at` is late: mend it") == Fault("due_at", "is late", "mend it")
    assert field_fault("no field") == Fault("", "no field", "correct the value and send it again")
