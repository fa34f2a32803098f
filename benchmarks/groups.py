"""Whether consumer groups are at rest. aiokafka 0.14's own call reads version 3 answers as version 2 and fails."""

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DescribeGroupsRequest_v2
from aiokafka.protocol.api import Request


class DescribeGroups(Request[DescribeGroupsRequest_v2]):
    """State and members of some groups."""

    API_KEY = 15

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._groups)


async def stable(client: AIOKafkaClient, members: dict[str, int]) -> bool:
    """Whether each group is stable with so many members; of the one broker there is."""
    response = await client.send(client.get_random_node(), DescribeGroups(list(members)))
    found = {name: (state, len(joined)) for _, name, state, _, _, joined in response.groups}
    return found == {name: ("Stable", count) for name, count in members.items()}
