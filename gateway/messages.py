"""`/v1/messages`: each request is a command, answered by the message's owner."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header, Path, Request, Response
from msgspec import UNSET

from agents.ports import Clock
from gateway.answers import Delays, cancelled_response, created_response, edited_response, looked_response
from gateway.asking import ask
from gateway.message_docs import CREATE, DELETE, EDIT, LOOK
from gateway.requests import check_id, read_body, read_changes, read_key, read_message, read_revision
from schemas.commands import Cancel, Create, Edit, Look
from schemas.times import at
from topology.commander import Commander

Id = Annotated[str, Path(description="the message's id")]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="the same for every repeat of one request: it is done once")
]
Match = Annotated[str | None, Header(alias="If-Match", description='edit only this revision, as in `"3"`')]


def messages_router(commander: Commander, clock: Clock, delays_ms: Delays) -> APIRouter:
    """Create, read, edit and cancel one message."""
    router = APIRouter(prefix="/v1/messages", tags=["messages"])

    @router.post("", status_code=201, summary="Schedule a message", **CREATE)
    async def create(request: Request, _key: Key = None) -> Response:
        """The same id (or Idempotency-Key) and content again gives 200 and the same answer, other content 409."""
        key, body = read_key(request), await read_body(request)
        new = read_message(body)
        message = new.named(key.message_id() if new.id is UNSET else new.id)
        command_id = key.command_id("POST", message.id, body)
        command = Create(command_id=command_id, message=message, allow_past=new.allow_past)
        return created_response(await ask(commander, command))

    @router.get("/{message_id:path}", summary="All that is known of a message", **LOOK)
    async def look(message_id: Id) -> Response:
        """From its owner: it shows what was accepted before, at once."""
        command = Look(command_id=str(uuid4()), id=check_id(message_id))
        return looked_response(await ask(commander, command), at(clock.now_ms()), delays_ms)

    @router.patch("/{message_id:path}", summary="Change a message that was not handed over yet", **EDIT)
    async def edit(request: Request, message_id: Id, _key: Key = None, _match: Match = None) -> Response:
        """What is left out stays, null takes a value away. `accepted`: the old version is never sent after it."""
        key, revision, body = read_key(request), read_revision(request), await read_body(request)
        wanted = read_changes(body)
        command = Edit(
            command_id=key.command_id("PATCH", check_id(message_id), body + str(revision).encode()),
            id=message_id,
            changes=wanted.changes(),
            if_revision=revision,
            allow_past=wanted.allow_past,
        )
        return edited_response(await ask(commander, command))

    @router.delete("/{message_id:path}", summary="Cancel a message", **DELETE)
    async def cancel(request: Request, message_id: Id, _key: Key = None) -> Response:
        """Stops every target that was not handed over; 409 `too_late` if there was none."""
        command_id = read_key(request).command_id("DELETE", check_id(message_id), b"")
        return cancelled_response(await ask(commander, Cancel(command_id=command_id, id=message_id)))

    return router
