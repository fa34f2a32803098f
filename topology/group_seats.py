"""Taking a named worker's seat away: aiokafka leaves groups for members without a name only (LeaveGroup before KIP-345)."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from topology.clients import client_arguments
from topology.settings import Settings

TEXT = String("utf-8")


class LeaveGroupResponse(Response):
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", TEXT), ("group_instance_id", TEXT), ("error_code", Int16))),
    )


class LeaveGroupRequestV3(RequestStruct):
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponse
    SCHEMA = Schema(("group", TEXT), ("members", Array(("member_id", TEXT), ("group_instance_id", TEXT))))


class LeaveByName(Request[LeaveGroupRequestV3]):
    """Takes the seat of a member with this name, whoever holds it."""

    API_KEY = 13

    def __init__(self, group: str, instance: str) -> None:
        self._group, self._instance = group, instance

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._group, [("", self._instance)])


async def leave_groups(settings: Settings, instance: str) -> list[str]:
    """The groups of ours that a worker of this name was in and is in no longer. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        await admin.start()
        ours = sorted({group for group, *_ in await admin.list_consumer_groups() if group.startswith(settings.prefix)})
        return [group for group in ours if await _left(admin, group, seat_name(settings, group, instance))]
    finally:
        await admin.close()


def seat_name(settings: Settings, group: str, instance: str) -> str:
    """What Kafka knows a worker of a group by; see make_app."""
    return f"{group.removeprefix(settings.prefix)}-{instance}"


async def _left(admin: AIOKafkaAdminClient, group: str, instance: str) -> bool:
    coordinator = await admin.find_coordinator(group)
    response = await admin._client.send(coordinator, LeaveByName(group, instance))  # noqa: SLF001  no public one
    for code in (response.error_code, *(member[2] for member in response.members)):
        error = for_code(code)
        if error is UnknownMemberIdError:
            return False
        if error is not NoError:
            raise error(f"{instance} cannot be taken out of {group}")
    return True
