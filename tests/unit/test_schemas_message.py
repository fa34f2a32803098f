"""A message as its sender asks for it: what is taken, what is kept, what is refused and how."""

import json
from base64 import b64encode
from datetime import timedelta

import msgspec
import pytest
from builders import NOON, a_content, a_message, a_row
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from schemas.message import (
    BODY_JSON_MAX,
    BODY_MAX,
    DEPTH_MAX,
    NO_BODY,
    Changes,
    Message,
    Retry,
    Target,
    body_bytes,
    edited,
    is_deep,
)
from schemas.rows import stubbed
from schemas.times import at
from schemas.wire import encode, read_timetable

DUE = '"due_at":"2026-11-23T08:00:00Z"'


def read(fields: str) -> Message:
    return msgspec.json.decode(f'{{"id":"m",{fields}}}', type=Message)


def kept(message: Message) -> Message:
    return msgspec.json.decode(encode(message), type=Message)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (DUE, "`channel` is missing"),
        (f'{DUE},"channel":"log","targets":[{{"channel":"log"}}]', "`targets` stands in place"),
        (f'{DUE},"to":"x","targets":[{{"channel":"log"}}]', "`targets` stands in place"),
        (f'{DUE},"channel":"log","expires_at":"2026-11-23T08:00:00Z"', "`expires_at` is not after `due_at`"),
        (f'{DUE},"channel":"log","body":1,"body_base64":""', "`body` and `body_base64` exclude"),
        (f'{DUE},"channel":"log","body_base64":"a"', "`body_base64` is not base64"),
        (f'{DUE},"channel":"log","body_base64":"ä"', "`body_base64` is not base64"),
        ('"channel":"log","due_at":"2026-11-23T08:00:00"', "timezone"),
        ('"channel":"log","due_at":"1969-12-31T23:59:59Z"', "`due_at` is not between 1970"),
        ('"channel":"log","due_at":"1970-01-01T00:00:00+01:00"', "`due_at` is not between 1970"),
        ('"channel":"log","due_at":"9999-12-31T23:59:59-12:00"', "`due_at` is not between 1970"),
        (f'{DUE},"channel":"Log"', r"\$.channel"),
        (f'{DUE},"channel":"log","priority":10', r"\$.priority"),
        (f'{DUE},"channel":"log","tags":{json.dumps(["t"] * 11)}', r"\$.tags"),
        (f'{DUE},"channel":"log","headers":{{"a b":"c"}}', r"\$.headers"),
        (f'{DUE},"channel":"log","headers":{{"a":"c\\nd"}}', r"\$.headers"),
        (f'{DUE},"channel":"log","retry":{{"delays":["P8D"]}}', "not between 0 s and 7 days"),
        (f'{DUE},"channel":"log","retry":{{"delays":["-PT1S"]}}', "not between 0 s and 7 days"),
        (f'{DUE},"channel":"log","colour":1', "unknown field `colour`"),
    ],
)
def test_a_bad_message_is_refused_with_the_name_of_its_field(fields, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        read(fields)


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ('{"z": 1.10,  "a":[1, 2e5]}', '{"z":1.10,"a":[1,2e5]}'),  # key order and numbers as they were
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ("null", "null"),
        ("  true", "true"),
        ('"a  b\\u00e4"', '"a  b\\u00e4"'),
    ],
)
def test_a_body_is_kept_exactly_less_white_space(given, is_kept):
    message = read(f'{DUE},"channel":"log","body":{given}')
    assert bytes(message.body) == bytes(kept(message).body) == is_kept.encode()


@given(st.text())
def test_a_text_is_sent_as_its_utf8(text):
    message = read(f'{DUE},"channel":"log","body":{json.dumps(text, ensure_ascii=False)}')
    escaped = read(f'{DUE},"channel":"log","body":{json.dumps(text)}')
    assert body_bytes(message.body, None) == body_bytes(escaped.body, None) == text.encode()


@given(st.binary())
def test_base64_is_sent_as_its_bytes(content):
    message = kept(a_message(body_base64=b64encode(content).decode()))
    assert body_bytes(message.body, message.body_base64) == content


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@given(json_values)
def test_any_json_comes_back_as_it_was(value):
    message = kept(read(f'{DUE},"channel":"log","body":{json.dumps(value, indent=2)}'))
    assert json.loads(bytes(message.body)) == value


