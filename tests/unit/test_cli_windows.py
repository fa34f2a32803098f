"""`clepsydra windows` in terminals of any width."""

import pytest
from rich.console import Console

from gateway.cli_windows import shown

CALM = {
    "minute": "2026-11-24T08:00:00Z", "pending": 0, "in_flight": 0, "delivered": 0, "retrying": 0, "dead": 0, "unknown": 0,
    "lateness_ms_p50": None, "lateness_ms_p99": None, "life": "open",
}  # fmt: skip
BUSY = CALM | {
    "pending": 120_000, "in_flight": 25_000, "delivered": 123_456, "retrying": 12_000, "dead": 1_234,
    "lateness_ms_p50": 100, "lateness_ms_p99": 1_800_000, "life": "emitting",
}  # fmt: skip
LATER = CALM | {"minute": "2026-11-24T08:01:00Z", "pending": 5}


def lines(found, width):
    console = Console(width=width, highlight=False, soft_wrap=True, color_system=None)
    with console.capture() as captured:
        console.print(shown(found, width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 70, 80, 100, 120, 200])
def test_each_minute_is_one_line_that_fits(width):
    found = lines([BUSY, LATER], width)
    assert len(found) == 4  # the head, two minutes, the legend
    assert max(map(len, found)) <= width
    assert all(text in found[1] for text in ("11-24 08:00", "120,000", "123,456", "1,234", "30 min", "█" * 7))
    assert found[2].split()[:4] == ["11-24", "08:01", "█", "5"]


def test_where_there_is_room_nothing_is_left_out():
    head, first, *_ = lines([BUSY], 120)
    assert head.split("  ")[0] == "minute"
    assert all(
        name in head for name in ("pending", "in flight", "delivered", "retrying", "failed", "p50", "p99", "state")
    )
    assert all(text in first for text in ("25,000", "12,000", "100 ms", "emitting"))


def test_what_is_there_shows_as_a_sliver_and_no_bar_is_longer_than_its_place():
    one_of_each = CALM | dict.fromkeys(("delivered", "retrying", "dead", "unknown", "pending"), 1)
    for width in (60, 120):
        wide, small = (line.count("█") for line in lines([BUSY, one_of_each], width)[1:3])
        assert small == 5
        assert 5 < wide <= 40
