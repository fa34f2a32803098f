"""The product's parts as the simulation builds them: a guard is taken out by a Parts of its own (see guards.py)."""

from typing import Any

from agents.courier import CourierPartition
from agents.owner import PartitionOwner


class Parts:
    """Everything as shipped."""

    def owner(self, **world: Any) -> PartitionOwner:
        return PartitionOwner(**world)

    def courier(self, **world: Any) -> CourierPartition:
        return CourierPartition(**world)

    def has_lease(self) -> bool:
        return True

    def has_courier_lease(self) -> bool:
        return True
