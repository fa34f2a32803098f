"""When to try again. The delay is exact; the jitter is another function."""

from hashlib import blake2b

from msgspec import Struct

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS

STANDARD_WEBHOOKS_MS = (
    5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS,
    10 * HOUR_MS, 14 * HOUR_MS, 20 * HOUR_MS, 24 * HOUR_MS,
)  # fmt: skip
"""Delays after the first attempt, at 0: 75.6 h in all (Standard Webhooks, "Retries")."""

JITTER = 0.1


class Again(Struct, frozen=True):
    """Try again this much later."""

    delay_ms: int


class NoMore(Struct, frozen=True):
    """The last attempt was made."""


def next_delay(delays_ms: tuple[int, ...], attempts: int, asked_ms: int | None) -> Again | NoMore:
    """The delay after the nth attempt (from 1); a receiver's `Retry-After` (RFC 9110, 10.2.3) can only lengthen it."""
    if attempts > len(delays_ms):
        return NoMore()
    return Again(max(delays_ms[attempts - 1], asked_ms or 0))


def attempts_left(delays_ms: tuple[int, ...], attempts: int) -> int:
    """How many more the schedule allows after the nth attempt."""
    return max(0, len(delays_ms) + 1 - attempts)


def jittered(delay_ms: int, seed: str) -> int:
    """The delay lengthened by up to a tenth, evenly, the same for the same seed: replays decide the same."""
    draw = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest()) / 2**32
    return delay_ms + int(delay_ms * JITTER * draw)
