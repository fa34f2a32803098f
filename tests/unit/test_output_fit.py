"""Lists in terminals of any width."""

import pytest
from rich.console import Console

from gateway.output_fit import Columns, fitted

COLUMNS = Columns(("id", "state", "channel", "to", "tags"), may_go=("tags", "channel", "to"), cut=("to",))
LONG = "http://127.0.0.1:9000/" + "x" * 60
ROWS = (
    ("35235ad3-64ec-58b0-b2b6-3997d609677a", "scheduled", "webhook", LONG, ""),
    ("post[1]", "dead", "log", "", ""),
)


def lines(width, rows=ROWS):
    console = Console(width=width, highlight=False, soft_wrap=True, color_system=None)
    with console.capture() as captured:
        console.print(fitted(COLUMNS, rows, width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [50, 60, 70, 80, 120, 200])
def test_each_row_is_one_line_that_fits_and_ids_are_whole(width):
    found = lines(width)
    assert len(found) == 1 + len(ROWS)
    assert max(map(len, found)) <= width
    assert found[1].startswith(ROWS[0][0] + "  scheduled")
    assert found[2].startswith("post[1]")


def test_what_is_empty_in_every_row_has_no_column():
    assert lines(200)[0].split() == ["id", "state", "channel", "to"]


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (50, ["id", "state"]),
        (60, ["id", "state", "channel"]),  # no room for an address worth reading
        (70, ["id", "state", "to"]),
        (78, ["id", "state", "channel", "to"]),
    ],
)
def test_what_matters_least_goes_first(width, names):
    assert lines(width)[0].split() == names


def test_an_address_is_cut_only_as_far_as_it_must():
    assert LONG[:20] in lines(90)[1]
    assert "…" in lines(90)[1]
    assert LONG in lines(200)[1]


def test_an_id_that_has_no_room_is_folded_not_cut():
    folded = lines(30, ROWS[:1])[1:]
    assert "".join(line.split("  ")[0].strip() for line in folded) == ROWS[0][0]
