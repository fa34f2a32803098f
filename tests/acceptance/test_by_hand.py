"""What people do to messages, against real workers: send now, retry, discard, mark as sent, erase; and who is told of the end."""

import pytest
from system import System, new_id, until
from system_receiver import Reply

from schemas.commands import ByHandCommand, Discard, Erase, MarkSent, RetryDead, SendNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

NONE = {"delays": []}


async def test_what_is_due_in_an_hour_is_sent_now(shared: System):
    id_ = new_id()
    await shared.create(shared.message(id_, in_s=3_600))
    answer = await shared.ask(SendNow(command_id=new_id(), id=id_))
    assert (answer.result, answer.revision) == ("accepted", 2)
    await shared.all_in("delivered", [id_])
    assert (await shared.ask(SendNow(command_id=new_id(), id=id_))).result == "too_late"
    assert len(shared.receiver.of(id_)) == 1


async def test_a_retry_waiting_for_hours_is_sent_now(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [Reply(503)]
    await shared.create(shared.message(id_, retry={"delays": ["PT5H"]}))
    await shared.all_in("retrying", [id_])
    assert (await shared.ask(SendNow(command_id=new_id(), id=id_))).result == "accepted"
    await shared.all_in("delivered", [id_])
    assert len(shared.receiver.of(id_)) == 2


async def test_a_dead_letter_tried_again_is_sent_under_the_same_key_by_a_schedule_that_begins_anew(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [Reply(503), Reply(503), Reply(503), Reply(200)]
    await shared.create(shared.message(id_, retry={"delays": ["PT0.1S"]}))
    await shared.all_in("dead", [id_])
    assert len(shared.receiver.of(id_)) == 2
    assert (await _by_hand(shared, RetryDead, id_)).deliveries == {"0": "retrying"}
    await shared.all_in("delivered", [id_])
    assert [(a.key, a.status) for a in shared.receiver.of(id_)] == [(f"{id_}/0", s) for s in (503, 503, 503, 200)]
    view = (await shared.look(id_)).view
    assert view is not None
    assert (view.deliveries[0].attempts, view.deliveries[0].last_response.status) == (4, 200)
    assert [m.what for m in view.timeline] == [
        "scheduled", "retrying", "dead", "retried by hand", "retrying", "delivered"
    ]  # fmt: skip


async def test_what_is_discarded_or_marked_as_sent_is_not_sent_again(shared: System):
    discarded, marked = await _dead(shared), await _dead(shared)
    assert (await _by_hand(shared, Discard, discarded)).state == "dead"
    assert (await _by_hand(shared, MarkSent, marked)).state == "delivered"
    assert (await _by_hand(shared, RetryDead, discarded)).result == "wrong_state"
    witness = await _dead(shared)
    await _by_hand(shared, RetryDead, witness)
    await shared.all_in("delivered", [witness])
    assert [len(shared.receiver.of(id_)) for id_ in (discarded, marked)] == [1, 1]


async def test_an_erased_message_leaves_nothing_of_its_content_in_the_timetable(shared: System):
    id_ = await _dead(shared)
    assert (await shared.ask(Erase(command_id=new_id(), id=id_))).result == "accepted"
    view = (await shared.look(id_)).view
    assert view is not None
    assert (view.erased, view.message.to, view.deliveries[0].to, view.deliveries[0].last_response) == (
        True, "", "", None
    )  # fmt: skip
    records = [r for r in await shared.read(shared.names.timetable) if r.key == id_.encode()]
    assert b"no such post" in records[-2].value
    assert b"no such post" not in records[-1].value
    assert shared.receiver.url.encode() not in records[-1].value


async def test_the_end_of_a_message_is_told_by_a_webhook_that_is_a_message_of_its_own(shared: System):
    delivered, dead, cancelled, silent = (new_id() for _ in range(4))
    tell = {"url": shared.receiver.url}
    shared.receiver.script[dead] = [Reply(400)]
    await shared.create(shared.message(delivered, on_finished=tell))
    await shared.create(shared.message(dead, on_finished=tell | {"states": ["dead", "delivered"]}))
    await shared.create(shared.message(cancelled, in_s=60, on_finished=tell))
    await shared.create(shared.message(silent, on_finished=tell | {"states": ["dead"]}))
    await shared.cancel(cancelled)
    told = {f"{delivered}!finished": "delivered", f"{dead}!finished": "dead", f"{cancelled}!finished": "cancelled"}
    await shared.all_in("delivered", told)
    for id_, state in told.items():
        (arrival,) = shared.receiver.of(id_)
        assert (arrival.body["kind"], arrival.body["id"], arrival.body["state"]) == (
            "finished", id_.removesuffix("!finished"), state
        )  # fmt: skip
    await shared.all_in("delivered", [silent])
    assert (await shared.look(f"{silent}!finished")).result == "not_found"
    await _by_hand(shared, RetryDead, dead)
    await until(lambda: len([a for a in shared.receiver.arrivals if a.id.startswith(f"{dead}!finished")]) == 2)
    second = next(a for a in shared.receiver.arrivals if a.id.startswith(f"{dead}!finished!"))
    assert second.body["state"] == "delivered"


async def _by_hand(system: System, kind: type[ByHandCommand], id_: str):
    return await system.ask(kind(command_id=new_id(), id=id_))


async def _dead(system: System) -> str:
    """Refused once with 400."""
    id_ = new_id()
    system.receiver.script[id_] = [Reply(400, body="no such post")]
    await system.create(system.message(id_, retry=NONE))
    await system.all_in("dead", [id_])
    return id_
