"""What becomes of a person's word on what is dead or unknown: retry, discard, mark as sent. Called by decide alone."""

from typing import assert_never

from msgspec.structs import replace

from schemas.commands import ByHandCommand, Discard, MarkSent, RetryDead
from schemas.decide_answers import answer_to, not_found, noted, refused, remembered, shown
from schemas.decide_end import finished
from schemas.decide_events import delivery_event, final_event
from schemas.decisions import Asked, Decision, Policy, Seen
from schemas.events import Event
from schemas.lifecycle import Move, Resume, Vouch, transition
from schemas.rows import ByHand, Delivery, Moment, Result, Row
from schemas.times import at, ms_of

MARKED = "marked as sent by hand"
WORDS: dict[type[ByHandCommand], str] = {RetryDead: "retried by hand", Discard: "discarded", MarkSent: MARKED}


def decided_by_hand(seen: Seen, asked: Asked, command: ByHandCommand, now_ms: int, policy: Policy) -> Decision:
    """One target, or all that are dead or unknown; the others go on as they are."""
    row = seen.row
    if row is None:
        return not_found(asked, command)
    fault = _fault(row, command, now_ms)
    if fault:
        return refused(seen, asked, command, *fault, now_ms)
    chosen = {d.target for d in row.deliveries if d.held and command.target in (None, d.target)}
    deliveries = tuple(_acted(seen, d, command, now_ms) if d.target in chosen else d for d in row.deliveries)
    new = _reopened(replace(row, deliveries=deliveries), command)
    note = remembered(asked, command, new, "accepted", shown(seen, new))
    target = command.target if len(deliveries) > 1 else None
    moment = Moment(at=at(now_ms), what=WORDS[type(command)], target=target) if chosen else None
    new = noted(new, seen, note, now_ms, moment)
    if chosen:
        new = finished(new, now_ms, policy)
    return Decision(
        writes=True,
        row=new,
        events=_events(new, command, chosen),
        answer=replace(answer_to(command, note), repeated=not chosen),
        remember=note,
    )


def _fault(row: Row, command: ByHandCommand, now_ms: int) -> tuple[Result, str] | None:
    """Why nothing can be done; a discard of what is discarded is done already."""
    last = len(row.deliveries) - 1
    if command.target is not None and command.target > last:
        return "refused", f"`target` is {command.target}: the message has targets 0 to {last}"
    meant = [d for d in row.deliveries if command.target in (None, d.target)]
    if not any(d.held or (d.discarded and isinstance(command, Discard)) for d in meant):
        return "wrong_state", f"{_found(meant)}: only what is dead or unknown can be {_done(command)}"
    expires = row.message.expires_at
    if isinstance(command, RetryDead) and expires is not None and ms_of(expires) <= now_ms:
        return "refused", "`expires_at` is past: it would expire again; schedule a new message"
    return None


def _found(meant: list[Delivery]) -> str:
    if len(meant) > 1:
        return "no target is dead or unknown"
    return f"target {meant[0].target} is {'discarded' if meant[0].discarded else meant[0].state.value}"


def _done(command: ByHandCommand) -> str:
    match command:
        case RetryDead():
            return "tried again"
        case Discard():
            return "discarded"
        case MarkSent():
            return "marked as sent"
        case _:
            assert_never(command)


def _acted(seen: Seen, d: Delivery, command: ByHandCommand, now_ms: int) -> Delivery:
    match command:
        case RetryDead():
            anew = replace(d, by_hand=ByHand(turn=d.turn + 1, attempts=d.attempts), due_at=at(now_ms))
            return _next_turn(seen, anew, Resume(now_ms), WORDS[RetryDead])
        case Discard():
            return replace(d, discarded=True)
        case MarkSent():
            return _next_turn(seen, replace(d, maybe_sent=False), Vouch(), MARKED)
        case _:
            assert_never(command)


def _next_turn(seen: Seen, d: Delivery, move: Move, reason: str) -> Delivery:
    """A turn of its own: the courier sends it again, a late ack of the last one changes nothing (rule 3, `turn`)."""
    moved = transition(d.state, move, maybe_sent=d.maybe_sent, attempts=d.attempts)
    assert moved is not None
    return replace(d, state=moved.state, turn=d.turn + 1, turn_epoch=seen.epoch, reason=reason)


def _reopened(row: Row, command: ByHandCommand) -> Row:
    """What is tried again or found to be sent comes to another end than before, which is told anew."""
    match command:
        case RetryDead():
            return replace(row, finished_at=None, forget_at=None)
        case MarkSent():
            return replace(row, finished_at=None)
        case Discard():
            return row
        case _:
            assert_never(command)


def events_by_hand(row: Row, command: ByHandCommand) -> tuple[Event, ...]:
    """What was told of it, for a replay: as far as the row still is as it was then."""
    match command:
        case RetryDead():
            done = {d.target for d in row.deliveries if d.by_hand is not None and d.by_hand.turn == d.turn}
        case Discard():
            done = {d.target for d in row.deliveries if d.discarded}
        case MarkSent():
            done = {d.target for d in row.deliveries if d.reason == MARKED}
        case _:
            assert_never(command)
    return _events(row, command, done)


def _events(row: Row, command: ByHandCommand, done: set[int]) -> tuple[Event, ...]:
    moved = [d for d in row.deliveries if d.target in done]
    match command:
        case RetryDead():
            return tuple(delivery_event(row, d, kind="retried") for d in moved)
        case Discard():
            return tuple(delivery_event(row, d, kind="discarded") for d in moved)
        case MarkSent():
            return (*(delivery_event(row, d) for d in moved), *(final_event(row) if moved else ()))
        case _:
            assert_never(command)
