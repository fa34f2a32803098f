"""What the document says of the operations on schedules."""

from gateway.openapi import Shown, described
from gateway.schedule_answers import Changed, Occurrences, Triggered
from gateway.schedule_list import Schedules
from gateway.schedule_requests import Backfill, NewSchedule, Pause
from schemas.preview import Preview, Previewed
from schemas.schedule_commands import ScheduleView

NEW = {
    "id": "nightly-backup",
    "recurrence": {"cron": "30 2 * * *"},
    "timezone": "Europe/Rome",
    "message": {"channel": "webhook", "to": "https://example.com/hooks/backup", "body": {"app": "crm"}},
    "missed": "latest",
    "catch_up": "PT12H",
    "overlap": "skip",
}
CHANGED = {"id": "nightly-backup", "state": "active", "revision": 1, "next_due_at": "2027-03-28T01:30:00Z"}
UPCOMING = {
    "id": "nightly-backup@2027-03-28T01:30:00Z",
    "nominal": "2027-03-28T01:30:00Z",
    "due_at": "2027-03-28T01:30:00Z",
    "made": True,
}
HISTORY = [
    {"nominal": "2027-03-26T01:30:00Z", "state": "sent", "at": "2027-03-26T01:30:00.812Z"},
    {
        "nominal": "2027-03-27T01:30:00Z",
        "state": "missed",
        "at": "2027-03-27T20:11:05Z",
        "reason": "no scheduler ran; it is later than `catch_up`",
    },
]
SUMMARY = {
    "id": "nightly-backup",
    "state": "active",
    "revision": 1,
    "recurrence": {"cron": "30 2 * * *"},
    "timezone": "Europe/Rome",
    "through": "2027-03-28T01:30:00Z",
    "next_due_at": "2027-03-28T01:30:00Z",
    "created_at": "2026-11-24T09:12:44.120Z",
    "updated_at": "2027-03-27T01:30:00.900Z",
}
VIEW = SUMMARY | {
    "definition": {name: value for name, value in NEW.items() if name != "id"},
    "upcoming": [UPCOMING],
    "history": HISTORY,
}
STANDS = Shown("how it now stands", Changed, CHANGED)
LOOKED = (404, 422, 503, 504)

ADD = described(
    "write",
    {201: Shown("made", Changed, CHANGED), 200: Shown("it was made before: the same answer again", Changed, CHANGED)},
    (400, 409, 413, 422, 503, 504),
    asked=Shown("the schedule", NewSchedule, NEW),
)
LIST = described("read", {200: Shown("a page", Schedules, {"schedules": [SUMMARY]})}, (422, 503, 504))
LOOK = described("read", {200: Shown("all that its owner knows", ScheduleView, VIEW)}, LOOKED)
OCCURRENCES = described(
    "read",
    {
        200: Shown(
            "past and coming runs",
            Occurrences,
            {"id": "nightly-backup", "history": HISTORY, "upcoming": [UPCOMING]},
        )
    },
    LOOKED,
)
EDIT = described(
    "write",
    {200: Shown("changed", Changed, CHANGED | {"revision": 2})},
    (400, 404, 412, 413, 422, 503, 504),
    asked=Shown("members to change, null to take one away", NewSchedule, {"missed": "skip", "note": None}),
)
REMOVE = described("write", {200: Shown("removed", Changed, CHANGED | {"state": "removed"})}, LOOKED)
PAUSE = described(
    "write",
    {200: Shown("paused", Changed, CHANGED | {"state": "paused"})},
    (400, *LOOKED),
    asked=Shown("a note, which may be left out", Pause, {"note": "the disk is full"}),
)
RESUME = described("write", {200: STANDS}, LOOKED)
TRIGGER = described(
    "write",
    {
        201: Shown(
            "the run",
            Triggered,
            {"id": "nightly-backup", "occurrence": "nightly-backup@2027-03-27T20:15:00.120Z!manual"},
        )
    },
    LOOKED,
)
BACKFILL = described(
    "write",
    {200: Shown("how many runs were made", Changed, CHANGED | {"runs": 3})},
    (400, 413, *LOOKED),
    asked=Shown("the period", Backfill, {"from": "2027-03-20T00:00:00Z", "to": "2027-03-27T00:00:00Z"}),
)

PREVIEW = described(
    "read",
    {
        200: Shown(
            "the first occurrences; `ends`: there are no more",
            Previewed,
            {
                "occurrences": ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"],
                "local": ["2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"],
                "ends": False,
            },
        )
    },
    (400, 413, 422),
    asked=Shown(
        "a recurrence, and from when on; needs no schedule",
        Preview,
        {
            "recurrence": {"cron": "30 2 * * *"},
            "timezone": "Europe/Rome",
            "gap": "shift_forward",
            "from": "2027-03-27T12:00:00Z",
            "count": 2,
        },
    ),
)
