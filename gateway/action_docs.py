"""What the document says of actions on a message and on dead letters."""

from gateway.answers import Accepted, Acted
from gateway.message_docs import ACCEPTED
from gateway.openapi import Shown, described
from gateway.requests import WhichTarget

RETRIED = {"id": "post-4711", "state": "retrying", "results": {"0": "retrying"}}
DISCARDED = {"id": "post-4711", "state": "dead", "results": {"0": "dead"}}
MARKED = {"id": "post-4711", "state": "delivered", "results": {"0": "delivered"}}
ONE = Shown("one target; without a body all that are dead or unknown", WhichTarget, {"target": 0})

SEND_NOW = described(
    "write",
    {200: Shown("due at once: a new revision", Accepted, ACCEPTED | {"revision": 2})},
    (404, 409, 422, 503, 504),
)
ERASE = described(
    "write",
    {200: Shown("erased, now or before", Accepted, ACCEPTED | {"state": "delivered"})},
    (404, 409, 422, 503, 504),
)
RETRY = described(
    "write", {200: Shown("due at once", Acted, RETRIED)}, (400, 404, 409, 413, 422, 503, 504), asked=ONE, optional=True
)
DISCARD = described(
    "write",
    {200: Shown("discarded, now or before", Acted, DISCARDED)},
    (400, 404, 409, 413, 422, 503, 504),
    asked=ONE,
    optional=True,
)
MARK_SENT = described(
    "write", {200: Shown("delivered", Acted, MARKED)}, (400, 404, 409, 413, 422, 503, 504), asked=ONE, optional=True
)
