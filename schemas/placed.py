"""A row as far as it is found by time and counted: what a million rows are read as while they are loaded.

Decoding all of a row costs three times as much, and nothing else of it is looked at then.
"""

from datetime import datetime

from msgspec import Struct

from schemas.lifecycle import DeliveryState
from schemas.versions import version


class PlacedMessage(Struct, frozen=True, gc=False):
    """Its window."""

    due_at: datetime


class PlacedDelivery(Struct, frozen=True, gc=False):
    """Its place in the windowed table."""

    target: int
    due_at: datetime
    state: DeliveryState = DeliveryState.SCHEDULED
    late_ms: int | None = None


class Placed(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="row"):
    """Has the names of rows.Row; all else in a row is passed over."""

    v: int = version()
    epoch: int
    message: PlacedMessage
    deliveries: tuple[PlacedDelivery, ...]
    updated_at: datetime
    forget_at: datetime | None = None
