"""Records as bytes: packs, versions, and faults that say what to mend."""

import json

import msgspec
import pytest
from builders import a_cancel, a_create, a_row, an_edit
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import Create
from schemas.rows import Claim, Progress
from schemas.times import at
from schemas.wire import (
    PACK_BYTES_MAX,
    PACK_COUNT_MAX,
    Fault,
    NewerRecordError,
    UnreadableError,
    elements,
    encode,
    explain,
    packs,
    read_acks,
    read_commands,
    read_due,
    read_outcome,
    read_timetable,
)

CREATE = json.loads(encode(a_create()))


def changed(**over) -> bytes:
    """A create with fields of its message changed; None takes one away."""
    message = {k: v for k, v in (CREATE["message"] | over).items() if v is not None}
    return json.dumps(CREATE | {"message": message}).encode()


@given(st.lists(st.integers(2, 8_000), max_size=400))
def test_packs_hold_all_in_order_and_none_is_too_large(sizes):
    items = [b'"%s"' % (b"x" * (size - 1)) for size in sizes]
    found = list(packs(items))
    assert [bytes(e) for pack in found for e in elements(pack)] == items
    assert all(len(elements(p)) <= PACK_COUNT_MAX for p in found)
    assert all(len(p) <= PACK_BYTES_MAX + 2 for p in found)


def test_packs_are_cut_by_count():
    assert [len(elements(p)) for p in packs([b"1"] * 401)] == [200, 200, 1]


def test_packs_are_cut_by_size():
    half = b'"%s"' % (b"x" * (PACK_BYTES_MAX // 2 - 10))  # two of these fill a pack, a third does not fit
    assert [len(elements(p)) for p in packs([half] * 5)] == [2, 2, 1]


def test_an_element_larger_than_a_pack_has_one_to_itself():
    large = b'"%s"' % (b"x" * PACK_BYTES_MAX)
    assert [len(elements(p)) for p in packs([b"1", large, b"2"])] == [1, 1, 1]
    assert list(packs([])) == []


def test_commands_come_one_by_one_or_packed():
    commands = [a_create(), an_edit(priority=3), a_cancel()]
    pack = next(packs(map(encode, commands)))
    assert read_commands(pack) == commands
    assert read_commands(b" \n" + encode(commands[2])) == [commands[2]]
    assert read_commands(b"[]") == []


@pytest.mark.parametrize(
    ("value", "field", "problem", "remedy"),
    [
        (None, "", "no value", "JSON object"),
        (b"", "", "no value", "JSON object"),
        (b"{", "", "truncated", "correct"),
        (b"[{]", "", "is not JSON", "JSON object"),
        (b"\xff", "", "malformed", "correct"),
        (b"[" * 100_000, "", "recursion", "JSON object"),
        (b'{"a":' * 100_000, "", "recursion", "correct"),
        (b"7", "", "Expected `object`", "correct"),
        (json.dumps(CREATE | {"v": 2}).encode(), "v", "is 2", "upgrade"),
        (json.dumps(CREATE | {"v": 2, "shape": "unheard of"}).encode(), "v", "is 2", "upgrade"),
        (json.dumps(CREATE | {"kind": "smite"}).encode(), "kind", "Invalid value 'smite'", "create, edit, cancel"),
        (json.dumps(CREATE | {"colour": 1}).encode(), "colour", "unknown field", "list of fields"),
        (b'{"kind":"cancel","id":"m"}', "command_id", "missing required field", "add it"),
        (b'{"kind":"cancel","command_id":"c"}', "id", "missing required field", "add it"),
        (changed(due_at=None), "due_at", "missing required field", "add it"),
        (changed(due_at="2026-11-23T08:00:00"), "due_at", "timezone", "give the offset"),
        (changed(due_at="tomorrow"), "due_at", "RFC3339", "write RFC 3339"),
        (changed(colour=1), "colour", "unknown field", "list of fields"),
        (changed(channel=None), "channel", "is missing", "correct"),
        (changed(channel="Log"), "channel", "regex", "characters that are allowed"),
        (changed(priority=10), "priority", "<= 9", "correct"),
        (changed(retry={"delays": ["soon"]}), "retry.delays[0]", "duration", "ISO 8601"),
        (changed(body_base64="?"), "body_base64", "is not base64", "standard base64"),
        (changed(expires_at="2000-01-01T00:00:00Z"), "expires_at", "is not after", "correct"),
        (changed(id="x" * 301), "id", "length <= 300", "correct"),
    ],
)  # fmt: skip
def test_a_fault_names_the_field_the_problem_and_the_remedy(value, field, problem, remedy):
    (fault,) = read_commands(value)
    assert isinstance(fault, Fault)
    assert fault.field == field
    assert problem in fault.problem
    assert remedy in fault.remedy
    assert str(fault) == f"{field or 'record'}: {fault.problem} ({fault.remedy})"


def test_a_bad_command_leaves_its_pack_alone():
    good = [a_create(), a_cancel()]
    pack = b"[" + b",".join([encode(good[0]), b'{"v":9}', changed(priority="x"), encode(good[1])]) + b"]"
    first, version, type_, last = read_commands(pack)
    assert [first, last] == good
    assert [version.field, type_.field] == ["v", "priority"]


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_at_all_raise(value):
    assert all(isinstance(found, Fault) for found in read_commands(value))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_no_json_at_all_raises(value):
    found = read_commands(json.dumps(CREATE | {"message": CREATE["message"] | {"metadata": value}}).encode())
    assert len(found) == 1
    assert isinstance(found[0], Create) is isinstance(value, dict)


def test_rows_claims_and_progress_come_back():
    for record in (a_row(), Claim(owner="a", at=at(0)), Progress(epoch=3, commands=4, acks=5)):
        assert read_timetable(encode(record)) == record


@pytest.mark.parametrize("read", [read_timetable, read_due, read_acks, read_outcome])
def test_a_record_of_a_newer_release_says_so(read):
    with pytest.raises(NewerRecordError, match=r"version 2 was found.*deploy that release"):
        read(b'{"v":2,"kind":"something new"}' if read in (read_timetable, read_outcome) else b'[{"v":1},{"v":2}]')


def test_a_newer_version_of_a_known_record_says_so():
    with pytest.raises(NewerRecordError):
        read_timetable(encode(Claim(v=2, owner="a", at=at(0))))


@pytest.mark.parametrize("value", [b"", b"{", b'{"kind":"row"}', b"\xff", b"[" * 100_000])
def test_a_record_of_ours_that_is_not_what_it_should_be_is_told(value):
    with pytest.raises(UnreadableError):
        read_timetable(value)


def test_a_fault_without_a_path_has_no_field():
    assert explain(msgspec.DecodeError("what?")) == Fault("", "what?", "correct the value and send it again")