def test_a_body_that_is_no_text_is_refused():
    with pytest.raises(msgspec.ValidationError, match="`body` is not UTF-8"):
        msgspec.json.decode(
            f'{{"id":"m",{DUE},"channel":"log","body":"@"}}'.encode().replace(b"@", b"\xff"), type=Message
        )


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"body": Raw(b'"%s"' % (b"x" * (BODY_MAX + 1)))}, f"`body` has {BODY_MAX + 1} bytes"),
        ({"body": Raw(b"[%s]" % (b"1," * (BODY_MAX // 2) + b"1"))}, f"`body` has {BODY_MAX + 3} bytes"),
        ({"body_base64": b64encode(b"x" * (BODY_MAX + 1)).decode()}, f"`body` has {BODY_MAX + 1} bytes"),
        ({"body": Raw(b'"%s"' % (b"\\u0001" * (BODY_JSON_MAX // 6)))}, "bytes as JSON"),
        ({"headers": {"h" * 100: "v" * 8_100}}, "`headers` are larger"),
        ({"metadata": {"k": "v" * 4_096}}, "`metadata` is larger"),
        ({"targets": (Target(channel="log", to="ä" * 2_048),) * 65}, "`targets` are larger"),  # 65 * 4,122 > 262,144
        ({"body": Raw(b"[" * 101 + b"]" * 101)}, "`body` is nested more than 100"),
        ({"body": Raw(b'{"a":' * 101 + b"1" + b"}" * 101)}, "`body` is nested more than 100"),
    ],
)
def test_what_is_too_large_is_refused_with_its_size(over, said):
    with pytest.raises(ValueError, match=said):
        a_message(**over)


def test_what_is_just_small_enough_is_taken():
    largest = a_message(body=Raw(b'"%s"' % (b"x" * BODY_MAX)), headers={"h" * 92: "v" * 8_100})
    assert len(body_bytes(largest.body, None)) == BODY_MAX
    assert kept(a_message(body=Raw(b"[" * 100 + b"]" * 100)))
    assert len(a_message(targets=(Target(channel="log", to="x" * 2_048),) * 100).aims()) == 100


@given(st.integers(0, 3), st.text(alphabet='[]{}"\\x'))
def test_depth_is_counted_outside_of_strings(more, text):
    inner = json.dumps(text).encode()
    deep = DEPTH_MAX - 1 + more
    assert is_deep(b'{"[":' * deep + inner + b"}" * deep) is (deep > DEPTH_MAX)
    assert not is_deep(b"[" + b",".join([b"[[" + inner + b"]]"] * 60) + b"]")


def test_nothing_left_of_a_body_is_written_as_no_body():
    """msgspec leaves a default out by identity: another empty Raw would be written as `"body":}`."""
    message = a_message(body=Raw(b'{"a":1}'), headers={"h": "v"}, metadata={"k": 1}, content_type="text/x")
    for emptied in (stubbed(message), edited(message, Changes(body_base64="")), a_message(body=Raw(b""))):
        assert emptied.body is NO_BODY
        assert json.loads(encode(emptied))
        assert kept(emptied) == emptied
    stub = msgspec.structs.replace(a_row(message), message=stubbed(message), stub=True)
    again = read_timetable(encode(stub))
    assert (encode(again), again.message) == (encode(stub), a_content())


def test_a_message_of_one_target_and_of_many_aims_alike():
    assert a_message(to="x").aims() == (Target(channel="log", to="x"),)
    targets = (Target(channel="log", to="a", flow="f"), Target(channel="webhook"))
    many = a_message(targets=targets, account="acc")
    assert (many.aims(), [many.flow_of(t) for t in targets]) == (targets, ["f", "acc"])
    assert a_message(flow="f", account="acc").flow_of(Target(channel="log")) == "f"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expires_at": at(NOON)}, "`expires_at` is not after"),
        ({"due_at": at(NOON + 60_000)}, "`expires_at` is not after"),
        ({"body": Raw(b"1"), "body_base64": "YQ=="}, "exclude each other"),
        ({"metadata": {"k": "v" * 4_096}}, "`metadata` is larger"),
    ],
)
def test_an_edit_must_leave_a_valid_message(changes, said):
    message = a_message(expires_at=at(NOON + 1_000))
    with pytest.raises(ValueError, match=said):
        edited(message, Changes(**changes))


def test_an_edit_changes_what_it_names_and_null_takes_away():
    message = a_message(to="a", body=Raw(b"1"), expires_at=at(NOON + 1_000), tags=("t",))
    changed = edited(message, Changes(to="b", expires_at=None, body=Raw(b'{"x": 2}')))
    assert changed == a_message(to="b", body=changed.body, tags=("t",))
    assert bytes(changed.body) == b'{"x":2}'


def test_the_address_of_many_targets_cannot_be_edited():
    with pytest.raises(ValueError, match="`to` cannot be edited"):
        edited(a_message(targets=(Target(channel="log"),)), Changes(to="b"))


def test_the_delays_of_a_message_are_durations():
    message = read(f'{DUE},"channel":"log","retry":{{"delays":["PT0S","PT5M","P7D"]}}')
    assert message.retry == Retry(delays=(timedelta(0), timedelta(minutes=5), timedelta(days=7)))


@pytest.mark.parametrize("name", ["authorization", "Authorization", "Cookie"])
def test_a_credential_is_named_not_given(name):
    with pytest.raises(msgspec.ValidationError, match="write secret:NAME"):
        read(f'{DUE},"channel":"log","headers":{{"{name}":"Bearer x"}}')
    assert read(f'{DUE},"channel":"log","headers":{{"{name}":"secret:TEAM"}}').headers == {name: "secret:TEAM"}
