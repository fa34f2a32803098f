"""A courier's memory, on a real disk."""

import pytest
from msgspec.structs import replace

from schemas.outcomes import Delivered, OutcomeRecord, Paced, Rejected, outcome_key
from schemas.times import at
from schemas.wire import encode
from topology.memory import FORGET_SLICE, open_memory

NOON = 1_790_000_040_000


def an_outcome(key="m-1/0", turn=1, finished_ms=NOON):
    return OutcomeRecord(
        claim=5, key=key, birth=7, turn=turn, due_at=at(NOON), finished_at=at(finished_ms), result=Delivered()
    )


def entry(record):
    return outcome_key(record.key, record.birth, record.turn), record, encode(record)


@pytest.fixture
def opened(tmp_path):
    memories, warnings = [], []

    def opened(**given):
        for memory in memories:
            memory.close()
        settings = {"cluster_id": "c", "topic_id": "t", "log_end": 1000, "warn": warnings.append}
        memories.append(open_memory(tmp_path / "memory", **(settings | given)))
        return memories[-1]

    opened.warnings = warnings
    yield opened
    for memory in memories:
        memory.close()


def test_what_was_done_is_remembered_across_a_restart(opened):
    memory = opened()
    first, second = an_outcome(), an_outcome(turn=2)
    memory.claim, memory.epochs[3] = 8, 21
    memory.apply([entry(first), entry(second)], 40)
    again = opened()
    assert (again.applied, again.claim, again.epochs) == (40, 8, {3: 21})
    assert again.get_many(["m-1/0!7!2", "m-1/0!7!9", "m-1/0!7!1"]) == [second, None, first]
    assert again.get("m-1/0!7!1") == first
    assert again.get_many([]) == []
    assert opened.warnings == []


def test_what_flows_have_used_of_their_rates_is_remembered_across_a_restart_until_it_is_over(opened):
    used = Paced("acme", given_us=(NOON + 5) * 1_000, sent_us=NOON * 1_000)
    opened().apply([entry(replace(an_outcome(), paced=(used,)))], 1)
    memory = opened()
    assert memory.paces == {"acme": used}
    memory.forget(NOON + 5)
    assert memory.paces == {"acme": used}
    memory.forget(NOON + 6)
    assert memory.paces == opened().paces == {}


def test_it_forgets_what_finished_before(opened):
    memory = opened()
    records = [an_outcome(f"m-{n}/0", finished_ms=NOON + n) for n in range(4)]
    memory.apply(map(entry, records), 4)
    assert memory.forget(NOON) == 0
    assert memory.forget(NOON + 2) == 2
    assert memory.get_many([entry(r)[0] for r in records]) == [None, None, records[2], records[3]]
    assert memory.forget(NOON + 2) == 0
    memory.apply([entry(records[0])], 5)
    assert memory.forget(NOON + 2) == 1


def test_an_outcome_that_replaced_a_note_is_forgotten_by_its_own_time(opened):
    memory = opened()
    note = an_outcome()
    outcome = replace(note, finished_at=at(NOON + 10), result=Rejected(reason="no"))
    memory.apply([entry(note)], 1)
    memory.apply([entry(outcome)], 2)
    assert memory.forget(NOON + 10) == 0
    assert memory.get("m-1/0!7!1") == outcome
    assert memory.forget(NOON + 11) == 1
    assert memory.get("m-1/0!7!1") is None


def test_it_forgets_all_of_more_than_one_slice(opened):
    memory = opened()
    memory.apply([entry(an_outcome(f"m-{n}/0")) for n in range(FORGET_SLICE + 1)], 1)
    assert [memory.forget(NOON + 1) for _ in range(2)] == [FORGET_SLICE + 1, 0]


@pytest.mark.parametrize("now", [{"cluster_id": "other"}, {"topic_id": "other"}, {"log_end": 39}])
def test_a_memory_of_another_log_is_rebuilt_with_a_warning(opened, now):
    opened().apply([entry(an_outcome())], 40)
    memory = opened(**now)
    assert (memory.applied, memory.claim, memory.get("m-1/0!7!1")) == (0, -1, None)
    assert len(opened.warnings) == 1
