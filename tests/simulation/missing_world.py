"""Schedules that make up for nothing: of each run that did not come, an event says why, wherever an owner dies."""

from typing import Any

import msgspec
from schedule_world import ScheduleWorld
from sim_processes import CHANNEL
from sim_world import Scenario

from schemas.decisions import Policy
from schemas.events import Event
from schemas.schedule import NewDefinition
from schemas.schedule_commands import SchedulePut
from schemas.schedule_rows import ScheduleRow

LATE_MS = 200
_event = msgspec.json.Decoder(Event)


class MissingWorld(ScheduleWorld):
    """A run that cannot begin within 200 ms of its time is missed."""

    calm_steps = 1_000

    def open(self) -> None:
        super().open()
        self.policy = Policy(delays_ms={CHANNEL: self.retries}, horizon_ms=2_000, late_ms=LATE_MS)

    def put(self, n: int, command_id: str) -> SchedulePut:
        definition = {
            "recurrence": {"every": f"PT{1 + n % 2}S"}, "count": 8, "missed": "skip",
            "message": {"channel": CHANNEL, "to": "a", "body": "run"},
        }  # fmt: skip
        made = msgspec.json.decode(msgspec.json.encode(definition), type=NewDefinition)
        return SchedulePut(command_id=command_id, id=f"s{n}", definition=made, reply_to=0)

    def follow(self, kind: str, n: int, k: int) -> list[Any]:
        """Nothing that takes a run out of the plan or makes up for it."""
        kept = kind in ("edit", "trigger", "look", "put")
        return super().follow(kind if kept else "pause", n, k)

    def each_once(self, row: ScheduleRow) -> None:
        """Each of the plan ran, or was told missed or expired."""
        ran = {key.rpartition("/")[0] for (key, _), takes in self.checks.takes.items() if takes}
        expired = {message_id for (message_id, _, _), kind in self.checks.ends.items() if kind == "expired"}
        events = [_event.decode(record.value) for record in self.events.records]
        missed = {event.id for event in events if event.kind == "missed"}
        untold = self.planned(row) - ran - expired - missed
        assert not untold, f"{row.id}: neither ran nor told missed: {sorted(untold)}"


def failure_of_missing(seed: int, scenario: Scenario) -> str | None:
    """What this seed breaks; None when all holds."""
    world = MissingWorld(seed, scenario)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - whatever breaks
        return f"{type(error).__name__}: {error}"[:600]
    finally:
        world.close()
    return None
