"""Dead letters: what was given up, or may have been sent, and waits for a person."""

from typing import Unpack
from urllib.parse import quote

from clepsydra_client.endpoints import Group, M, Pages, endpoint, listing, paged, read_one
from clepsydra_client.exchange import Call
from clepsydra_client.given import WhichLetters
from clepsydra_client.records import Cancelled, DeadLetter
from clepsydra_client.writing import encoded, query

LETTERS = "/v1/dead-letters"


class DeadLetters(Group[M]):
    """`client.dead_letters`. Each action gives the state of every target; `target`: of this one only."""

    @listing
    def list(self, *, limit: int | None = None, **which: Unpack[WhichLetters]) -> Pages[DeadLetter]:
        """The oldest first; from the archive, a moment behind. Raises Unavailable where there is no archive."""
        return paged(LETTERS, query({**which, "limit": limit}), "dead_letters", DeadLetter)

    @endpoint
    def retry(
        self, message_id: str, *, target: int | None = None, idempotency_key: str | None = None
    ) -> Call[Cancelled]:
        """Try it again, at once, under the same delivery key. Raises WrongState for what is no dead letter, NotFound."""
        return _act(message_id, "retry", target, idempotency_key)

    @endpoint
    def discard(
        self, message_id: str, *, target: int | None = None, idempotency_key: str | None = None
    ) -> Call[Cancelled]:
        """Give it up for good. Raises WrongState, NotFound."""
        return _act(message_id, "discard", target, idempotency_key)

    @endpoint
    def mark_sent(
        self, message_id: str, *, target: int | None = None, idempotency_key: str | None = None
    ) -> Call[Cancelled]:
        """Say that it was sent: it becomes `delivered`. Raises WrongState, NotFound."""
        return _act(message_id, "mark-sent", target, idempotency_key)


def _act(message_id: str, act: str, target: int | None, key: str | None) -> Call[Cancelled]:
    return Call(
        method="POST",
        path=f"{LETTERS}/{quote(message_id, safe='')}/{act}",
        read=read_one(Cancelled),
        content=None if target is None else encoded({"target": target}),
        key=key,
    )
