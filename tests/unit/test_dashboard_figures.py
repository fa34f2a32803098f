"""What the dashboard shows, worked out of the API's answers."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.dashboard.figures import bars, breakers, by_channel, latenesses, minutes, parts, rate, span, verdict

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_window(minute=NOON, **over):
    zeros = dict.fromkeys(
        ("pending", "in_flight", "retrying", "delivered", "dead", "cancelled", "expired", "unknown", "attempted"), 0
    )
    given = {"minute": minute.isoformat(), "on_time": 0, "lateness_ms_p50": None, "lateness_ms_p99": None}
    return zeros | given | over


def a_partition(**over):
    given = {"partition": 0, "silent": False, "pending": {}, "waiting": {}, "in_flight": {}, "told": {}}
    return given | over


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"pending": 5, "in_flight": 2}, {"pending": 3, "in_flight": 2}),
        (
            {"pending": 1, "retrying": 4, "in_flight": 3},
            {"in_flight": 3, "retrying": 2},
        ),  # two of the four are under way
        ({"dead": 1, "unknown": 2}, {"failed": 3}),
        ({"cancelled": 1, "expired": 2}, {"stopped": 3}),
    ],
)
def test_each_delivery_is_in_one_part(window, expected):
    assert {name: n for name, n in parts(a_window(**window)).items() if n} == expected


def test_bars_have_a_number_for_every_minute_of_the_axis():
    axis = minutes(NOON + timedelta(seconds=31), 3)
    found = bars([a_window(NOON + timedelta(minutes=1), delivered=7)], axis)
    assert axis[0] == NOON
    assert found[0] == [0, 7, 0]


def test_a_minute_in_which_nothing_was_tried_has_no_lateness():
    axis = minutes(NOON, 2)
    assert latenesses([a_window(lateness_ms_p99=25)], axis, "lateness_ms_p99") == [25, None]


@pytest.mark.parametrize(
    ("windows", "partitions", "mood", "headline"),
    [
        ([], [a_partition()], "good", "On time"),
        ([a_window(attempted=100, on_time=100)], [a_partition()], "good", "On time"),
        ([a_window(attempted=100, on_time=98)], [a_partition()], "watch", "Late: 2.0 % of this hour"),
        ([a_window(attempted=9, on_time=9, dead=1)], [a_partition()], "watch", "On time, 1 could not be delivered"),
        ([a_window(NOON + timedelta(hours=1), attempted=9)], [a_partition()], "good", "On time"),  # not this hour's
        ([], [a_partition(waiting={"log": 1200})], "watch", "1,200 due messages wait for couriers"),
        ([], [a_partition(), a_partition(partition=1, silent=True)], "bad", "Partition 1 has no owner"),
    ],
)
def test_the_page_in_a_sentence(windows, partitions, mood, headline):
    found = verdict(windows, partitions, NOON)
    assert (found.mood, found.headline) == (mood, headline)


def test_endpoints_that_do_not_answer_are_told_in_the_sentence_where_nothing_worse_is():
    found = verdict([a_window(attempted=9, on_time=9, dead=1)], [a_partition()], NOON, 2)
    assert (found.mood, found.headline) == ("watch", "On time, 2 endpoints do not answer")
    assert verdict([], [a_partition(silent=True)], NOON, 2).mood == "bad"


def test_each_open_breaker_is_a_row_with_its_channel():
    one = {"endpoint": "http://a", "since": "2026-11-24T08:00:01.310Z", "failures": 1200, "couriers": 1}
    channels = [{"name": "log"}, {"name": "webhook", "breakers": [one | {"tried_again_at": "2026-11-24T08:00:41Z"}]}]
    assert breakers(channels) == [
        {
            "channel": "webhook", "endpoint": "http://a", "failures": "1,200",
            "silent since": "2026-11-24 08:00:01", "tried again": "2026-11-24 08:00:41",
        }
    ]  # fmt: skip


def test_channels_are_summed_over_partitions():
    told = {"delivered/log": 3, "dead/log": 1, "finished": 4}
    found = by_channel([a_partition(in_flight={"log": 1}, told=told), a_partition(in_flight={"log": 2}, told=told)])
    assert found == {"log": {"in_flight": 3, "delivered": 6, "dead": 2}}


@pytest.mark.parametrize(
    ("before", "after", "seconds", "expected"),
    [(100, 150, 5, 10.0), (100, 20, 5, 4.0), (0, 5, 0, 0.0)],  # the owner began anew: it counts from nothing
)
def test_a_rate_is_counted_between_two_looks(before, after, seconds, expected):
    assert rate(before, after, seconds) == expected


@pytest.mark.parametrize(
    ("ms", "expected"), [(None, "-"), (5, "5 ms"), (1_500, "1.5 s"), (90_000, "1.5 min"), (7_200_000, "2 h")]
)
def test_a_length_of_time_is_told_in_the_unit_that_reads_best(ms, expected):
    assert span(ms) == expected
