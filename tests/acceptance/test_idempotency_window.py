"""An id is remembered for the idempotency window after its message is finished, and then free again. By decisions alone."""

from msgspec import Raw

from schemas.commands import Cancel, Create
from schemas.decide import decide
from schemas.decisions import Asked, Forgotten, Policy, Seen
from schemas.message import Message
from schemas.times import at

NOON = 1_790_000_040_000
WINDOW_MS = 60_000
POLICY = Policy(delays_ms={"log": ()}, idempotency_ms=WINDOW_MS)


def message(text: str) -> Message:
    return Message(id="a", due_at=at(NOON + 1_000), channel="log", body=Raw(b'"%s"' % text.encode()))


def after(row, command, offset, now_ms):
    return decide(Seen(row=row), Asked(command, offset, now_ms), now_ms, POLICY)


def test_an_id_can_be_used_again_after_the_window_and_not_before():
    first = Create(command_id="1", message=message("first"))
    row = after(None, first, 7, NOON).row
    row = after(row, Cancel(command_id="2", id="a"), 8, NOON).row
    assert row.forget_at == at(NOON + WINDOW_MS)

    before_ms = NOON + WINDOW_MS - 1
    assert not decide(Seen(row=row), Forgotten("a"), before_ms, POLICY).writes
    again = after(row, Create(command_id="3", message=message("first")), 9, before_ms)
    assert (again.answer.result, again.answer.repeated) == ("accepted", True)
    other = Create(command_id="4", message=message("other"))
    assert after(row, other, 10, before_ms).answer.result == "conflict"

    over = decide(Seen(row=row), Forgotten("a"), NOON + WINDOW_MS, POLICY)
    assert (over.writes, over.row) == (True, None), "a tombstone"
    new = after(None, other, 11, NOON + WINDOW_MS)
    assert (new.answer.result, new.row.birth, new.row.message.body) == ("accepted", 11, other.message.body)
