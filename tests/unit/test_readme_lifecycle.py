"""The README's state diagram and schemas/lifecycle.py say the same."""

import re
from itertools import product
from pathlib import Path

import pytest

from schemas.lifecycle import (
    LIVE,
    Delivered,
    DeliveryState,
    Doubt,
    GiveUp,
    Lapse,
    PutOff,
    Resume,
    RetryAt,
    Stop,
    Vouch,
    transition,
)

README = (Path(__file__).parents[2] / "README.md").read_text()
ARROW = re.compile(r"^ +(\S+) --> (\S+?)(?:: (.+))?$", re.MULTILINE)
SENTENCE = re.compile(r"^- `(\w+) --> (\w+)` \((.+?)\): .+\.$", re.MULTILINE)
MOVES = [Delivered(), RetryAt(7), GiveUp(), PutOff(7), Lapse(), Stop(), Doubt(), Resume(7), Vouch()]
OWN = {"due"}
"""The spout's step, which writes nothing and is no move of the timetable."""

ARROWS = ARROW.findall(README[README.index("stateDiagram") : README.index("- `scheduled --> emitted`")])
MOVED = [arrow for arrow in ARROWS if "[*]" not in arrow]


def drawn(state, move, *, maybe_sent: bool, attempts: int) -> set[DeliveryState]:
    """Where the diagram takes a delivery, all live ones alike: an arrow with a condition goes before one without."""
    name = type(move).__name__
    said = {"maybe sent": maybe_sent, "tried": attempts > 0, "not tried": attempts == 0}
    fitting: dict[bool, set[DeliveryState]] = {True: set(), False: set()}
    for source, target, label in MOVED:
        what, _, condition = label.partition(", ")
        alike = source in LIVE if state in LIVE else source == state
        if what == name and alike and (not condition or said[condition]):
            fitting[bool(condition)].add(DeliveryState(target))
    return fitting[True] or fitting[False]


@pytest.mark.parametrize(
    ("state", "move", "maybe_sent", "attempts"), list(product(DeliveryState, MOVES, [False, True], [0, 1]))
)
def test_the_diagram_takes_every_state_where_the_code_does(state, move, maybe_sent, attempts):
    moved = transition(state, move, maybe_sent=maybe_sent, attempts=attempts)
    assert drawn(state, move, maybe_sent=maybe_sent, attempts=attempts) == ({moved.state} if moved else set())
    ends = any(source == state and target == "[*]" for source, target, _ in ARROWS)
    assert ends == (state not in LIVE)


def test_the_diagram_has_every_state_and_no_move_that_is_not_there():
    assert {name for source, target, _ in ARROWS for name in (source, target)} == {*DeliveryState, "[*]"}
    assert {label.partition(",")[0] for *_, label in MOVED} == {type(move).__name__ for move in MOVES} | OWN


def test_each_arrow_has_a_sentence():
    assert SENTENCE.findall(README) == MOVED
