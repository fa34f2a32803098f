"""A frozen courier, a killed scheduler, and people who edit and cancel meanwhile: every answer stays true."""

from system import System, new_id, now_ms, raw, until

from schemas.commands import Cancel, Create, Edit
from schemas.due import DueMessage
from schemas.message import Changes
from schemas.wire import read_due

EMITTED = [f"now-{n}" for n in range(500)]
LATER = [f"later-{n}" for n in range(250)]
LATER_IN_S = 18


async def test_answers_agree_with_what_the_receiver_saw(make_system):
    async with make_system() as system:
        await _hand_over(system)
        system.courier.freeze()
        system.receiver.open.set()
        system.scheduler.kill()
        system.scheduler.start()
        await system.owned()
        answers = await system.insist(_changes(system))
        system.courier.thaw()
        await _all_over(system)

        seen = {id_: [a.body["text"] for a in system.receiver.of(id_)] for id_ in EMITTED + LATER}
        asked = {c.id: "cancel" if isinstance(c, Cancel) else "edit" for c in _changes(system)}
        assert {r for id_ in EMITTED if id_ in asked for r in [answers[id_].result]} == {"too_late"}
        for id_, texts in seen.items():
            match asked.get(id_), answers[id_].result if id_ in asked else None:
                case "cancel", "cancelled":
                    assert texts == [], f"{id_} was called cancelled and was received"
                case "edit", "accepted":
                    assert set(texts) == {"second"}, f"{id_} was edited and {texts} was received"
                case (None, None) | (_, "too_late"):
                    assert set(texts) == {"first"}, f"{id_}: {texts}"
                case other:
                    raise AssertionError(f"{id_}: {other}")
        assert {answers[id_].result for id_ in LATER if asked.get(id_) == "cancel"} == {"cancelled"}
        assert {answers[id_].result for id_ in LATER if asked.get(id_) == "edit"} == {"accepted"}
        assert system.receiver.early() == []


async def _hand_over(system: System) -> None:
    """500 in the courier's hands, none answered; 250 to come."""
    system.receiver.open.clear()
    start = now_ms()
    later = [system.message(id_, due_ms=start + LATER_IN_S * 1000) for id_ in LATER]
    now = [system.message(id_, due_ms=start + 1_500) for id_ in EMITTED]
    await system.insist(Create(command_id=new_id(), message=m, allow_past=True) for m in (*later, *now))

    async def emitted() -> bool:
        records = await system.read(system.names.due("webhook"))
        return len(EMITTED) == sum(isinstance(d, DueMessage) for r in records for d in read_due(r.value))

    await until(emitted, 20)
    await until(lambda: len(system.receiver.arrivals) >= 10)


def _changes(system: System) -> list[Cancel | Edit]:
    """Of both kinds every second one."""
    changed = Changes(body=raw({"due_ms": 0, "text": "second"}))
    cancels = [Cancel(command_id=f"x-{id_}", id=id_) for id_ in (*EMITTED[:125], *LATER[:100])]
    edits = [Edit(command_id=f"e-{id_}", id=id_, changes=changed) for id_ in (*EMITTED[125:250], *LATER[100:200])]
    return [*cancels, *edits]


async def _all_over(system: System) -> None:
    """What a supervisor does is done: a courier that gives up is started again."""

    async def finished() -> bool:
        if not system.courier.running:
            system.courier.start()
        states = await system.states(EMITTED + LATER)
        return set(states.values()) <= {"delivered", "cancelled"}

    await until(finished, 60, lambda: system.courier.text()[-3000:])
