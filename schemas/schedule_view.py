"""A schedule as people see it: what it did, what it will do."""

from itertools import islice

from schemas.commands import Answer
from schemas.decisions import Policy
from schemas.occurrence_past import past_of
from schemas.recurrence import nominal_text, occurrences
from schemas.schedule_commands import ScheduleLook, ScheduleView, Upcoming, summary
from schemas.schedule_draft import ScheduleSeen
from schemas.schedule_rows import HISTORY_KEPT, MANUAL, ScheduleRow, nominal_of
from schemas.times import at

UPCOMING = 10


def looked(seen: ScheduleSeen, command: ScheduleLook, now_ms: int, policy: Policy) -> Answer:
    """All that is known of a schedule."""
    row = seen.row
    if row is None:
        return Answer(command_id=command.command_id, id=command.id, result="not_found")
    view = schedule_view(row, seen, now_ms, policy)
    return Answer(command_id=command.command_id, id=command.id, result="found", revision=row.revision, schedule=view)


def schedule_view(row: ScheduleRow, seen: ScheduleSeen, now_ms: int, policy: Policy) -> ScheduleView:
    """The row with what has become of its open occurrences, and the next ones."""
    upcoming = _upcoming(row, seen, now_ms)
    opened = []
    for key in row.open:
        got = seen.get(row.id_of(key))
        if got is not None:
            past = past_of(key, *got, policy)
            if past.state != "scheduled" or past.nominal <= at(now_ms):
                opened.append(past)
    history = sorted((*row.history, *opened), key=lambda past: past.nominal)
    return summary(
        row,
        next_due_at=next((u.due_at for u in upcoming if u.exception != "cancelled"), None),
        definition=row.definition,
        exceptions=row.exceptions,
        upcoming=upcoming,
        history=tuple(history[-HISTORY_KEPT:]),
    )


def _upcoming(row: ScheduleRow, seen: ScheduleSeen, now_ms: int) -> tuple[Upcoming, ...]:
    """Those that are made and wait, then those of the plan; none of a schedule that does nothing."""
    now = at(now_ms)
    found: dict[str, Upcoming] = {}
    for key in row.open:
        got, nominal = seen.get(row.id_of(key)), nominal_of(key)
        if got is None or nominal is None or got[0].finished or (nominal <= now and not key.endswith(MANUAL)):
            continue
        exception = row.exceptions.get(key)
        found[key] = Upcoming(
            id=got[0].id, nominal=nominal, due_at=got[0].message.due_at, made=True,
            exception=exception.kind if exception else "",
        )  # fmt: skip
    if row.state == "active":
        for occurrence in islice(occurrences(row.definition, row.id, row.through, row.counted), UPCOMING):
            key = nominal_text(occurrence.nominal)
            exception = row.exceptions.get(key)
            due = occurrence.due if exception is None or exception.due_at is None else exception.due_at
            if key not in found and occurrence.nominal > now:
                found[key] = Upcoming(
                    id=row.id_of(key), nominal=occurrence.nominal, due_at=due,
                    exception=exception.kind if exception else "",
                )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda u: u.nominal)[:UPCOMING])
