"""A trial of an import: every line through the rules of gateway and owner, here, with nothing sent."""

from collections.abc import Sequence
from hashlib import blake2b

from gateway.import_run import Ask, Told
from gateway.import_tape import Entry
from gateway.problems import ProblemDetails, ProblemError, invalid
from gateway.requests import field_fault, read_message
from schemas.commands import Create
from schemas.decide import decide
from schemas.decisions import Asked, Decision, Policy, Seen
from schemas.wire import Fault


def checking(now_ms: int, policy: Policy) -> Ask:
    """What would become of entries, as far as it can be known here: not whether an id is taken already."""
    known: dict[str, bytes] = {}

    async def ask(entries: Sequence[Entry]) -> list[Told]:
        return [_told(entry, known, now_ms, policy) for entry in entries]

    return ask


def _told(entry: Entry, known: dict[str, bytes], now_ms: int, policy: Policy) -> Told:
    try:
        new = read_message(entry.text)
    except ProblemError as fault:
        return Told(fault.status, problem=fault.details)
    message = new.named(new.id or "")
    asked = Asked(Create(command_id="trial", message=message, allow_past=new.allow_past), 0, now_ms)
    decision = decide(Seen(row=None), asked, now_ms, policy)
    assert isinstance(decision, Decision)
    assert decision.answer is not None
    if decision.answer.result == "refused":
        return _refused(field_fault(decision.answer.detail))
    digest = blake2b(entry.text, digest_size=16).digest()
    first = known.setdefault(message.id, digest)
    if first != digest:
        return _refused(Fault("id", f"{message.id!r} is in the file before, with other content", "give it another id"))
    return Told(201, "accepted")


def _refused(fault: Fault) -> Told:
    problem: ProblemDetails = invalid(fault).details
    return Told(problem.status, problem=problem)
