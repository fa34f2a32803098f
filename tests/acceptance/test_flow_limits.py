"""Limits and pauses at a real receiver: never above the rate, also over kill -9; others are not held up.

The receiver's kernel stamps what comes in, so that a busy test counts nothing twice in a second.
`CLEPSYDRA_LIMITS_FULL=1`: at the size that the promises name.
"""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from stamped_receiver import StampedReceiver
from system import System, new_id, now_ms, say, until

from schemas.commands import Create
from schemas.flow_limits import FlowLimits
from schemas.outcomes import OutcomeRecord
from schemas.settings_records import Flow
from schemas.times import at, ms_of
from schemas.wire import read_outcome, read_window
from topology.producer import Kafka
from topology.settings_table import SettingsTable

FULL = bool(os.environ.get("CLEPSYDRA_LIMITS_FULL"))
LEAD_S = 2


@asynccontextmanager
async def flows(system: System) -> AsyncIterator[Any]:
    """Sets limits as a gateway does."""
    kafka = Kafka(system.settings.brokers, client_id="flows")
    await kafka.start()
    table = SettingsTable(kafka, system.names.settings, pytest.fail)
    await table.start()

    async def put(key: str, **limits: Any) -> None:
        await table.put(Flow(key=key, limits=FlowLimits(**limits), set_at=at(now_ms())))

    try:
        yield put
    finally:
        await table.stop()
        await kafka.stop()


async def schedule(system: System, ids: Iterable[str], due_ms: int, **fields: Any) -> None:
    messages = [system.message(id_, due_ms=due_ms, **fields) for id_ in ids]
    await system.insist(Create(command_id=new_id(), message=message, allow_past=True) for message in messages)


def times(system: System, prefix: str) -> list[int]:
    """When the messages of this beginning came in."""
    return sorted(arrival.at_ms for arrival in system.receiver.arrivals if arrival.id.startswith(prefix))


def most_in(moments: list[int], window_ms: int) -> int:
    """The most that came in within any window of this length."""
    return max(sum(first <= moment < first + window_ms for moment in moments) for first in moments)


