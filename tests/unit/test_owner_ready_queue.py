"""Due deliveries of one channel: whose turn it is, and how many at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.near_windows import Armed, ReadyQueue


def armed(id_: str, flow: str | None = None, priority: int = 5, due_ms: int = 0) -> Armed:
    return Armed(due_ms, 0, id_, 0, 1, 1, "log", flow, priority, None, 0, b"{}")


def queue(*entries: Armed, in_flight_max: int = 100, flow_share: int = 2) -> ReadyQueue:
    made = ReadyQueue(in_flight_max, flow_share)
    for entry in entries:
        made.push(entry)
    return made


def ids(taken: list[Armed]) -> list[str]:
    return [a.id for a in taken]


def test_priority_goes_first_then_due_then_id():
    made = queue(armed("c"), armed("b", due_ms=1), armed("a", due_ms=1), armed("z", priority=9), armed("y", priority=0))
    assert ids(made.take(10, 0)) == ["z", "c", "a", "b", "y"]


def test_no_more_than_the_most_in_flight_are_taken():
    made = queue(*(armed(f"m{n}") for n in range(5)), in_flight_max=3)
    assert ids(made.take(2, 0)) == ["m0", "m1"]
    assert ids(made.take(2, 0)) == ["m2"]
    assert (ids(made.take(2, 0)), len(made)) == ([], 2)
    made.release(None)
    assert ids(made.take(2, 0)) == ["m3"]


def test_a_flow_holds_its_share_while_others_wait():
    made = queue(*(armed(f"f{n}", "f") for n in range(6)), *(armed(f"m{n}") for n in range(4)), in_flight_max=5)
    assert ids(made.take(10, 0)) == ["f0", "f1", "m0", "m1", "m2"]
    made.release("f")
    assert ids(made.take(10, 0)) == ["f2"]  # its share is two
    made.release(None)
    assert ids(made.take(10, 0)) == ["m3"]


def test_a_flow_alone_takes_all_there_is():
    made = queue(*(armed(f"f{n}", "f") for n in range(6)))
    assert ids(made.take(10, 0)) == [f"f{n}" for n in range(6)]


def test_a_flow_alone_goes_by_priority_beyond_its_share_too():
    """Its last one was taken before those set aside: the lowest priority of a full flow went out third."""
    made = queue(*(armed(f"f{n}", "f", priority=9 - n) for n in range(9)), in_flight_max=4)
    assert ids(made.take(10, 0)) == ["f0", "f1", "f2", "f3"]


def test_of_flows_that_all_have_their_share_the_highest_priority_goes_first():
    made = queue(*(armed(f"f{n}", "f") for n in range(3)), armed("m"), flow_share=1)
    assert ids(made.take(2, 0)) == ["f0", "m"]
    for n in range(2):
        made.push(armed(f"g{n}", "g", priority=9))
    assert ids(made.take(3, 0)) == ["g0", "g1", "f1"]


def test_what_a_flow_is_released_of_it_may_take_again():
    made = queue(*(armed(f"f{n}", "f") for n in range(4)), armed("z"), in_flight_max=4, flow_share=1)
    assert ids(made.take(2, 0)) == ["f0", "z"]
    assert ids(made.take(1, 0)) == ["f1"], "nobody else waits"
    made.release("f")
    made.release("f")
    assert made.by_flow == {}
    assert ids(made.take(9, 0)) == ["f2", "f3"]


def test_what_waits_aside_counts_as_waiting():
    made = queue(*(armed(f"f{n}", "f") for n in range(5)), *(armed(f"m{n}") for n in range(9)), in_flight_max=4)
    made.take(10, 0)
    assert len(made) == 10


flows = st.sampled_from([None, "f", "g"])
steps = st.lists(
    st.one_of(st.tuples(st.just("push"), flows), st.tuples(st.just("take"), st.integers(1, 5)), st.just(("release", 0)))
)


@given(steps, st.integers(1, 6), st.integers(1, 3))
def test_each_is_taken_once_within_the_bounds_and_none_is_left_behind(steps, in_flight_max, flow_share):
    made = ReadyQueue(in_flight_max, flow_share)
    pushed, taken, flying = 0, [], []
    for what, which in [*steps, *[("release", 0), ("take", 9)] * 60]:
        if what == "push":
            made.push(armed(f"m{pushed:03}", which, priority=pushed % 10))
            pushed += 1
        elif what == "release" and flying:
            made.release(flying.pop(0).flow)
        elif what == "take":
            others = {a.flow for e in (made.heap, *made.aside.values()) for *_, a in e}
            found = made.take(which, 0)
            flying += found
            taken += ids(found)
            if len(others) > 1 and len(made):
                held = [a.flow for a in found if a.flow is not None]
                waits = {a.flow for e in (made.heap, *made.aside.values()) for *_, a in e}
                for flow in set(held):
                    if waits - {flow} and None in waits:
                        assert held.count(flow) <= flow_share
        assert len(flying) == made.in_flight <= in_flight_max
    assert sorted(taken) == [f"m{n:03}" for n in range(pushed)]


@pytest.mark.parametrize("flow", ["f", None])
def test_counts_come_back_to_nothing(flow):
    made = queue(armed("m", flow))
    made.take(1, 0)
    made.release(flow)
    assert (made.in_flight, made.by_flow, len(made)) == (0, {}, 0)


def test_while_more_is_due_that_is_not_here_yet_a_flow_has_no_more_than_its_share():
    queue = ReadyQueue(in_flight_max=100, flow_share=10)
    for n in range(50):
        queue.push(armed(f"big-{n:02}", flow="big"))
    assert len(queue.take(100, 0, more=True)) == 10
    queue.push(armed("small", flow="small"))
    assert [a.id for a in queue.take(100, 0, more=True)] == ["small"]
    assert len(queue.take(100, 0)) == 40, "nobody else waits: it may have all places"
