"""The client of Clepsydra: messages that are sent when they are due.

from clepsydra_client import Client

with Client() as clepsydra:
    clepsydra.messages.create(id="post-1", due_at="2027-01-04T08:00:00Z", channel="log", body="hello")
"""

from clepsydra_client.client import AsyncClient, Client
from clepsydra_client.errors import (
    AnswerUnknown,
    ApiError,
    ClepsydraError,
    Conflict,
    Fault,
    Forbidden,
    NotFound,
    Refused,
    RevisionMismatch,
    TooLarge,
    TooLate,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unreadable,
    WrongState,
)
from clepsydra_client.exchange import Retries
from clepsydra_client.given import (
    Changes,
    Filter,
    Limits,
    NewMessage,
    NewTarget,
    OnFinished,
    Retry,
    Which,
    WhichLetters,
)
from clepsydra_client.records import (
    Accepted,
    Cancelled,
    DeadLetter,
    Delivery,
    Flow,
    Line,
    Message,
    Partition,
    Response,
    Result,
    Step,
    Window,
)

__all__ = [
    "Accepted",
    "AnswerUnknown",
    "ApiError",
    "AsyncClient",
    "Cancelled",
    "Changes",
    "ClepsydraError",
    "Client",
    "Conflict",
    "DeadLetter",
    "Delivery",
    "Fault",
    "Filter",
    "Flow",
    "Forbidden",
    "Limits",
    "Line",
    "Message",
    "NewMessage",
    "NewTarget",
    "NotFound",
    "OnFinished",
    "Partition",
    "Refused",
    "Response",
    "Result",
    "Retries",
    "Retry",
    "RevisionMismatch",
    "Step",
    "TooLarge",
    "TooLate",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Unreadable",
    "Which",
    "WhichLetters",
    "Window",
    "WrongState",
]