def conforms(moments: list[int], interval_ms: float, burst: int = 1) -> bool:
    """Whether no window, however long, saw more than GCRA lets through; stamps are whole ms, rounded down."""
    spans = ((n, last - first) for i, first in enumerate(moments) for n, last in enumerate(moments[i:], 1))
    return all(count <= burst + (span + 1) // interval_ms for count, span in spans)


def late_p99(moments: list[int], due_ms: int) -> int:
    return sorted(moment - due_ms for moment in moments)[int(len(moments) * 0.99) - 1]


async def test_a_hundred_due_at_once_go_at_ten_a_second_and_hold_nobody_up(make_system):
    count = 100 if FULL else 40
    async with make_system(receiver=StampedReceiver()) as system, flows(system) as put:
        await put("acme", rate=10)
        due = now_ms() + LEAD_S * 1_000
        await schedule(system, (f"acme-{n}" for n in range(count)), due, account="acme")
        await schedule(system, (f"other-{n}" for n in range(100)), due, account="other")
        await until(lambda: len(times(system, "other-")) == 100, 20)
        waiting = await until(lambda: _waiting(system, "acme-9"), 5)
        await until(lambda: len(times(system, "acme-")) == count, count / 10 + 10)
        moments, others = times(system, "acme-"), times(system, "other-")
        took_s = (moments[-1] - moments[0]) / 1_000
        say(f"{took_s:.2f} s, most in a second {most_in(moments, 1_000)}, others p99 {late_p99(others, due)} ms")
        begun = await _begun(system, "acme-")
        assert min(b - a for a, b in pairwise(begun)) >= 100, (
            "each send begins a tenth of a second after the one before"
        )
        assert conforms(moments, 101)
        assert most_in(moments, 1_000) <= 10
        assert took_s == pytest.approx(count / 10, rel=0.1)
        assert late_p99(others, due) < 1_000
        assert system.receiver.repeats() == {}
        assert system.receiver.early() == []
        assert waiting.deliveries[0].reason.startswith("waiting for its slot at ")
        assert waiting.timeline[-1].note == waiting.deliveries[0].reason


async def test_no_burst_above_the_limit_goes_out_after_a_courier_is_killed(make_system):
    count = 100 if FULL else 50
    async with make_system(receiver=StampedReceiver()) as system, flows(system) as put:
        await put("acme", rate=10, burst=3)
        due = now_ms() + LEAD_S * 1_000
        await schedule(system, (f"acme-{n}" for n in range(count)), due, account="acme")
        await until(lambda: len(times(system, "acme-")) >= 15, 20)
        system.courier.kill()
        system.courier.start()
        await until(lambda: system.receiver.ids() >= {f"acme-{n}" for n in range(count)}, count / 10 + 30)
        moments = times(system, "acme-")
        say(f"killed: most in a second {most_in(moments, 1_000)}, {len(moments)} in {moments[-1] - moments[0]} ms")
        assert conforms(moments, 101, burst=3)
        # GCRA: a burst of 3, then one each 101 ms: 3 + 1000 // 101 in a second
        assert most_in(moments, 1_000) <= 3 + 9


async def test_a_paused_flow_sends_nothing_and_can_be_edited_and_goes_on_at_its_rate(make_system):
    async with make_system(receiver=StampedReceiver()) as system, flows(system) as put:
        await put("acme", rate=10, paused=True, note="the token has run out")
        due = now_ms() + 500
        ids = [f"acme-{n}" for n in range(20)]
        await schedule(system, ids, due, account="acme")
        await schedule(system, ["other"], due)
        await system.all_in("delivered", ["other"])
        edited = await system.edit("acme-3", body={"due_ms": due, "text": "second"})
        cancelled = await system.cancel("acme-4")
        assert (edited.result, cancelled.result) == ("accepted", "cancelled")
        assert times(system, "acme-") == []
        assert set((await system.states(ids)).values()) == {"scheduled", "cancelled"}
        await until(lambda: _paused(system, "acme", 19), 15)
        system.scheduler.kill()
        system.scheduler.start()
        await system.owned()
        # a new owner asks the couriers first: what was overdue may have been emitted by the former one
        await until(lambda: _edited(system, "acme-5", due), 10)
        await put("acme", rate=10)
        await until(lambda: len(times(system, "acme-")) == 19, 20)
        assert conforms(times(system, "acme-"), 101)
        assert most_in(times(system, "acme-"), 1_000) <= 10
        assert [system.receiver.of(id_)[0].body["text"] for id_ in ("acme-3", "acme-5", "acme-6")] == [
            "second", "second", "first",
        ]  # fmt: skip
        await until(lambda: _paused(system, "acme", 0), 15)


async def test_a_rate_that_is_raised_holds_for_what_waits_already(make_system):
    async with make_system(receiver=StampedReceiver()) as system, flows(system) as put:
        await put("acme", rate=1, per=timedelta(minutes=1))
        due = now_ms() + 500
        await schedule(system, (f"acme-{n}" for n in range(20)), due, account="acme")
        await until(lambda: _waiting(system, "acme-9"), 10)
        assert len(times(system, "acme-")) <= 1
        await put("acme", rate=20)
        await until(lambda: len(times(system, "acme-")) == 20, 10)
        assert conforms(times(system, "acme-"), 50.5)
        assert most_in(times(system, "acme-"), 1_000) <= 20


async def _begun(system: System, prefix: str) -> list[int]:
    """When the sends of these began, as the courier wrote down."""
    found = [read_outcome(record.value) for record in await system.read(system.names.outcomes("webhook"))]
    sent = [o for o in found if isinstance(o, OutcomeRecord) and o.key.startswith(prefix) and o.started_at is not None]
    return sorted(ms_of(outcome.started_at) for outcome in sent)


async def _edited(system: System, message_id: str, due_ms: int) -> bool:
    return (await system.edit(message_id, body={"due_ms": due_ms, "text": "second"})).result == "accepted"


async def _waiting(system: System, message_id: str) -> Any:
    """The message, once it is back in the timetable with its slot."""
    view = (await system.look(message_id)).view
    return view if view is not None and view.deliveries[0].slot == "flow" else None


async def _paused(system: System, key: str, count: int) -> bool:
    """What the owners tell of what they hold back."""
    newest = {r.key: r.value for r in await system.read(system.names.windows) if r.key.endswith(b"owner")}
    return sum(getattr(read_window(value), "paused", {}).get(key, 0) for value in newest.values()) == count
