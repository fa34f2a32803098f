"""`due_at` without an offset, with its zone beside it, is one instant: for a message and for an edit alike."""

import msgspec
import pytest

from gateway.problems import ProblemError
from gateway.requests import read_changes, read_message

ROME = {"timezone": "Europe/Rome"}
NAIVE = "2027-01-04T08:00:00"


def due_of(**given: str) -> list[str]:
    """What a message and an edit make of it, as it goes into Kafka."""
    new = read_message(msgspec.json.encode({"id": "m", "channel": "log"} | given)).named("m")
    changes = read_changes(msgspec.json.encode(given)).changes()
    return [msgspec.to_builtins(record)["due_at"] for record in (new, changes)]


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        ({"due_at": "2027-01-04T08:00:00+01:00"}, "2027-01-04T08:00:00+01:00"),
        ({"due_at": NAIVE} | ROME, "2027-01-04T07:00:00Z"),  # winter: UTC+1
        ({"due_at": "2027-07-04T08:00:00"} | ROME, "2027-07-04T06:00:00Z"),  # summer: UTC+2
        ({"due_at": "2027-03-28T02:30:00"} | ROME, "2027-03-28T01:30:00Z"),  # in the gap: an hour later, 03:30 UTC+2
        ({"due_at": "2027-03-28T02:30:00", "gap": "shift_back"} | ROME, "2027-03-28T00:30:00Z"),  # 01:30 UTC+1
        ({"due_at": "2027-10-31T02:30:00"} | ROME, "2027-10-31T00:30:00Z"),  # in the fold: UTC+2 first
        ({"due_at": "2027-10-31T02:30:00", "fold": "second"} | ROME, "2027-10-31T01:30:00Z"),  # then UTC+1
    ],
)
def test_a_local_time_is_the_instant_that_its_zone_says(given, instant):
    assert due_of(**given) == [instant, instant]


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"due_at": NAIVE}, "due_at", "has no offset"),
        ({"due_at": NAIVE, "timezone": "Mars/Olympus"}, "timezone", "is no IANA time zone"),
        ({"due_at": NAIVE + "Z"} | ROME, "timezone", "stands beside a `due_at` with an offset"),
        ({"due_at": NAIVE + "Z", "gap": "skip"}, "gap", "has no `timezone`"),
        ({"due_at": NAIVE, "fold": "second"}, "fold", "has no `timezone`"),
        ({"due_at": "2027-03-28T02:30:00", "gap": "skip"} | ROME, "due_at", "does not exist in Europe/Rome"),
        ({"due_at": NAIVE, "fold": "both"} | ROME, "fold", "Invalid enum value"),
    ],
)
def test_what_is_no_instant_is_refused_with_the_field(given, field, said):
    for read, more in ((read_message, {"channel": "log"}), (read_changes, {})):
        with pytest.raises(ProblemError) as refused:
            read(msgspec.json.encode(given | more))
        (fault,) = refused.value.details.errors
        assert (fault.field, said in fault.problem) == (field, True), fault


def test_a_zone_alone_changes_nothing():
    with pytest.raises(ProblemError, match="has no `due_at` beside it"):
        read_changes(msgspec.json.encode(ROME))
