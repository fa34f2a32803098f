"""A world with schedules: the product's owner keeps them, through the same faults as messages.

What must hold at its end: each occurrence of each plan ran once, or was cancelled as asked; nothing ran twice; what
the schedule's own row says is what the log says.
"""

from collections import Counter
from datetime import timedelta
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Raw
from sim_logs import SimLog
from sim_processes import CHANNEL
from sim_world import START_MS, Scenario, World

from schemas.commands import Cancel, Edit
from schemas.decisions import Policy
from schemas.message import Changes
from schemas.recurrence import nominal_text, occurrences
from schemas.schedule import NewDefinition
from schemas.schedule_commands import (
    ScheduleBackfill,
    ScheduleEdit,
    ScheduleLook,
    SchedulePause,
    SchedulePut,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)
from schemas.schedule_rows import MANUAL, ScheduleClaim, ScheduleRow
from schemas.times import at
from schemas.wire import read_commands, read_schedules

KINDS = ("edit", "pause", "trigger", "cancel", "cancel", "move", "look", "backfill", "put", "remove")


class ScheduleWorld(World):
    """Commands about schedules in place of those about messages."""

    def open(self) -> None:
        self.schedules = SimLog("schedules")
        self.policy = Policy(delays_ms={CHANNEL: self.retries}, horizon_ms=2_000)
        super().open()

    def make_script(self) -> list[Any]:
        r, script = self.random, []
        for n in range(self.scenario.messages):
            story: list[Any] = [self.put(n, f"c{n}")]
            for k in range(r.choice((1, 2, 3, 4))):
                story += self.follow(r.choice(KINDS), n, k)
                if isinstance(story[-1], ScheduleRemove):
                    break  # put again it would be another, with occurrences of the same names
            script.append(story)
        merged: list[Any] = []
        while any(script):
            merged.append(r.choice([s for s in script if s]).pop(0))
        return merged

    def put(self, n: int, command_id: str) -> SchedulePut:
        definition = {
            "recurrence": {"every": f"PT{1 + n % 2}S"}, "count": 5, "missed": "all",
            "message": {"channel": CHANNEL, "to": "a", "body": "first"}, "jitter": "PT0.3S" if n % 3 == 0 else "PT0S",
        }  # fmt: skip
        made = msgspec.json.decode(msgspec.json.encode(definition), type=NewDefinition)
        return SchedulePut(command_id=command_id, id=f"s{n}", definition=made, reply_to=0)

    def follow(self, kind: str, n: int, k: int) -> list[Any]:
        name, r = f"s{n}", self.random
        nominal = START_MS // 2_000 * 2_000 + 2_000 * r.randint(1, 5)
        occurrence = f"{name}@{nominal_text(at(nominal))}"
        of = {"id": name, "reply_to": 0}
        match kind:
            case "edit":
                body = Raw(b'{"channel": "%s", "to": "a", "body": "edit %d"}' % (CHANNEL.encode(), k))
                return [ScheduleEdit(command_id=f"E{n}.{k}", changes={"message": body}, **of)]
            case "pause":
                return [SchedulePause(command_id=f"P{n}.{k}", **of), ScheduleResume(command_id=f"R{n}.{k}", **of)]
            case "trigger":
                return [ScheduleTrigger(command_id=f"T{n}.{k}", **of)]
            case "cancel":
                return [Cancel(command_id=f"x{n}.{k}", id=occurrence, reply_to=0)]
            case "move":
                due = at(nominal + r.choice((300, 2_500)))
                return [
                    Edit(
                        command_id=f"e{n}.{k}", id=occurrence, changes=Changes(due_at=due), allow_past=True, reply_to=0
                    )
                ]
            case "look":
                return [ScheduleLook(command_id=f"l{n}.{k}", **of)]
            case "backfill":
                since, until = at(START_MS - 4_000), at(START_MS + 60_000)
                return [ScheduleBackfill(command_id=f"B{n}.{k}", since=since, until=until, **of)]
            case "put":
                return [self.put(n, f"c{n}.{k}")]
            case _:
                return [ScheduleRemove(command_id=f"D{n}.{k}", **of)]

    def compact(self) -> None:
        super().compact()
        log, keeper = self.schedules, self.scheduler.owner.keeper
        still = keeper is not None and keeper.claimed is not None and keeper.claimed.next == len(log.records)
        if not self.may_compact() or not still or keeper.claimed._voids or any(o.target is log for o in self.ops):
            return
        newest = {r.key: r.offset for r in log.records if r}
        for n, r in enumerate(log.records):
            if r and newest[r.key] != n:
                log.records[n] = None
        self.note("schedules are compacted")

    def quiet(self) -> bool:
        return super().quiet() and all(row.tend_at is None for row in self.schedule_rows().values())

    def schedule_rows(self) -> dict[str, ScheduleRow]:
        """The valid rows of the log, as any loader reads them."""
        epoch, rows = -1, {}
        for record in self.schedules.records:
            value = None if record is None or record.value is None else read_schedules(record.value)
            if isinstance(value, ScheduleClaim):
                epoch = max(epoch, value.epoch)
            elif isinstance(value, ScheduleRow) and value.epoch >= epoch:
                rows[value.id] = value
        return rows

    def run(self) -> None:
        super().run()
        rows = self.schedule_rows()
        keeper = self.scheduler.owner.keeper
        assert {i: r.revision for i, r in keeper.table.table.items()} == {i: r.revision for i, r in rows.items()}
        assert keeper.table.table == rows, "table and log of schedules differ"
        for row in rows.values():
            self.each_once(row)

    def each_once(self, row: ScheduleRow) -> None:
        """None missing, none double."""
        taken = Counter(key.rpartition("/")[0] for (key, _), takes in self.checks.takes.items() if takes)
        mine = {i: count for i, count in taken.items() if i.startswith(f"{row.id}@")}
        double = {i: count for i, count in mine.items() if count > 1}
        assert not double, f"{row.id}: made and sent as two messages: {double}"
        answers = self.checks.answers
        accepted = [c for c in self.written if c.id == row.id and answers[c.command_id].result == "accepted"]
        manual = {i for i in mine if i.endswith(MANUAL)}
        triggers = {c.command_id for c in accepted if isinstance(c, ScheduleTrigger)}
        removed = any(isinstance(c, ScheduleRemove) for c in accepted)
        assert len(manual) <= len(triggers), f"{row.id}: {len(triggers)} triggers ran {len(manual)} times"
        assert removed or len(manual) == len(triggers), f"{row.id}: {len(triggers)} triggers ran {len(manual)} times"
        if removed:
            return
        made = self.planned(row)
        cancelled = {
            c.id for c in self.written if isinstance(c, Cancel) and answers[c.command_id].result == "cancelled"
        }
        missing = {i for i in made if i not in mine and i not in cancelled}
        assert not missing, f"{row.id}: never ran: {sorted(missing)}"
        both = mine.keys() & cancelled
        assert not both, f"{row.id}: cancelled and ran: {sorted(both)}"
        backfilled = any(isinstance(c, ScheduleBackfill) for c in accepted)
        assert backfilled or mine.keys() - manual <= made, (
            f"{row.id}: ran, and is none of the plan: {mine.keys() - made}"
        )

    def planned(self, row: ScheduleRow) -> set[str]:
        """The first `count` after it was put."""
        put_at = min(
            record.at_ms
            for record in self.commands.records
            for command in read_commands(record.value)
            if isinstance(command, SchedulePut) and command.id == row.id
        )
        timing = msgspec.structs.replace(row.definition, start=None)
        found = takewhile(lambda o: o.nominal < at(put_at) + timedelta(days=1), occurrences(timing, row.id, at(put_at)))
        return {row.id_of(nominal_text(o.nominal)) for o in found}


def failure(seed: int, scenario: Scenario) -> tuple[str, list[str]] | None:
    """What this seed breaks, with how it came to it; None when all holds."""
    world = ScheduleWorld(seed, scenario)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - whatever breaks
        return f"{type(error).__name__}: {error}"[:600], world.trace
    finally:
        world.close()
    return None
