"""What a courier lets others see: counters and gauges are kept outside its logic."""

from typing import Protocol

from schemas.outcomes import Outcome


class CourierWatch(Protocol):
    """Told of what happens in couriers. Called in the hot path: be quick, never raise."""

    def delivered(self, channel: str, outcome: Outcome, lateness_ms: int) -> None:
        """An outcome is durable. `lateness_ms`: begin of the send minus due time; 0 where nothing was sent."""
        ...

    def repeat_dropped(self, channel: str) -> None:
        """A due message was not sent: its turn is recorded, or being sent."""
        ...

    def void_dropped(self, channel: str) -> None:
        """A due message of an older epoch was not sent."""
        ...

    def in_flight(self, channel: str, change: int) -> None:
        """So many messages were taken in hand (positive) or finished (negative)."""
        ...


class Unwatched:
    """Nobody looks."""

    def delivered(self, channel: str, outcome: Outcome, lateness_ms: int) -> None:
        """Nothing."""

    def repeat_dropped(self, channel: str) -> None:
        """Nothing."""

    def void_dropped(self, channel: str) -> None:
        """Nothing."""

    def in_flight(self, channel: str, change: int) -> None:
        """Nothing."""
