"""What can go wrong, one class per answer to it."""

from dataclasses import dataclass
from typing import Any

PROBLEM_PREFIX = "urn:clepsydra:problem:"


@dataclass(frozen=True, slots=True)
class Fault:
    """One value that cannot be used: its field, what is wrong with it, what to do."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.field or 'request'} {self.problem}: {self.remedy}"


class ClepsydraError(Exception):
    """Base of all errors. `idempotency_key`: the key that the request had; a repeat with it is done once."""

    idempotency_key: str | None = None


class Unreachable(ClepsydraError):
    """No answer came, however often it was asked: the request may have been carried out. Repeat it with its key."""


class Unreadable(ClepsydraError):
    """The answer is not that of a Clepsydra gateway: the address is another's, or something in between answered."""


class ApiError(ClepsydraError):
    """The gateway's answer is a problem (RFC 9457). What follows says which.

    `status`: of HTTP. `name`: the problem's, which does not change. `faults`: the values that cannot be used.
    `id`, `state`, `revision`, `command_id`: of the message and the request, where known.
    `retry_after_s`: when to ask again, if it said so.
    """

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.name: str = str(problem.get("type", "")).removeprefix(PROBLEM_PREFIX)
        self.title: str = problem.get("title", "")
        self.detail: str = problem.get("detail", "")
        self.faults: tuple[Fault, ...] = tuple(_fault(each) for each in problem.get("errors", ()))
        self.id: str | None = problem.get("id")
        self.state: str | None = problem.get("state")
        self.revision: int | None = problem.get("revision")
        self.command_id: str | None = problem.get("command_id")
        self.retry_after_s = retry_after_s
        self.problem = problem
        super().__init__(self._text())

    def _text(self) -> str:
        """One line: title, state, and what to do."""
        state = f" (it is {self.state})" if self.state else ""
        said = "; ".join(map(str, self.faults)) or self.detail
        return f"{self.title or self.status}{state}: {said}"


class TooLate(ApiError):
    """It was handed over, or is finished: `state` says which. The old version stands."""


class WrongState(ApiError):
    """It is not in a state for this: `state` says in which. Nothing was done."""


class Conflict(ApiError):
    """The id or the Idempotency-Key was first used with other content."""


class NotFound(ApiError):
    """There is none of this id: it never was, or it is forgotten."""


class RevisionMismatch(ApiError):
    """It was changed since: `revision` is the present one. Read it again and decide on what it is now."""


class Refused(ApiError):
    """The request has a value that cannot be used: see `faults`."""

    @property
    def field(self) -> str:
        """The first fault's field; empty for the request as a whole."""
        return self.faults[0].field if self.faults else ""

    @property
    def remedy(self) -> str:
        """What to do about the first fault."""
        return self.faults[0].remedy if self.faults else self.detail


class TooLarge(Refused):
    """The request is larger than the gateway takes."""


class Unauthorized(ApiError):
    """The API key is missing, wrong, expired or revoked."""


class Forbidden(ApiError):
    """The API key is good, but not for this: its scopes do not hold it."""


class TooManyRequests(ApiError):
    """Asked too often for too long: go on after `retry_after_s`."""


class AnswerUnknown(ApiError):
    """It may have been done or not. The same request with the same key gets the answer."""


class Unavailable(ApiError):
    """Not done, and cannot be now: later."""


BY_NAME: dict[str, type[ApiError]] = {
    "too_late": TooLate,
    "wrong_state": WrongState,
    "conflict": Conflict,
    "not_found": NotFound,
    "revision_mismatch": RevisionMismatch,
    "invalid": Refused,
    "not_json": Refused,
    "too_large": TooLarge,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "too_many_requests": TooManyRequests,
    "answer_unknown": AnswerUnknown,
    "unavailable": Unavailable,
    "archive_unavailable": Unavailable,
}
BY_STATUS: dict[int, type[ApiError]] = {
    400: Refused,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: RevisionMismatch,
    413: TooLarge,
    422: Refused,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: AnswerUnknown,
}


def problem_error(status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> ApiError:
    """The error that a problem is: by its name, else by its status."""
    name = str(problem.get("type", "")).removeprefix(PROBLEM_PREFIX)
    kind = BY_NAME.get(name) or BY_STATUS.get(status, ApiError)
    return kind(status, problem, retry_after_s)


def _fault(given: dict[str, Any]) -> Fault:
    return Fault(given.get("field", ""), given.get("problem", ""), given.get("remedy", ""))
