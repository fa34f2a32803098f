"""The states of a delivery and of a message, and the one function that moves a delivery."""

from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never

from msgspec import Struct


class DeliveryState(StrEnum):
    """Where one target of a message is."""

    SCHEDULED = "scheduled"  # waits for its due time, or for its slot; may be edited and cancelled
    EMITTED = "emitted"  # handed to the couriers; shown only: never written to the timetable (rule 2)
    RETRYING = "retrying"  # an attempt failed, the next one waits; timing may be edited, it may be cancelled
    DELIVERED = "delivered"  # the receiver took it
    DEAD = "dead"  # refused for good, or out of attempts: a dead letter
    CANCELLED = "cancelled"  # stopped before any send
    EXPIRED = "expired"  # its `expires_at` passed before a send
    UNKNOWN = "unknown"  # a send may or may not have reached the receiver; held for a person or a policy


class MessageState(StrEnum):
    """The states of its deliveries, told as one word."""

    SCHEDULED = "scheduled"
    EMITTED = "emitted"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    DEAD = "dead"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


LIVE = frozenset({DeliveryState.SCHEDULED, DeliveryState.EMITTED, DeliveryState.RETRYING})
HELD_WHOLE = frozenset({DeliveryState.DEAD, DeliveryState.UNKNOWN})
"""Finished, but a person may still retry, discard or mark as sent: the row stays whole."""


class Delivered(Struct, frozen=True):
    """The receiver took it."""


class RetryAt(Struct, frozen=True):
    """The attempt failed; another is due at `due_ms`."""

    due_ms: int


class GiveUp(Struct, frozen=True):
    """Refused for good, or no attempt is left."""


class PutOff(Struct, frozen=True):
    """No attempt was made; due at `due_ms`."""

    due_ms: int


class Lapse(Struct, frozen=True):
    """It is past its `expires_at`."""


class Stop(Struct, frozen=True):
    """Cancelled by its sender."""


class Doubt(Struct, frozen=True):
    """Nobody knows whether it was sent, and the channel has no key that would make a repeat safe."""


class Resume(Struct, frozen=True):
    """A person wants a dead or unknown one tried again, at `due_ms`."""

    due_ms: int


class Vouch(Struct, frozen=True):
    """A person says that a dead or unknown one was sent."""


Move = Delivered | RetryAt | GiveUp | PutOff | Lapse | Stop | Doubt | Resume | Vouch


class Moved(Struct, frozen=True):
    """The state a delivery moves to; `due_ms` and a new turn where it will be emitted again."""

    state: DeliveryState
    due_ms: int | None = None


def transition(state: DeliveryState, move: Move, *, maybe_sent: bool, attempts: int) -> Moved | None:
    """Where a move takes a delivery; None where it takes it nowhere: only a person moves a finished one.

    What may have been sent is never called cancelled or expired (rule 10, `maybe_sent`): it becomes unknown.
    """
    if state not in LIVE:
        return _by_hand(move) if state in HELD_WHOLE else None
    match move:
        case Delivered():
            return Moved(DeliveryState.DELIVERED)
        case RetryAt(due_ms):
            return Moved(DeliveryState.RETRYING, due_ms)
        case PutOff(due_ms):
            return Moved(DeliveryState.RETRYING if attempts else DeliveryState.SCHEDULED, due_ms)
        case GiveUp():
            return Moved(DeliveryState.DEAD)
        case Lapse():
            return Moved(DeliveryState.UNKNOWN if maybe_sent else DeliveryState.EXPIRED)
        case Stop():
            return Moved(DeliveryState.UNKNOWN if maybe_sent else DeliveryState.CANCELLED)
        case Doubt():
            return Moved(DeliveryState.UNKNOWN)
        case Resume() | Vouch():
            return None
        case _:
            assert_never(move)


def _by_hand(move: Move) -> Moved | None:
    match move:
        case Resume(due_ms):
            return Moved(DeliveryState.RETRYING, due_ms)
        case Vouch():
            return Moved(DeliveryState.DELIVERED)
        case _:
            return None


AS_MESSAGE: dict[DeliveryState, MessageState] = {s: MessageState(s.value) for s in DeliveryState}
WORST_FIRST = (DeliveryState.UNKNOWN, DeliveryState.DEAD, DeliveryState.EXPIRED, DeliveryState.CANCELLED)


def message_state(states: Iterable[DeliveryState]) -> MessageState:
    """One word for all deliveries: live ones first, then all or some delivered, else the worst."""
    seen = set(states)
    if len(seen) == 1:
        return AS_MESSAGE[seen.pop()]
    for live in (DeliveryState.EMITTED, DeliveryState.RETRYING, DeliveryState.SCHEDULED):
        if live in seen:
            return MessageState(live.value)
    if DeliveryState.DELIVERED in seen:
        return MessageState.PARTIAL
    return MessageState(next(s for s in WORST_FIRST if s in seen).value)


def is_finished(states: Iterable[DeliveryState]) -> bool:
    """Whether no delivery will move by itself any more."""
    return LIVE.isdisjoint(states)
