"""The stores on disk and those of the simulation give the same answers to the same questions."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from simulation.sim_stores import SimMemory, SimMirror

from agents.ports import Change, Due, Loaded
from schemas.lifecycle import DeliveryState
from schemas.message import Content
from schemas.outcomes import Delivered, OutcomeRecord, outcome_key
from schemas.rows import Delivery, Row
from schemas.times import at
from schemas.wire import encode, read_placed
from topology.memory import open_memory
from topology.mirror import open_mirror

NOON = 1_790_000_040_000
MINUTE = 60_000
STORED = [state for state in DeliveryState if state is not DeliveryState.EMITTED]

ids = st.sampled_from(["a", "ab", "b", "a@1", "é"])
times = st.integers(0, 5).map(lambda n: NOON + n * MINUTE // 2)


@st.composite
def rows(draw):
    due = at(draw(times))
    message_id = draw(ids)
    states = draw(st.lists(st.sampled_from(STORED), min_size=1, max_size=3))
    return Row(
        epoch=1,
        id=message_id,
        birth=1,
        original="",
        message=Content(id=message_id, due_at=due, channel="webhook", body=Raw(b"1")),
        deliveries=tuple(
            Delivery(target=n, channel="webhook", due_at=at(draw(times)), turn_epoch=1, state=state)
            for n, state in enumerate(states)
        ),
        forget_at=draw(st.none() | times.map(at)),
        created_at=due,
        updated_at=due,
    )


batches = st.lists(st.lists(rows() | ids, max_size=5), min_size=1, max_size=5)
afters = st.none() | st.builds(Due, times, ids, st.integers(0, 3))


@settings(deadline=None, max_examples=60)
@given(batches, st.lists(st.tuples(afters, times, st.integers(0, 6)), max_size=6))
def test_mirrors_agree(batches, questions):
    with tempfile.TemporaryDirectory() as directory:
        real, simulated = _open_mirror(directory), SimMirror()
        for n, batch in enumerate(batches):
            changes = _changes(batch, simulated.table)
            before = dict(real.counts)
            if n % 2:  # as a load does: each id once, what it replaces is looked up
                newest = {change.id: change.value for change in changes}
                loaded = [Loaded(i, value and read_placed(value), value) for i, value in newest.items()]
                real.load(loaded, n + 1)
                simulated.load(loaded, n + 1)
            else:
                real.apply(changes, n + 1)
                simulated.apply(changes, n + 1)
            _agree(real, simulated, questions)
            moved = {minute for minute, counts in real.counts.items() if counts != before.get(minute)}
            assert moved <= real.untold, "a window that has changed is told"
        real.close()
        real = _open_mirror(directory)
        _agree(real, simulated, questions)
        real.close()


def _open_mirror(directory):
    return open_mirror(
        Path(directory),
        cluster_id="c",
        topic_id="t",
        log_start=0,
        log_end=9,
        now_ms=NOON,
        max_sleep_ms=9**9,
        warn=print,
    )


def _changes(batch, table):
    """Each row in place of what the batch so far, or the table, has; an id alone is a tombstone."""
    now = dict(table)
    changes = []
    for row in batch:
        message_id = row if isinstance(row, str) else row.id
        new = None if isinstance(row, str) else row
        changes.append(Change(message_id, now.get(message_id), new, new and encode(new)))
        now[message_id] = new
    return changes


def _agree(real, simulated, questions):
    assert (real.applied, real.rows()) == (simulated.applied, simulated.rows())
    assert _counted(real) == _counted(simulated)
    for message_id in ("a", "ab", "b", "a@1", "é", "never"):
        assert real.get(message_id) == simulated.get(message_id)
    for after, until_ms, limit in [(None, NOON + 9 * MINUTE, 100), *questions]:
        assert real.due_from(after, until_ms, limit) == simulated.due_from(after, until_ms, limit)
        assert real.to_forget(until_ms, limit) == simulated.to_forget(until_ms, limit)


def _counted(mirror):
    return {minute: counts for minute, counts in mirror.counts.items() if any(counts)}


outcomes = st.lists(st.tuples(ids, st.integers(1, 2), times), max_size=6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(outcomes, times), min_size=1, max_size=5))
def test_memories_agree(batches):
    with tempfile.TemporaryDirectory() as directory:
        real = open_memory(Path(directory), cluster_id="c", topic_id="t", log_end=9, warn=print)
        simulated = SimMemory()
        for n, (batch, before_ms) in enumerate(batches):
            entries = [_entry(*outcome) for outcome in batch]
            for memory in (real, simulated):
                memory.apply(entries, n + 1)
            assert real.forget(before_ms) == simulated.forget(before_ms)
            keys = [outcome_key(message_id, 1, turn) for message_id in ("a", "ab", "b", "a@1", "é") for turn in (1, 2)]
            assert real.get_many(keys) == simulated.get_many(keys)
        real.close()


def _entry(message_id, turn, finished_ms):
    record = OutcomeRecord(
        claim=1, key=message_id, birth=1, turn=turn, due_at=at(NOON), finished_at=at(finished_ms), result=Delivered()
    )
    return outcome_key(message_id, 1, turn), record, encode(record)
