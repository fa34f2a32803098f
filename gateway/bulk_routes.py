"""`/v1/messages/bulk`: many messages in one request."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from gateway.answering import Answering, LinesResponse
from gateway.bulk import BulkAnswer, Naming, portions
from gateway.lines import LineSplitter, body_lines, check_encoding
from gateway.message_docs import ACCEPTED, NEW
from gateway.openapi import NDJSON, Shown, described
from gateway.requests import NewMessage, read_key

ANSWER = {"line": 1, "status": 201, "result": "accepted"} | ACCEPTED
BULK = described(
    "write",
    {200: Shown("one answer per line, in the order of the lines", BulkAnswer, ANSWER, NDJSON)},
    (415, 422),
    asked=Shown("one message per line", NewMessage, NEW, NDJSON),
)
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="with the number of its line it is the key of each message"),
]
FirstLine = Annotated[
    int, Query(ge=1, le=10**12, description="the number of the first line: for a part of a larger whole")
]


def bulk_router(answering: Answering) -> APIRouter:
    """Create many messages."""
    router = APIRouter(prefix="/v1/messages", tags=["bulk"])

    @router.post("/bulk", summary="Schedule many messages", **BULK)
    async def bulk(request: Request, first_line: FirstLine = 1, _key: Key = None) -> Response:
        """NDJSON in, NDJSON out, both streamed: a line is answered as soon as its owner has decided.

        A line that cannot be accepted refuses itself only: its answer has the `status` that it would have got alone,
        and the `problem`. Blank lines get no answer. A line may have 1 MiB, the body any length; `Content-Encoding: gzip`
        is understood. Read answers while you write: after 100,000 that are not read, no more lines are taken.

        A line with an `id`, or any line with an `Idempotency-Key`, may be sent again until it is answered.
        """
        gzip, naming = check_encoding(request), Naming(read_key(request))
        splitter = LineSplitter(first_line)
        lines = body_lines(request, splitter, gzip=gzip)
        return LinesResponse(answering, portions(lines, splitter, naming))

    return router
