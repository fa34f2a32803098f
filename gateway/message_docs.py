"""What the document says of the operations on one message."""

from gateway.answers import Accepted, Cancelled, MessageView
from gateway.openapi import Shown, described
from gateway.requests import NewContent, NewMessage

NEW = {
    "due_at": "2027-01-04T08:00:00+01:00",
    "channel": "webhook",
    "to": "https://example.com/hooks/post",
    "body": {"text": "Good morning"},
    "account": "acme",
}
CHANGES = {"due_at": "2027-01-04T09:30:00+01:00"}
ACCEPTED = {"id": "post-4711", "state": "scheduled", "due_at": "2027-01-04T07:00:00Z", "revision": 1}
CANCELLED = {"id": "post-4711", "state": "cancelled", "results": {"0": "cancelled"}}
VIEW = {
    "id": "post-4711",
    "state": "delivered",
    "due_at": "2027-01-04T07:00:00Z",
    "revision": 1,
    "as_of": "2027-01-04T07:00:03Z",
    "created_at": "2026-11-24T09:12:44.120Z",
    "updated_at": "2027-01-04T07:00:00.031Z",
    "forgotten_at": "2027-01-05T07:00:00.031Z",
    "channel": "webhook",
    "to": "https://example.com/hooks/post",
    "account": "acme",
    "priority": 5,
    "deliveries": [
        {
            "target": 0,
            "channel": "webhook",
            "to": "https://example.com/hooks/post",
            "flow": "acme",
            "state": "delivered",
            "due_at": "2027-01-04T07:00:00Z",
            "attempts": 1,
            "attempts_left": None,
            "maybe_sent": False,
            "first_attempt_at": "2027-01-04T07:00:00.004Z",
            "last_attempt_at": "2027-01-04T07:00:00.004Z",
            "last_response": {"status": 200, "headers": {"content-type": "text/plain"}, "body": "ok"},
            "reason": "",
        }
    ],
    "timeline": [
        {"at": "2026-11-24T09:12:44.120Z", "what": "scheduled"},
        {"at": "2027-01-04T07:00:00.031Z", "what": "delivered", "target": 0},
    ],
}

CREATE = described(
    "write",
    {
        201: Shown("scheduled", Accepted, ACCEPTED),
        200: Shown("it was scheduled before: the same answer again", Accepted, ACCEPTED),
    },
    (400, 409, 413, 422, 503, 504),
    asked=Shown("the message", NewMessage, NEW),
)
LOOK = described("read", {200: Shown("all that its owner knows", MessageView, VIEW)}, (404, 422, 503, 504))
EDIT = described(
    "write",
    {200: Shown("changed: the old version is never sent", Accepted, ACCEPTED | {"revision": 2})},
    (400, 404, 409, 412, 413, 422, 503, 504),
    asked=Shown("what to change", NewContent, CHANGES),
)
DELETE = described("write", {200: Shown("cancelled, now or before", Cancelled, CANCELLED)}, (404, 409, 422, 503, 504))
