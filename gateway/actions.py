"""Actions on one message, and on dead letters: each is a command, answered by the message's owner.

The last part of the path names the action, so ids may hold slashes, and even end like an action: a POST to
`/v1/messages/a/erase/erase` erases the message `a/erase`, one to `/v1/messages/a/erase` the message `a`.
"""

from fastapi import APIRouter, Request, Response

from gateway.action_docs import DISCARD, ERASE, MARK_SENT, RETRY, SEND_NOW
from gateway.answers import acted_response, edited_response
from gateway.asking import ask
from gateway.messages import Id, Key
from gateway.requests import check_id, read_body, read_key, read_target
from schemas.commands import ByHandCommand, Discard, Erase, MarkSent, RetryDead, SendNow
from topology.commander import Commander


def actions_router(commander: Commander) -> APIRouter:
    """Send a message now, erase it."""
    router = APIRouter(prefix="/v1/messages", tags=["messages"])

    @router.post("/{message_id:path}/send-now", summary="Let a message be due at once", **SEND_NOW)
    async def send_now(request: Request, message_id: Id, _key: Key = None) -> Response:
        """As an edit of `due_at` would, and as exact; 409 `too_late` where an edit would be. Retries do not wait longer."""
        command_id = read_key(request).command_id("SEND-NOW", check_id(message_id), b"")
        return edited_response(await ask(commander, SendNow(command_id=command_id, id=message_id)))

    @router.post("/{message_id:path}/erase", summary="Take away what a finished message held", **ERASE)
    async def erase(request: Request, message_id: Id, _key: Key = None) -> Response:
        """Body, headers, metadata, addresses and responses go; what answers repeats stays. 409 while it is not finished."""
        command_id = read_key(request).command_id("ERASE", check_id(message_id), b"")
        return edited_response(await ask(commander, Erase(command_id=command_id, id=message_id)))

    return router


def dead_letters_router(commander: Commander) -> APIRouter:
    """A person's word on what is dead or unknown."""
    router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

    @router.post("/{message_id:path}/retry", summary="Try a dead letter again", **RETRY)
    async def retry(request: Request, message_id: Id, _key: Key = None) -> Response:
        """At once, under the same delivery key; its schedule of retries begins anew. 409 `wrong_state` for what is no dead letter."""
        return await act(request, message_id, RetryDead, "RETRY")

    @router.post("/{message_id:path}/discard", summary="Give a dead letter up for good", **DISCARD)
    async def discard(request: Request, message_id: Id, _key: Key = None) -> Response:
        """It keeps its state and is listed no more; its content is gone as that of any finished message."""
        return await act(request, message_id, Discard, "DISCARD")

    @router.post("/{message_id:path}/mark-sent", summary="Say that a dead letter was sent", **MARK_SENT)
    async def mark_sent(request: Request, message_id: Id, _key: Key = None) -> Response:
        """It becomes `delivered`, with the reason `marked as sent by hand`."""
        return await act(request, message_id, MarkSent, "MARK-SENT")

    async def act(request: Request, message_id: str, kind: type[ByHandCommand], method: str) -> Response:
        key, body = read_key(request), await read_body(request)
        target = read_target(body)
        command_id = key.command_id(method, check_id(message_id), str(target).encode())
        return acted_response(await ask(commander, kind(command_id=command_id, id=message_id, target=target)))

    return router
