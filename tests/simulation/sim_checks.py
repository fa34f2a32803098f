"""What must hold in a simulated world (DESIGN section 2), looked at after every step."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.commands import Answer, Create, Erase, MarkSent, RetryDead
from schemas.decide_dead import MARKED
from schemas.events import Event
from schemas.lifecycle import LIVE
from schemas.outcomes import OutcomeRecord, outcome_key
from schemas.rows import Row
from schemas.times import ms_of
from schemas.window_records import WindowRecord, counts_of, minute_ms_of
from schemas.windows import count_changes
from schemas.wire import read_answers, read_due, read_outcome, read_timetable, read_window

TERMINAL = {"delivered", "dead", "cancelled", "expired", "unknown"}
_event = msgspec.json.Decoder(Event)


class Checks:
    """Reads the logs as they grow. Raises AssertionError, the promise first in its text."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.answers: dict[str, Answer] = {}
        self.takes: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
        self.sent: list[tuple[str, Any]] = []
        self.allow: Counter[tuple[str, int]] = Counter()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.emitted: set[str] = set()
        self.ends: dict[tuple[str, int, int], str] = {}
        self.turns: dict[tuple[str, int, int], dict[int, str]] = defaultdict(dict)
        self.announced: dict[str, set[int]] = defaultdict(set)
        self.finals: dict[str, set[str]] = defaultdict(set)
        self.finished: set[str] = set()
        self.position: Counter[str] = Counter()

    def new(self, log: Any) -> list[Any]:
        start = self.position[log.name]
        self.position[log.name] = len(log.records)
        return [r for r in log.records[start:] if r is not None and r.value is not None]

    def look(self) -> None:
        for log in self.world.due:
            for record in self.new(log):
                self.emitted.update(d.id for d in read_due(record.value) if hasattr(d, "turn"))
        for record in self.new(self.world.events):
            self.event(_event.decode(record.value))
        for record in self.new(self.world.answers):
            for answer in read_answers(record.value):
                self.answer(answer)

    def taken(self, op: Any) -> None:
        message = op.what
        assert ms_of(message.due_at) <= self.world.now_ms, (
            f"G2: {message.key} was sent {ms_of(message.due_at)} before it was due"
        )
        key = (message.key, message.birth)
        name = op.process.name if op.process else "gone"
        self.takes[key].append((message.revision, name))
        self.sent.append((name, message))
        assert len(self.takes[key]) <= 1 + self.allow[key], f"G4: {key} was taken again without a crash in mid-send"
        end = self.ends.get((message.id, message.birth, message.target))
        assert end not in ("cancelled", "expired"), f"G3: events say {end} of {key}, and it was taken after that"
        self.check_answers(message.id)

    def courier_gone(self, courier: Any) -> None:
        """What it had in mid-send may be sent again, once (G4)."""
        durable = {k for log in self.world.outcomes for k in durable_outcomes(log)}
        for op in [o for o in self.world.ops if o.process is courier and o.kind == "request"]:
            self.allow[op.what.key, op.what.birth] += 1
        for name, message in self.sent:
            if name == courier.name and outcome_key(message.key, message.birth, message.turn) not in durable:
                self.allow[message.key, message.birth] += 1

    def event(self, event: Event) -> None:
        if event.kind == "finished":
            self.finished.add(event.id)
            self.finals[event.id].add(event.event_id)
        if event.kind == "scheduled":
            self.announced[event.id].add(event.birth)
        if event.kind not in TERMINAL or event.target is None:
            return
        place = (event.id, event.birth, event.target)
        self.end_of_turn(event, place)
        takes = self.takes[f"{event.id}/{event.target}", event.birth]
        if event.kind == "dead":
            tries = self.requests[f"{event.id}/{event.target}", event.birth]
            least = (len(self.world.retries) + 1) * list(self.turns[place].values()).count("dead")
            assert tries >= least, f"G1: {place} is called dead after {tries} requests, {least} are the least"
        if event.kind == "delivered" and event.reason != MARKED:
            assert takes, f"G1: {place} is called delivered and was never sent"
        if event.kind in ("cancelled", "expired"):
            assert not takes, f"G3: {place} is called {event.kind} and the receiver has it"

    def end_of_turn(self, event: Event, place: tuple[str, int, int]) -> None:
        """One terminal state in a turn; another in a later one only by a person's hand. `ends` has the newest."""
        turns = self.turns[place]
        assert event.turn is not None
        before = turns.setdefault(event.turn, event.kind)
        assert before == event.kind, f"two terminal states of {place}: {before} and {event.kind}"
        acted = [c for c in self.world.written if isinstance(c, RetryDead | MarkSent) and c.id == event.id]
        assert len(turns) <= 1 + len(acted), f"{place} has ended {turns} and {len(acted)} commands reopened it"
        assert all(turns[t] in ("dead", "unknown") for t in turns if t < max(turns)), f"{place} went on after {turns}"
        self.ends[place] = turns[max(turns)]

    def answer(self, answer: Answer) -> None:
        before = self.answers.setdefault(answer.command_id, answer)
        if not answer.command_id.startswith("l"):
            same = (before.result, before.revision, before.deliveries) == (
                answer.result,
                answer.revision,
                answer.deliveries,
            )
            assert same, f"G5: two answers to {answer.command_id}: {before} and {answer}"
        assert answer.result != "conflict", f"G5: {answer.command_id} repeats id and content and was answered conflict"
        if answer.result == "too_late":
            why = answer.id in self.emitted or answer.id in self.ended() or self.rows()[answer.id].finished
            assert why, f"G3: {answer.command_id} was answered too_late, nothing was emitted"
        self.check_answers(answer.id)

    def ended(self) -> set[str]:
        return {i for i, _, _ in self.ends} | self.finished

    def check_answers(self, message_id: str) -> None:
        """No answer about this message is untrue."""
        for (key, _), takes in self.takes.items():
            if not takes or key.rpartition("/")[0] != message_id:
                continue
            target = key.rpartition("/")[2]
            for answer in self.answers.values():
                if answer.id != message_id or self.world.scenario.reuse:
                    continue
                if answer.result in ("cancelled", "partly_cancelled"):
                    state = answer.deliveries.get(target)
                    assert state != "cancelled", (
                        f"G3: {answer.command_id} was answered cancelled, the receiver has {key}"
                    )
                if answer.command_id.startswith("e") and answer.result == "accepted":
                    old = [rev for rev, _ in takes if rev < answer.revision]
                    assert not old, (
                        f"G3: {answer.command_id} was accepted as revision {answer.revision}, the receiver has {old}"
                    )

    def forgotten(self) -> set[str]:
        """Ids that may be used again: written once, finished, and their stubs are gone."""
        return self.finished - self.rows().keys()

    def rows(self) -> dict[str, Row]:
        """The valid rows of the log, as any loader reads them."""
        epoch, rows = -1, {}
        for record in self.world.timetable.records:
            if record is None:
                continue
            value = read_timetable(record.value) if record.value else None
            if record.key == b"!claim":
                epoch = record.offset
            elif isinstance(value, Row) and value.epoch >= epoch:
                rows[value.id] = value
            elif value is None and int(dict(record.headers).get("epoch", b"-1")) >= epoch:
                rows.pop(record.key.decode(), None)
        return rows

    def all_over(self) -> bool:
        answered = all(c.command_id in self.answers for c in self.world.written)
        rows = self.rows()
        live = [r for r in rows.values() if any(d.state in LIVE for d in r.deliveries)]
        told = all(
            self.ends.get((r.id, r.birth, d.target)) == d.state.value for r in rows.values() for d in r.deliveries
        )
        announced = all(self.announcements(i) or not r.message.on_finished for i, r in rows.items())
        return answered and not live and told and announced and self.world.scheduler.owner.ready

    def announcements(self, message_id: str) -> list[str]:
        """The messages that tell of its ends."""
        return [i for i in self.rows() if i.startswith(f"{message_id}!finished")]

    def end(self) -> None:
        world = self.world
        unanswered = [c.command_id for c in world.written if c.command_id not in self.answers]
        assert not unanswered, f"G1: never answered: {unanswered}"
        rows = self.rows()
        for command in world.written:
            accepted = isinstance(command, Create) and self.answers[command.command_id].result == "accepted"
            if accepted and not world.scenario.reuse:
                assert command.id in rows, f"G1: {command.id} was accepted and has no row"
        for row in rows.values():
            live = [d for d in row.deliveries if d.state in LIVE]
            assert not live, f"G1: {row.id} never ends: {live}"
            for d in row.deliveries:
                end = self.ends.get((row.id, row.birth, d.target))
                assert end == d.state.value, f"G1: {row.id}/{d.target} is {d.state.value} in its row, events say {end}"
        self.erased_and_announced(rows)
        owner = world.scheduler.owner
        mirror = {i: (r.revision, [d.state for d in r.deliveries]) for i, r in owner.mirror.table.items()}
        assert mirror == {i: (r.revision, [d.state for d in r.deliveries]) for i, r in rows.items()}, (
            "mirror and log differ"
        )
        assert not any(owner.spout.in_flight().values()), f"places in flight leak: {owner.spout.in_flight()}"
        if not world.scenario.reuse:
            self.windows_are_exact(rows.values(), owner.mirror)

    def erased_and_announced(self, rows: dict[str, Row]) -> None:
        """What was erased is gone; each end that was to be told is a message of its own, made once."""
        for command in self.world.written:
            if isinstance(command, Erase) and self.answers[command.command_id].result == "accepted":
                row = rows[command.id]
                content = (
                    row.message.to,
                    row.message.metadata,
                    row.message.on_finished,
                    *(d.to for d in row.deliveries),
                )
                assert row.erased, f"{row.id} was answered erased and is not"
                assert not any(content), f"{row.id} was answered erased and holds {content}"
        for row in rows.values():
            if row.message.on_finished and not self.world.scenario.reuse:
                made = self.announcements(row.id)
                ends = self.finals[row.id]
                assert len(made) == len(ends), (
                    f"G1: {row.id} came to {len(ends)} ends, {len(made)} are announced: {made}"
                )
        for message_id, births in self.announced.items():
            assert "!" not in message_id or len(births) == 1, f"{message_id} was made more than once: {births}"

    def windows_are_exact(self, rows: Iterable[Row], mirror: Any) -> None:
        """G7: what the mirror counts is what the rows say, and what `windows` says of it, but for what is still untold."""
        recount = Counter((minute, place) for row in rows for minute, place, _ in count_changes(None, row))
        counted = {(minute, place): n for minute, c in mirror.counts.items() for place, n in enumerate(c) if n}
        assert counted == recount, f"G7: the mirror counts {counted}, the rows say {dict(recount)}"
        told: dict[int, WindowRecord] = {}
        for record in self.world.windows.records:
            window = read_window(record.value)
            if isinstance(window, WindowRecord) and window.epoch >= told.get(minute_ms_of(window), window).epoch:
                told[minute_ms_of(window)] = window
        for minute in mirror.counts.keys() - mirror.untold:
            window = told[minute]
            assert counts_of(window) == mirror.counts[minute], f"G7: {minute} was told as {window}"


def durable_outcomes(log: Any) -> set[str]:
    """Keys of outcomes that count."""
    claim, found = -1, set()
    for record in log.records:
        if record is None or record.value is None:
            continue
        value = read_outcome(record.value)
        if record.key == b"!claim":
            claim = record.offset
        elif isinstance(value, OutcomeRecord) and value.claim == claim:
            found.add(record.key.decode())
    return found
