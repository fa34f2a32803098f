"""`on_finished`: the message that tells of another's end (DESIGN section 8)."""

from msgspec import Raw

from schemas.commands import Announce
from schemas.decisions import Policy
from schemas.events import Event
from schemas.message import Message
from schemas.rows import Row
from schemas.times import ms_of
from schemas.wire import encode


def announcements(row: Row, events: tuple[Event, ...], now_ms: int, policy: Policy) -> tuple[Announce, ...]:
    """The command that makes it, wherever the final event is told: derived from it, so that the same again changes nothing.

    What is repeated when the idempotency window is over was made long ago, and may be forgotten by now.
    """
    wish = row.message.on_finished
    if wish is None or row.finished_at is None or (wish.states and row.state.value not in wish.states):
        return ()
    if now_ms >= ms_of(row.finished_at) + policy.idempotency_ms:
        return ()
    return tuple(
        Announce(
            command_id=event.event_id,
            message=Message(
                id=f"{row.id}!finished",
                due_at=row.finished_at,
                channel=policy.announce_by,
                to=wish.url,
                body=Raw(encode(event)),
                content_type="application/json",
            ),
        )
        for event in events
        if event.kind == "finished"
    )
