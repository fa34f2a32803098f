"""Flows: how fast the messages of an account or stream may go out."""

from typing import Unpack
from urllib.parse import quote

from clepsydra_client.endpoints import Group, M, endpoint, read_all, read_one
from clepsydra_client.exchange import Call
from clepsydra_client.given import Limits
from clepsydra_client.records import Flow
from clepsydra_client.writing import encoded

FLOWS = "/v1/flows"


class Flows(Group[M]):
    """`client.flows`. A key is a flow, or `channel:<name>` for a whole channel."""

    @endpoint
    def list(self) -> Call[tuple[Flow, ...]]:
        """All flows that have limits; the others have none."""
        return Call(method="GET", path=FLOWS, read=read_all("flows", Flow))

    @endpoint
    def get(self, key: str) -> Call[Flow]:
        """Raises NotFound where no limits are set."""
        return Call(method="GET", path=_path(key), read=read_one(Flow))

    @endpoint
    def set(self, key: str, **limits: Unpack[Limits]) -> Call[Flow]:
        """Set all limits of a flow, in place of those that it had: what is left out is no limit. Raises Refused."""
        return Call(method="PUT", path=_path(key), read=read_one(Flow), content=encoded(limits))

    @endpoint
    def remove(self, key: str) -> Call[Flow]:
        """Take all limits away; what was paused goes on. Raises NotFound."""
        return Call(method="DELETE", path=_path(key), read=read_one(Flow))


def _path(key: str) -> str:
    return f"{FLOWS}/{quote(key, safe='')}"
