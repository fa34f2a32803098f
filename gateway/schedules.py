"""`/v1/schedules`: recurring definitions."""

from fastapi import APIRouter, Request, Response

from agents.ports import Clock
from gateway.answers import json_response
from gateway.problems import invalid
from gateway.requests import decoded, field_fault, read_body
from gateway.schedule_docs import PREVIEW
from schemas.preview import Preview, preview
from schemas.times import at


def schedules_router(clock: Clock) -> APIRouter:
    """Preview a recurrence."""
    router = APIRouter(prefix="/v1/schedules", tags=["schedules"])

    @router.post("/preview", summary="What a recurrence would give", **PREVIEW)
    async def show_preview(request: Request) -> Response:
        """UTC instants, local times beside them. Nothing is stored, and no schedule needs to be there."""
        asked: Preview = decoded(await read_body(request), Preview)
        try:
            return json_response(preview(asked, at(clock.now_ms())))
        except ValueError as fault:
            raise invalid(field_fault(str(fault))) from None

    return router
