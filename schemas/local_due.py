"""A due time without an offset, and the time zone beside it, as one instant."""

from datetime import datetime
from typing import Literal

from schemas.zones import Fold, Gap, instants, zone

DueGap = Literal["skip", "shift_forward", "shift_back"]
DueFold = Literal["first", "second"]


def due_instant(due_at: datetime, timezone: str | None, gap: DueGap | None, fold: DueFold | None) -> datetime:
    """The instant; what has an offset is one. Raises ValueError, naming the field, for what is none or says it twice."""
    if timezone is None:
        if gap or fold:
            raise ValueError(f"`{'gap' if gap else 'fold'}` has no `timezone` beside it: name one, or take it out")
        if due_at.tzinfo is None:
            raise ValueError(
                "`due_at` has no offset: give the offset, as in ...Z or ...+01:00, or a `timezone` beside it"
            )
        return due_at
    if due_at.tzinfo is not None:
        raise ValueError("`timezone` stands beside a `due_at` with an offset: take one of the two out")
    found = instants(due_at, zone(timezone), Gap(gap or Gap.SHIFT_FORWARD), Fold(fold or Fold.FIRST))
    if not found:
        raise ValueError(f"`due_at` does not exist in {timezone}, where the clocks go forward over it: give another")
    return found[0]
