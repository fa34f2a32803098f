"""One message's story in words: pure, so that a test can say what a support person will read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.dashboard.figures import span

LATE_MS = 1_000
ANSWER_SHOWN = 200
"""Characters of what a receiver answered."""
WHAT = {
    "scheduled": "accepted",
    "edited": "edited",
    "deferred": "put off",
    "retrying": "failed, to be tried again",
    "delivered": "delivered",
    "dead": "given up",
    "cancelled": "cancelled",
    "expired": "expired before it was sent",
    "unknown": "perhaps sent: waits for a person",
}


def local(moment: str | None) -> str:
    """A time as the API gives it, to the millisecond, less what a person need not read."""
    if moment is None:
        return "-"
    found = datetime.fromisoformat(moment)
    return f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03d} {found:%Z}".replace("UTC+00:00", "UTC")


def story(message: Mapping[str, Any]) -> list[str]:
    """A sentence for each delivery: what it waits for, or how it went and why it was late."""
    deliveries: Sequence[Mapping[str, Any]] = message["deliveries"]
    said = [_said(d, message) for d in deliveries]
    if len(said) == 1:
        return [said[0][0].upper() + said[0][1:]]
    return [f"Target {d['target']}: {text}" for d, text in zip(deliveries, said, strict=True)]


def _said(d: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    match d["state"]:
        case "delivered":
            return f"delivered{_lateness(d, message)}."
        case "scheduled" | "retrying" if d["reason"]:
            return f"waits until {local(d['due_at'])}{_tried(d)}: {_why(d)}."
        case "scheduled" | "retrying":
            return f"is due at {local(d['due_at'])}."
        case "emitted":
            return "is in a courier's hands now."
        case "dead":
            return f"given up after {_attempts(d)}: {_why(d) or 'it was refused'}."
        case "unknown":
            return f"perhaps sent, and nobody knows: {d['reason'] or 'no response came back'}. A person decides."
        case state:
            return f"{state}{': ' + d['reason'] if d['reason'] else ''}."


def _why(d: Mapping[str, Any]) -> str:
    """The reason, and how the receiver put it."""
    answer = " ".join(((d.get("last_response") or {}).get("body") or "").split())
    more = "..." if len(answer) > ANSWER_SHOWN else ""
    return f"{d['reason']} ({answer[:ANSWER_SHOWN]}{more})" if answer and d["reason"] else str(d["reason"] or answer)


def _lateness(d: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    late = d.get("late_ms")
    put_off = [m for m in message["timeline"] if m["what"] == "deferred" and m.get("target") in (None, d["target"])]
    failed = d["attempts"] - 1
    if put_off:
        why = put_off[-1].get("note") or "its slot came later"
        return f", put off {len(put_off)} time{'s' * (len(put_off) > 1)} before ({why})"
    if failed > 0:
        return f" at attempt {d['attempts']}: {failed} before failed"
    if late is None:
        return ""
    if late <= LATE_MS:
        return f" on time ({span(late)} after it was due)"
    return f" {span(late)} late: it was due then, and no courier took it up before"


def _tried(d: Mapping[str, Any]) -> str:
    """How often, and how often there may be more."""
    if not d["attempts"]:
        return ""
    match d.get("attempts_left"):
        case None:
            return f" after {_attempts(d)}"
        case 1:
            return f" after {_attempts(d)}, for the last one"
        case left:
            return f" after {_attempts(d)}, {left} are left"


def _attempts(d: Mapping[str, Any]) -> str:
    return "1 attempt" if d["attempts"] == 1 else f"{d['attempts']} attempts"


def moments(message: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The timeline: when, what, why; many targets are named."""
    named = len(message["deliveries"]) > 1
    return [
        (
            local(m["at"]),
            (f"target {m['target']}: " if named and m.get("target") is not None else "")
            + WHAT.get(m["what"], m["what"]),
            m.get("note", ""),
        )
        for m in message["timeline"]
    ]
