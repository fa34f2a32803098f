"""What a recurrence would give, and how its faults are told."""

from datetime import UTC, datetime

import pytest

from gateway.problems import ProblemError
from gateway.requests import decoded
from schemas.preview import Preview, preview

NOW = datetime(2027, 3, 27, 12, tzinfo=UTC)


def of(body: str) -> Preview:
    return decoded(body.encode(), Preview)


def test_a_preview_goes_over_the_change_of_the_clocks():
    asked = of('{"recurrence": {"cron": "30 2 * * *"}, "timezone": "Europe/Rome", "count": 2}')
    found = preview(asked, NOW)
    assert found.occurrences == ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"]
    assert found.local == ["2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"]
    assert not found.ends


def test_from_is_included_and_may_be_local():
    asked = of(
        '{"recurrence": {"every": "PT1H"}, "timezone": "Europe/Rome", "from": "2027-01-01T00:00:00", "count": 1}'
    )
    assert preview(asked, NOW).occurrences == ["2026-12-31T23:00:00Z"]


def test_a_preview_tells_that_a_recurrence_ends():
    rule = '{"rrule": "FREQ=DAILY;COUNT=2", "dtstart": "2027-05-01T09:00:00"}'
    found = preview(of('{"recurrence": ' + rule + "}"), NOW)
    assert (found.occurrences, found.ends) == (["2027-05-01T09:00:00Z", "2027-05-02T09:00:00Z"], True)


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        ('{"recurrence": {"cron": "0 2 30 2 *"}}', "recurrence.cron", "fields are numbers"),
        ('{"recurrence": {"cron": "0 2 * *"}}', "recurrence.cron", "@daily"),
        ('{"recurrence": {}}', "recurrence", "exactly one"),
        ('{"recurrence": {"cron": "0 2 * * *", "often": true}}', "recurrence.often", "list of fields"),
        ('{"recurrence": {"rrule": "FREQ=DAILY"}}', "recurrence.dtstart", "2026-01-01T09:00:00"),
        ('{"recurrence": {"cron": "0 2 * * *"}, "gap": "jump"}', "gap", "correct"),
        ('{"recurrence": {"every": "hourly"}}', "recurrence.every", "PT5S"),
        ('{"recurrence": {"every": "PT1H"}, "timezone": "Europe/Roma"}', "timezone", "Europe/Rome"),
    ],
)
def test_a_fault_names_the_field_and_the_remedy(body, field, remedy):
    with pytest.raises(ProblemError) as told:
        of(body)
    (fault,) = told.value.details.errors
    assert fault.field == field
    assert remedy in fault.remedy
