"""The order in which an owner decides."""

import pytest
from builders import a_cancel, a_create, a_look, an_ack, an_edit, asked

from agents.inbox import ACKS_PACE_MS, COMMANDS_PACE_MS, COMMANDS_SLICE, Inbox, Item, Stray
from schemas.decisions import Forgotten, Lapsed

ACK, COMMAND, OWN = an_ack(), asked(a_cancel()), Lapsed("m", 0)


def item(given, id_="m", source=None) -> Item:
    return Item(id_, given, source)


def an_inbox(*givens) -> Inbox:
    inbox = Inbox()
    for given in givens:
        inbox.put(item(given))
    return inbox


def test_acks_come_first_then_the_owners_own_findings_then_commands():
    inbox = an_inbox(COMMAND, Forgotten("m"), ACK, Stray(a_create(), 3), OWN)
    assert [i.given for i in inbox.slice()] == [ACK, Forgotten("m"), OWN, COMMAND, Stray(a_create(), 3)]
    assert (bool(inbox), inbox.slice()) == (False, [])


def test_commands_come_in_slices_and_in_order():
    commands = [asked(a_cancel(f"c{n}"), n) for n in range(COMMANDS_SLICE + 1)]
    inbox = an_inbox(*commands)
    assert [i.given for i in inbox.slice()] == commands[:-1]
    assert [i.given for i in inbox.slice()] == commands[-1:]


@pytest.mark.parametrize(
    ("givens", "pace_ms"),
    [
        ([COMMAND], COMMANDS_PACE_MS),
        ([ACK], ACKS_PACE_MS),
        ([ACK, COMMAND], COMMANDS_PACE_MS),
        ([ACK] * (COMMANDS_SLICE - 1), ACKS_PACE_MS),
        ([ACK] * COMMANDS_SLICE, 0),  # a full slice waits for nobody
    ],
)
def test_the_pace_of_rounds(givens, pace_ms):
    assert an_inbox(*givens).pace_ms() == pace_ms


def test_a_command_that_waits_holds_up_the_changes_of_its_own_message_only():
    inbox = Inbox()
    inbox.wait(item(COMMAND))
    assert inbox.must_queue(item(asked(an_edit(priority=1))))
    assert not inbox.must_queue(item(asked(a_look())))
    assert not inbox.must_queue(item(ACK))
    assert not inbox.must_queue(item(COMMAND, "other"))
    assert not inbox, "what waits cannot be decided now"


def test_what_waited_comes_back_first_and_in_order():
    first, second, third = (item(asked(a_cancel(f"c{n}"), n)) for n in range(3))
    inbox = Inbox()
    inbox.wait(first)
    inbox.wait(second)
    inbox.put(third)
    assert inbox.wake("m")
    assert inbox.slice() == [first, second, third]
    assert not inbox.wake("m")


def test_what_is_put_back_comes_first_in_its_queue_and_in_order():
    source = object()
    acks = [item(an_ack(turn=n), source=source) for n in range(3)]
    commands = [item(asked(a_cancel(f"c{n}")), source=source) for n in range(3)]
    own = [item(OWN), item(Forgotten("m"))]
    inbox = Inbox()
    inbox.put(acks[2])
    inbox.put(commands[2])
    inbox.put(own[1])
    inbox.put_back([*acks[:2], own[0], *commands[:2]])
    assert inbox.slice() == [*acks, *own, *commands]
