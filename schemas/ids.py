"""Ids and the keys made of them."""

from typing import NewType

MessageId = NewType("MessageId", str)
CommandId = NewType("CommandId", str)

ID_MAX = 200
ANY_ID_MAX = ID_MAX + 100
"""With what we add: `<schedule id>@<time>`, `<id>!finished`."""


def id_fault(text: str) -> str | None:
    """What is wrong with an id that a user gave, or None."""
    if not text:
        return "is empty: give 1 to 200 printable characters, or leave it out"
    if len(text) > ID_MAX:
        return f"has {len(text)} characters: {ID_MAX} at most"
    if not text.isprintable():
        return "has a control or other unprintable character: use printable ones"
    if "@" in text or "!" in text:
        return "contains '@' or '!', which are for ids that Clepsydra makes itself: use another character"
    return None


def routing_key(message_id: str) -> str:
    """The part before the last `@`: an occurrence (`<schedule id>@<time>`) lives with its schedule."""
    head, sep, _ = message_id.rpartition("@")
    return head if sep else message_id


def delivery_key(message_id: str, target: int) -> str:
    """What a receiver sees and checks: the same for every attempt and revision of one delivery."""
    return f"{message_id}/{target}"
