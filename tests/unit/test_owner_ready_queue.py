"""Due deliveries of one channel: whose turn it is, and how many at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.near_windows import Armed, Group, alone
from agents.ready_queue import ReadyQueue


def armed(id_: str, flow: str | None = None, priority: int = 5, due_ms: int = 0) -> Armed:
    return Armed(due_ms, 0, id_, 0, 1, 1, "log", flow, priority, None, 0, b"{}")


def queue(*entries: Armed, in_flight_max: int = 100, flow_share: int = 2) -> ReadyQueue:
    made = ReadyQueue(in_flight_max, flow_share)
    for entry in entries:
        made.push(alone(entry))
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
        made.push(alone(armed(f"g{n}", "g", priority=9)))
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


def herd(name: str, size: int, flow: str | None = None, priority: int = 5) -> Group:
    return Group(0, priority, "log", flow, [armed(f"{name}{n:02}", flow, priority) for n in reversed(range(size))])


def test_of_a_herd_a_flow_takes_its_share_while_others_wait_then_the_rest_in_order():
    made = ReadyQueue(in_flight_max=9, flow_share=2)
    for group in (herd("f", 5, "f"), herd("g", 3, "g"), herd("m", 2)):
        made.push(group)
    assert (ids(made.take(20, 0)), len(made)) == (["f00", "f01", "g00", "g01", "m00", "m01", "f02", "f03", "f04"], 1)
    for _ in range(4):
        made.release("f")
    assert (ids(made.take(20, 0)), len(made)) == (["g02"], 0)


def test_herds_of_one_instant_go_by_id_among_each_other():
    made = ReadyQueue(in_flight_max=9, flow_share=9)
    made.push(Group(0, 5, "log", "f", [armed("d", "f"), armed("a", "f")]))
    made.push(Group(0, 5, "log", "g", [armed("c", "g"), armed("b", "g")]))
    assert ids(made.take(9, 0)) == ["a", "b", "c", "d"]


def test_of_a_herd_that_is_held_back_in_part_the_rest_goes():
    made = queue(armed("z"), in_flight_max=9, flow_share=1)
    made.push(herd("f", 4, "f"))
    assert ids(made.take(2, 0)) == ["f00", "z"]
    made.put_aside(lambda a: a.id == "f01")
    assert (len(made), ids(made.take(9, 0)), len(made)) == (2, ["f02", "f03"], 0)
    made.push(herd("g", 2, "g"))
    made.put_aside(lambda a: a.flow == "g")
    assert (len(made), made.take(9, 0)) == (0, [])


flows = st.sampled_from([None, "f", "g"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), flows, st.integers(1, 4)),
        st.tuples(st.just("take"), st.integers(1, 5), st.just(0)),
        st.just(("release", 0, 0)),
    )
)


@given(steps, st.integers(1, 6), st.integers(1, 3))
def test_each_is_taken_once_within_the_bounds_and_none_is_left_behind(steps, in_flight_max, flow_share):
    made = ReadyQueue(in_flight_max, flow_share)
    pushed, taken, flying = list[str](), [], []
    for what, which, size in [*steps, *[("release", 0, 0), ("take", 9, 0)] * 240]:
        if what == "push":
            made.push(herd(f"m{len(pushed):03}-", size, which, priority=size))
            pushed += [f"m{len(pushed):03}-{n:02}" for n in range(size)]
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
        assert len(made) == len(pushed) - len(taken)
    assert sorted(taken) == pushed


@pytest.mark.parametrize("flow", ["f", None])
def test_counts_come_back_to_nothing(flow):
    made = queue(armed("m", flow))
    made.take(1, 0)
    made.release(flow)
    assert (made.in_flight, made.by_flow, len(made)) == (0, {}, 0)


def test_while_more_is_due_that_is_not_here_yet_a_flow_has_no_more_than_its_share():
    queue = ReadyQueue(in_flight_max=100, flow_share=10)
    for n in range(50):
        queue.push(alone(armed(f"big-{n:02}", flow="big")))
    assert len(queue.take(100, 0, more=True)) == 10
    queue.push(alone(armed("small", flow="small")))
    assert [a.id for a in queue.take(100, 0, more=True)] == ["small"]
    assert len(queue.take(100, 0)) == 40, "nobody else waits: it may have all places"
