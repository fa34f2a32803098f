"""Schedules over days and months: none missing, none double, and the history says what happened to each."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw
from night_shift import DAY, HOUR, NightShift

from schemas.decide_schedule import decide_schedule
from schemas.decisions import Policy
from schemas.recurrence import nominal_text
from schemas.schedule_commands import (
    ScheduleBackfill,
    ScheduleEdit,
    SchedulePause,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)
from schemas.schedule_decisions import AskedSchedule
from schemas.times import at, ms_of
from schemas.wire import encode

MONDAY = datetime(2026, 9, 21, tzinfo=UTC)


def shift(**over) -> NightShift:
    return NightShift(1, now_ms=ms_of(MONDAY), **over)


def of(day: int, hour: int = 2) -> str:
    return nominal_text(MONDAY + timedelta(days=day, hours=hour))


def test_a_nightly_run_is_made_ahead_and_sent_each_night():
    s = shift()
    assert s.put("n", recurrence={"cron": "0 2 * * *"}).result == "accepted"
    assert f"n@{of(0)}" in s.mirror.table
    s.work(s.now_ms + 3 * DAY)
    assert s.sent == {f"n@{of(d)}": 1 for d in range(3)}
    assert s.history("n") == [("21 02:00", "sent"), ("22 02:00", "sent"), ("23 02:00", "sent")]


OUTAGE = [
    ("skip", [], ["missed"] * 3),
    ("latest", [of(3)], ["missed", "missed", "late"]),
    ("all", [of(1), of(2), of(3)], ["late"] * 3),
]


@pytest.mark.parametrize(("missed", "run", "states"), OUTAGE)
def test_after_an_outage_of_three_days_the_policy_does_what_it_says(missed, run, states):
    """The last run before the outage is sent; the next is made ahead and in the timetable when all goes down."""
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, missed=missed, catch_up=timedelta(days=7))
    s.work(s.now_ms + 12 * HOUR)
    s.sleep(s.now_ms + 3 * DAY)
    s.work(s.now_ms + HOUR)
    assert sorted(s.sent) == [f"n@{of(0)}", *(f"n@{key}" for key in run)]
    assert s.history("n") == [("21 02:00", "sent"), *zip(("22 02:00", "23 02:00", "24 02:00"), states, strict=True)]


def test_what_is_later_than_catch_up_is_missed():
    s = shift()
    s.put("n", recurrence={"cron": "0 * * * *"}, missed="all", catch_up="PT3H")
    s.work(s.now_ms + 90 * 60_000)
    s.sleep(s.now_ms + DAY)
    s.work(s.now_ms + HOUR)
    row = s.table.get("n")
    missed = [past for past in row.history if past.state == "missed"]
    assert sum(past.times for past in missed) + len(s.sent) == 26
    assert {past.reason for past in missed} == {
        "it could not begin in time",  # made before the outage
        "no scheduler ran; it is later than `catch_up`",
    }
    assert len(s.sent) == 1 + 3 + 1


def test_many_missed_runs_are_one_line_of_history():
    s = shift()
    s.put("n", recurrence={"every": "PT1M"}, missed="skip")
    s.work(s.now_ms + 10 * 60_000)
    s.sleep(s.now_ms + 3 * DAY)
    s.work(s.now_ms + 10 * 60_000)
    row = s.table.get("n")
    whole = sum(past.times for past in row.history if past.state == "missed")
    assert whole > 4_300
    assert len(row.history) <= 50
    assert all(count == 1 for count in s.sent.values())


def test_a_pause_takes_back_what_is_made_and_resume_follows_the_policy():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, missed="latest", catch_up=timedelta(days=1))
    s.work(s.now_ms + HOUR)
    s.ask(SchedulePause(command_id="p", id="n", note="move of the data centre"))
    assert [row.state for row in s.mirror.table.values()] == ["cancelled"]
    assert s.table.get("n").paused.note == "move of the data centre"
    s.work(s.now_ms + 3 * DAY)
    assert not s.sent
    s.ask(ScheduleResume(command_id="r", id="n"))
    s.work(s.now_ms + HOUR)
    assert s.sent == {f"n@{of(2)}": 1, f"n@{of(3)}": 1}
    assert [state for _, state in s.history("n")] == ["missed", "missed", "late", "sent"]


def test_a_cancel_of_a_run_that_is_not_made_holds_though_its_schedule_is_paused():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.ask(SchedulePause(command_id="p", id="n"))
    assert s.cancel(f"n@{of(3)}").result == "cancelled"
    assert s.cancel(f"n@{of(3)}").result == "cancelled"
    assert s.cancel(f"n@{of(3, 5)}").result == "not_found"
    assert not [row.id for row in s.mirror.table.values() if not row.finished]
    s.ask(ScheduleResume(command_id="r", id="n"))
    s.work(s.now_ms + 5 * DAY)
    assert sorted(s.sent) == [f"n@{of(d)}" for d in (0, 1, 2, 4)]
    assert s.history("n")[3] == ("24 02:00", "cancelled")


@pytest.mark.parametrize("day", [0, 3])
def test_a_move_of_a_run_of_a_paused_schedule_says_what_to_do(day):
    """The first was made and taken back, the other is far."""
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.ask(SchedulePause(command_id="p", id="n"))
    later = ms_of(MONDAY + timedelta(days=day, hours=20))
    answer = s.move(f"n@{of(day)}", later)
    assert (answer.result, "resume it" in answer.detail) == ("wrong_state", True)
    assert s.move(f"n@{of(day, 5)}", later).result == "not_found"
    s.ask(ScheduleResume(command_id="r", id="n"))
    assert s.move(f"n@{of(day)}", later).result == "accepted"
    s.work(s.now_ms + 5 * DAY)
    assert sorted(s.sent) == [f"n@{of(d)}" for d in range(5)]


def test_a_repeated_resume_tells_again_what_it_found_missed():
    """Its row was written and then the owner died: the same events, once for whoever drops repeats."""
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, missed="skip")
    s.ask(SchedulePause(command_id="p", id="n"))
    s.sleep(s.now_ms + 3 * DAY)
    resume = AskedSchedule(ScheduleResume(command_id="r", id="n"), s.offset + 1, s.now_ms)
    first = decide_schedule(s.keeper.seen("n"), resume, s.now_ms, s.policy)
    s.write_schedule("n", first)
    again = decide_schedule(s.keeper.seen("n"), resume, s.now_ms + HOUR, s.policy)
    told = [event.event_id for event in first.events]
    assert [event.kind for event in first.events].count("missed") == 3
    assert ([event.event_id for event in again.events], again.row) == (told, None)
    s.tend("n")
    assert s.table.get("n").missed == ()


def test_an_edit_replaces_what_is_not_emitted():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.ask(ScheduleEdit(command_id="e", id="n", changes={"recurrence": Raw(b'{"cron": "0 3 * * *"}')}))
    live = [i for i, row in s.mirror.table.items() if not row.finished]
    assert live == [f"n@{of(0, 3)}"]
    s.work(s.now_ms + 2 * DAY)
    assert s.sent == {f"n@{of(0, 3)}": 1, f"n@{of(1, 3)}": 1}


def test_an_edit_of_the_body_keeps_the_time_and_changes_what_is_sent():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.ask(ScheduleEdit(command_id="e", id="n", changes={"message": Raw(b'{"channel": "log", "body": "new"}')}))
    (row,) = s.mirror.table.values()
    assert (bytes(row.message.body), row.revision, row.id) == (b'"new"', 2, f"n@{of(0)}")


def test_cancelled_and_moved_occurrences_hold_through_edits_and_forgotten_stubs():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    assert s.cancel(f"n@{of(5)}").result == "cancelled"
    assert s.move(f"n@{of(6)}", ms_of(MONDAY + timedelta(days=6, hours=20))).result == "accepted"
    for day in range(4):
        s.work(s.now_ms + DAY)
        s.forget()
        body = Raw(b'{"channel": "log", "body": "%d"}' % day)
        s.ask(ScheduleEdit(command_id=f"e{day}", id="n", changes={"message": body}))
    assert not [i for i, row in s.mirror.table.items() if i == f"n@{of(5)}" and not row.finished]
    s.work(s.now_ms + 5 * DAY)
    assert sorted(s.sent) == [f"n@{of(d)}" for d in (0, 1, 2, 3, 4, 6, 7, 8)]
    moved = next(t for name, t in s.sent_at.items() if name.startswith(f"n@{of(6)}"))
    assert at(moved) == MONDAY + timedelta(days=6, hours=20)


def test_backfill_runs_only_what_never_ran():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, missed="skip")
    s.work(s.now_ms + DAY)
    s.sleep(s.now_ms + 2 * DAY)
    s.work(s.now_ms + DAY)
    assert sorted(s.sent) == [f"n@{of(0)}", f"n@{of(3)}"]
    command = ScheduleBackfill(
        command_id="b", id="n", since=MONDAY - timedelta(days=2), until=MONDAY + timedelta(days=9)
    )
    answer = s.ask(command)
    assert answer.detail == "4 runs"  # two nights before it was made, two of the outage
    s.work(s.now_ms + HOUR)
    assert sorted(s.sent) == sorted([*(f"n@{of(d)}" for d in range(-2, 4))])
    again = s.ask(ScheduleBackfill(command_id="b2", id="n", since=command.since, until=command.until))
    assert again.detail == "0 runs"


def test_a_trigger_runs_at_once_even_when_paused():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.ask(SchedulePause(command_id="p", id="n"))
    first = s.ask(ScheduleTrigger(command_id="t1", id="n"))
    second = s.ask(ScheduleTrigger(command_id="t2", id="n"))
    assert first.detail == "n@2026-09-21T00:00:00.000Z!manual"
    assert second.detail == "n@2026-09-21T00:00:00.001Z!manual"
    s.work(s.now_ms + HOUR)
    assert s.sent == {first.detail: 1, second.detail: 1}


def test_removal_cancels_what_is_not_emitted_and_the_id_may_be_used_again():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.cancel(f"n@{of(1)}")
    s.ask(ScheduleRemove(command_id="r", id="n"))
    assert all(row.state == "cancelled" for row in s.mirror.table.values())
    s.put("n", recurrence={"cron": "0 2 * * *"})
    s.work(s.now_ms + 3 * DAY)
    assert sorted(s.sent) == [f"n@{of(d)}" for d in range(3)]


def test_a_run_gives_way_to_a_former_one_that_is_not_finished():
    s = shift()
    s.put("n", recurrence={"cron": "0 * * * *"}, overlap="skip")
    s.send = lambda *_: None  # it never ends
    s.work(s.now_ms + 3 * HOUR + 60_000)
    assert s.history("n") == [("21 01:00", "scheduled"), ("21 02:00", "skipped"), ("21 03:00", "skipped")]


FAR = [datetime.min.replace(tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]


@pytest.mark.parametrize("far", FAR)
def test_no_time_that_is_asked_for_stops_an_owner(far):
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, timezone="Pacific/Apia")
    text = far.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)
    for name in (f"n@{text}", f"n@{text}!manual", "n@", "n@x", "n@2026-13-01T00:00:00Z"):
        assert s.cancel(name).result == "not_found"
        assert s.move(name, ms_of(MONDAY)).result == "not_found"
    for since, until in ((far, MONDAY), (MONDAY, far), (far, far)):
        assert s.ask(ScheduleBackfill(command_id=f"{since}{until}", id="n", since=since, until=until)).result in (
            "accepted",
            "refused",
        )
    assert s.move(f"n@{of(3, 12)}", 253_402_200_000_000).result == "not_found"
    first = next(iter(s.mirror.table))
    assert s.move(first, 253_402_200_000_000).result == "accepted"
    s.work(s.now_ms + 3 * DAY)


def test_no_more_runs_wait_than_a_row_can_hold():
    policy = Policy(delays_ms={"log": (5_000,)}, horizon_ms=31 * DAY)
    s = shift(policy=policy)
    s.put("n", recurrence={"every": "PT1S"}, missed="all")
    s.send = lambda *_: None  # the couriers are down
    s.work(s.now_ms + 30 * 60_000)
    row = s.table.get("n")
    assert len(row.open) == 1_000
    assert len(encode(row)) < 200_000


def test_count_start_and_end_bound_a_schedule():
    s = shift()
    s.put("n", recurrence={"cron": "0 2 * * *"}, count=3, start="2026-09-23T00:00:00Z")
    s.put("m", recurrence={"cron": "0 2 * * *"}, end="2026-09-22T12:00:00Z")
    s.work(s.now_ms + 9 * DAY)
    assert sorted(s.sent) == [f"m@{of(0)}", f"m@{of(1)}", f"n@{of(2)}", f"n@{of(3)}", f"n@{of(4)}"]
    assert {s.table.get(i).state for i in "mn"} == {"ended"}
