"""The ledger of chaos finds each broken promise: a ledger that finds nothing proves nothing."""

import pytest
from chaos_ledger import Arrival, Asked, Change, Fault, Ledger

DUE = 1_000_000


def world(*arrivals: Arrival, created="accepted", changes=()) -> Ledger:
    ledger = Ledger()
    ledger.asked["m"] = Asked(id="m", due_ms=DUE, created=created, changes=list(changes))
    for arrival in arrivals:
        ledger.took(arrival)
    return ledger


def took(rev=1, at_ms=DUE + 5, key="m/0", due_ms=DUE) -> Arrival:
    return Arrival(key, rev, due_ms, at_ms)


def edit(answer):
    return Change(command_id="edit-m", kind="edit", rev=2, due_ms=DUE, answer=answer)


def cancel(answer):
    return Change(command_id="cancel-m", kind="cancel", answer=answer)


@pytest.mark.parametrize(
    ("ledger", "broken"),
    [
        (world(took()), []),
        (world(), ["lost"]),
        (world(created=None), []),  # nobody was told that it was accepted
        (world(changes=[cancel("cancelled")]), []),
        (world(changes=[cancel(None)]), []),
        (world(changes=[cancel("too_late")]), ["lost"]),
        (world(took(), changes=[cancel("cancelled")]), ["untrue"]),
        (world(took(), changes=[cancel("too_late")]), []),
        (world(took(), changes=[cancel("not_found")]), ["untrue"]),
        (world(took(rev=2), changes=[edit("accepted")]), []),
        (world(took(rev=1), changes=[edit("accepted")]), ["untrue"]),
        (world(took(rev=1), changes=[edit("too_late")]), []),
        (world(took(rev=2), changes=[edit("too_late")]), ["untrue"]),
        (world(took(rev=2), changes=[edit(None)]), []),
        (world(took(at_ms=DUE - 1)), ["early"]),
        (world(took(), took()), ["unexplained repeat"]),
        (world(took(), took(key="m/1")), ["repeat at the key-checking receiver"]),
        (
            world(took(rev=1), took(rev=2), changes=[edit(None)]),
            ["unexplained repeat", "repeat at the key-checking receiver"],
        ),
    ],
)
def test_what_does_not_fit_is_found(ledger, broken):
    assert [promise.kind for promise in ledger.broken([])] == broken


@pytest.mark.parametrize(
    ("fault", "explained"),
    [
        (Fault(kind="kill_courier", begun_ms=DUE, healed_ms=DUE, over_ms=DUE + 9), True),
        (Fault(kind="kill_courier", begun_ms=DUE - 90, healed_ms=DUE - 80, over_ms=DUE), False),
        (Fault(kind="kill_scheduler", begun_ms=DUE, healed_ms=DUE, over_ms=DUE + 9, excuses=False), False),
    ],
)
def test_a_repeat_is_explained_only_by_a_fault_that_can_break_a_send_off_at_that_time(fault, explained):
    assert (world(took(), took()).unexplained([fault]) == []) is explained


@pytest.mark.parametrize(("changes", "lost"), [([cancel("too_late")], []), ([], ["lost"])])
def test_what_may_be_unknown_is_not_called_lost(changes, lost):
    ledger = world(changes=changes)
    ledger.states["m"] = "unknown"
    assert [promise.kind for promise in ledger.broken([])] == lost


def test_what_is_outstanding_is_what_is_missing():
    ledger = world()
    ledger.expect(ledger.asked["m"])
    assert list(ledger.outstanding) == ["m"]
    ledger.took(took())
    assert (ledger.outstanding, ledger.missing()) == ({}, [])


@pytest.mark.parametrize(
    ("ledger", "archive", "wrong"),
    [
        (world(took()), {"m": "delivered"}, 0),
        (world(took()), {"m": "scheduled"}, 1),
        (world(took()), {}, 1),
        (world(changes=[cancel("cancelled")]), {"m": "cancelled"}, 0),
        (world(changes=[cancel("cancelled")]), {"m": "delivered"}, 1),
        (world(created=None), {}, 0),
    ],
)
def test_the_archive_must_say_how_each_accepted_message_ended(ledger, archive, wrong):
    assert len(ledger.unarchived(archive)) == wrong


@pytest.mark.parametrize(("accepted_ms", "late"), [(DUE, [5]), (DUE + 1, []), (0, [])])
def test_what_was_accepted_after_it_was_due_is_counted_by_itself(accepted_ms, late):
    ledger = world(took())
    ledger.asked["m"].accepted_ms = accepted_ms
    assert ledger.lateness_ms(DUE, DUE + 1) == late
    assert ledger.lateness_ms(DUE, DUE + 1, in_time=False) == [5][len(late) :]
