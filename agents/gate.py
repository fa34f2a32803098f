"""One flow, or one whole channel, in one due partition: how much of its rate is used."""

from schemas.flow_limits import FlowLimits, Pace, exhausted, free_at_us, pace_of, taken
from schemas.outcomes import Paced


class Gate:
    """`given`: slots handed out, some of them to messages that wait in the timetable; `sent`: sends planned; `begun`.

    All three are states of GCRA. Slots are handed out once and in order, so that no message waits twice for the same;
    sends are planned where they come in, so that a crowd whose slots have passed meanwhile does not go out as one; and
    counted where they begin, so that those planned for the time of a busy loop do not follow each other at once.
    """

    __slots__ = ("begun_us", "given_up", "given_us", "key", "limits", "pace", "sent_us", "share")

    def __init__(self, key: str, share: int, known: Paced | None) -> None:
        """`share`: of how many equal parts this is one; `known`: what a courier wrote down of it."""
        self.key, self.share = key, share
        self.limits: FlowLimits | None = None
        self.pace: Pace | None = None
        self.given_up = False
        """Whether the slots that were given count no more, once it is set anew."""
        self.given_us = 0 if known is None else known.given_us
        self.begun_us = self.sent_us = 0 if known is None else known.sent_us

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
        return now_us if self.pace is None else free_at_us(self.begun_us, now_us, self.pace)

    def begin(self, now_us: int) -> None:
        """A send begins."""
        if self.pace is not None:
            self.begun_us = taken(self.begun_us, now_us, self.pace)
            self.sent_us = max(self.sent_us, self.begun_us)

    def state(self) -> Paced:
        """To be written down with the outcome of a message."""
        return Paced(self.key, self.given_us, self.sent_us)
