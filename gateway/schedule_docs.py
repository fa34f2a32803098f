"""What the document says of the operations on schedules."""

from gateway.openapi import Shown, described
from schemas.preview import Preview, Previewed

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
