"""One flow, or one whole channel, in one due partition: how much of its rate is used."""

from schemas.flow_limits import FlowLimits, Pace, exhausted, free_at_us, pace_of, taken
from schemas.outcomes import Paced


class Gate:
    """`given`: slots handed out, some of them to messages that wait in the timetable; `sent`: sends planned; `begun`.

    All three are states of GCRA. Slots are handed out once and in order, so that no message waits twice for the same;
    sends are planned where they come in, so that a crowd whose slots have passed meanwhile does not go out as one; and
    counted where they begin, so that those planned for the time of a busy loop do not follow each other at once.
    Where a request is on its way into its socket, time stands still here until it has surely left.
    """

    __slots__ = (
        "_leaving",
        "_left_us",
        "_since_us",
        "begun_us",
        "given_up",
        "given_us",
        "key",
        "limits",
        "pace",
        "sent_us",
        "share",
    )

    def __init__(self, key: str, share: int, known: Paced | None) -> None:
        """`share`: of how many equal parts this is one; `known`: what a courier wrote down of it."""
        self.key, self.share = key, share
        self.limits: FlowLimits | None = None
        self.pace: Pace | None = None
        self.given_up = False
        """Whether the slots that were given count no more, once it is set anew."""
        self.given_us = 0 if known is None else known.given_us
        self.begun_us = self.sent_us = 0 if known is None else known.sent_us
        self._leaving = self._since_us = self._left_us = 0

    def set(self, limits: FlowLimits, now_us: int) -> None:
        """Its limits as they are now. What is used stays used, as far as the new rate could have used it by now."""
        if limits is not self.limits:
            self.limits, self.pace = limits, pace_of(limits, self.share)
            if self.pace is not None:
                self.sent_us = min(self.sent_us, exhausted(now_us, self.pace))
                self.begun_us = min(self.begun_us, self.sent_us)
            if self.given_up:
                self.given_up, self.given_us = False, min(self.given_us, self.sent_us)

    def doubt(self, until_us: int) -> None:
        """Sends that nobody wrote down may have begun up to then: at most a whole burst of them."""
        if self.pace is not None:
            self.begun_us = max(self.begun_us, exhausted(until_us, self.pace))
            self.sent_us = max(self.sent_us, self.begun_us)

    def plan_us(self, pace: Pace, now_us: int) -> int:
        """When a send that has its slot could begin."""
        return free_at_us(self.sent_us, now_us, pace)

    def slot_us(self, pace: Pace, now_us: int) -> int:
        """Give the next slot."""
        self.given_us = max(self.given_us, self.sent_us)
        at_us = free_at_us(self.given_us, now_us, pace)
        self.given_us = taken(self.given_us, at_us, pace)
        return at_us

    def plan(self, pace: Pace, at_us: int) -> None:
        """A send is to begin at this time."""
        self.sent_us = taken(self.sent_us, at_us, pace)

    def free_us(self, now_us: int) -> int:
        """When the next send may begin."""
        if self.pace is None:
            return now_us
        if not self._leaving:
            return free_at_us(self.begun_us, now_us, self.pace)
        at_us = free_at_us(self.begun_us, self._since_us, self.pace)
        return now_us if at_us <= self._since_us else max(at_us, now_us + 1_000)

    def begin(self, now_us: int) -> None:
        """A send begins."""
        if self.pace is not None:
            self.begun_us = taken(self.begun_us, now_us, self.pace)
            self.sent_us = max(self.sent_us, self.begun_us)

    def leave(self, now_us: int) -> None:
        """A send begins, and its request leaves this process with the present step."""
        if not self._leaving:
            self._since_us, self._left_us = now_us, self.begun_us
        self._leaving += 1
        self.begin(now_us)

    def left(self, now_us: int) -> None:
        """One that was leaving has left, at the latest now: by a busy machine's clock later than it began."""
        self._leaving -= 1
        if self.pace is not None:
            self._left_us = taken(self._left_us, now_us, self.pace)
            self.begun_us = max(self.begun_us, self._left_us)
            self.sent_us = max(self.sent_us, self.begun_us)

    def state(self) -> Paced:
        """To be written down with the outcome of a message."""
        return Paced(self.key, self.given_us, self.sent_us)
