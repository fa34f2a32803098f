"""What a receiver's answers lead to: retries, dead letters, expiry; and what may still be changed meanwhile."""

import pytest
from system import System, new_id, now_ms
from system_receiver import OK, Reply

from schemas.times import at

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUSY = Reply(503)
QUICK = {"delays": ["PT0.2S", "PT0.3S"]}
SLOW = {"delays": ["PT3S"]}


async def test_two_503_then_200_is_delivered_by_the_messages_own_schedule(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [BUSY, BUSY]
    await shared.create(shared.message(id_, retry=QUICK))
    await shared.all_in("delivered", [id_])
    first, second, third = shared.receiver.of(id_)
    assert {a.key for a in (first, second, third)} == {f"{id_}/0"}
    assert second.at_ms - first.at_ms >= 200
    assert third.at_ms - second.at_ms >= 300
    assert (await shared.look(id_)).view.deliveries[0].attempts == 3


async def test_a_refusal_is_a_dead_letter_at_once_with_the_response(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [Reply(400, body="no such post")]
    await shared.create(shared.message(id_, retry=QUICK))
    (letter,) = await shared.letters(lambda found: found.get("id") == id_)
    assert (letter["state"], letter["target"]) == ("dead", 0)
    response = letter["row"]["deliveries"][0]["last_response"]
    assert (response["status"], response["body"]) == (400, "no such post")
    assert letter["row"]["message"]["body"]["text"] == "first", "the letter holds the whole message"
    await shared.all_in("dead", [id_])
    assert len(shared.receiver.of(id_)) == 1


async def test_exhausted_retries_end_in_the_dead_letters(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [BUSY] * 9
    await shared.create(shared.message(id_, retry=QUICK))
    (letter,) = await shared.letters(lambda found: found.get("id") == id_)
    assert (letter["state"], letter["row"]["deliveries"][0]["attempts"]) == ("dead", 3)
    assert len(shared.receiver.of(id_)) == 3


async def test_what_is_past_its_expiry_at_a_send_is_expired_and_not_sent(shared: System):
    late, retried = new_id(), new_id()
    due = now_ms() - 2_000
    await shared.create(shared.message(late, due_ms=due, expires_at=at(due + 1_000)))
    shared.receiver.script[retried] = [BUSY]
    await shared.create(shared.message(retried, retry=SLOW, expires_at=at(now_ms() + 1_500)))
    await shared.all_in("expired", [late, retried])
    assert (len(shared.receiver.of(late)), len(shared.receiver.of(retried))) == (0, 1)


async def test_a_receivers_retry_after_is_honoured(shared: System):
    id_ = new_id()
    shared.receiver.script[id_] = [Reply(503, {"Retry-After": "2"})]
    await shared.create(shared.message(id_, retry=QUICK))
    await shared.all_in("delivered", [id_])
    first, second = shared.receiver.of(id_)
    assert 2_000 <= second.at_ms - first.at_ms <= 4_000


async def test_a_message_that_waits_for_its_retry_can_be_cancelled(shared: System):
    id_ = await _waits_for_its_retry(shared)
    assert (await shared.cancel(id_)).result == "cancelled"
    assert (await shared.look(id_)).state == "cancelled"
    other = await _waits_for_its_retry(shared)
    await shared.all_in("delivered", [other])
    assert len(shared.receiver.of(id_)) == 1, "the one tried before would have been tried again by now"


async def test_of_a_message_that_waits_for_its_retry_the_timing_can_be_edited_and_the_content_not(shared: System):
    id_ = await _waits_for_its_retry(shared)
    refused = await shared.edit(id_, body={"due_ms": 0, "text": "second"})
    assert (refused.result, "content is fixed" in refused.detail) == ("too_late", True)
    due = now_ms() + 500
    accepted = await shared.edit(id_, due_at=at(due), priority=9)
    assert (accepted.result, accepted.revision) == ("accepted", 2)
    await shared.all_in("delivered", [id_])
    _, second = shared.receiver.of(id_)
    assert second.body["text"] == "first"
    assert due <= second.at_ms < due + 2_000


async def _waits_for_its_retry(system: System) -> str:
    id_ = new_id()
    system.receiver.script[id_] = [BUSY, OK]
    await system.create(system.message(id_, retry=SLOW))
    await system.all_in("retrying", [id_])
    return id_


async def test_of_three_targets_a_dead_one_harms_no_other(shared: System):
    id_ = new_id()
    gone = "http://127.0.0.1:1/nobody-listens"
    targets = [{"channel": "webhook", "to": to} for to in (shared.receiver.url, gone, shared.receiver.url)]
    await shared.create(shared.message(id_, targets=targets, retry={"delays": ["PT0.1S"]}))
    await shared.all_in("partial", [id_])
    view = (await shared.look(id_)).view
    assert [(d.target, d.state, d.attempts) for d in view.deliveries] == [
        (0, "delivered", 1),
        (1, "dead", 2),
        (2, "delivered", 1),
    ]
    assert sorted(a.key for a in shared.receiver.of(id_)) == [f"{id_}/0", f"{id_}/2"]


async def test_an_edit_before_the_due_time_is_what_is_sent_and_a_cancel_stops_it(shared: System):
    edited, cancelled = new_id(), new_id()
    for id_ in (edited, cancelled):
        await shared.create(shared.message(id_, in_s=1))
    assert (await shared.edit(edited, body={"due_ms": 0, "text": "second"})).result == "accepted"
    assert (await shared.cancel(cancelled)).result == "cancelled"
    assert (await shared.edit(edited, if_revision=1, priority=1)).result == "revision_mismatch"
    await shared.all_in("delivered", [edited])
    assert (await shared.cancel(edited)).result == "too_late"
    assert [a.body["text"] for a in shared.receiver.of(edited)] == ["second"]
    assert shared.receiver.of(cancelled) == []
