"""What a message knows of the schedule that made it."""

from datetime import datetime, timedelta

from msgspec import Struct

MISSED_MARK, SKIPPED_MARK, TAKEN_BACK_MARK = "missed: ", "skipped: ", "taken back: "
"""What a delivery's reason begins with where its schedule's policy ended it."""


class OccurrenceOf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`start_within`: without a first attempt so long after its due time it is missed.

    `alone`: not while a former run is unfinished; `latest`: not late where a later one runs.
    """

    schedule: str
    nominal: datetime
    start_within: timedelta | None = None
    alone: bool = False
    latest: bool = False
    manual: bool = False
