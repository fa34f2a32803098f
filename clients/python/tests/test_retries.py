"""When a request is repeated, how often, with which key, and what is raised in the end: no network, no clock."""

import httpx
import pytest
from clepsydra_client import AnswerUnknown, ClepsydraError, Retries, TooLate, TooManyRequests, Unavailable, Unreachable
from clepsydra_client.exchange import Call, Pause, Send, exchange, retry_after_s

RETRIES = Retries(attempts=4, first_pause_s=1, longest_pause_s=3, longest_retry_after_s=20)
BUILDER = httpx.Client(base_url="http://gateway")
ACCEPTED = httpx.Response(200)
DOWN = httpx.ConnectError("connection refused")


def call(method: str = "POST", **fields):
    return Call(method=method, path="/v1/x", read=lambda _: None, **fields)


def problem(status: int, name: str = "", headers: dict[str, str] | None = None, **more) -> httpx.Response:
    return httpx.Response(status, json={"type": f"urn:clepsydra:problem:{name}", **more}, headers=headers)


def run(replies, made=None, draw: float = 1.0):
    """(requests, pauses, the response or what was raised) when the gateway gives these replies."""
    steps = exchange(made or call(), BUILDER.build_request, RETRIES, lambda: draw)
    requests, pauses, replies, found = [], [], iter(replies), None
    while True:
        try:
            step = steps.send(found)
        except StopIteration as done:
            return requests, pauses, done.value
        except ClepsydraError as fault:
            return requests, pauses, fault
        match step:
            case Send(request):
                requests.append(request)
                found = next(replies)
            case Pause(seconds):
                pauses.append(seconds)
                found = None


def test_a_good_answer_is_asked_for_once():
    requests, pauses, found = run([ACCEPTED])
    assert (len(requests), pauses, found) == (1, [], ACCEPTED)


@pytest.mark.parametrize(
    "fault", [DOWN, httpx.ReadTimeout(""), httpx.RemoteProtocolError("gone"), problem(503), problem(504)]
)
def test_what_a_repeat_may_mend_is_repeated_with_the_same_key(fault):
    requests, pauses, found = run([fault, fault, ACCEPTED])
    assert found is ACCEPTED
    assert pauses == [1, 2]
    keys = {request.headers["idempotency-key"] for request in requests}
    assert len(requests) == 3
    assert len(keys) == 1


def test_pauses_double_up_to_the_longest_and_are_drawn_between_half_and_all():
    assert run([DOWN] * 4, draw=1.0)[1] == [1, 2, 3]
    assert run([DOWN] * 4, draw=0.0)[1] == [0.5, 1, 1.5]


def test_it_waits_as_long_as_the_gateway_asks_and_no_shorter_than_its_own_pause():
    busy = problem(429, "too_many_requests", {"Retry-After": "7"})
    assert run([busy, problem(503, headers={"Retry-After": "0"}), ACCEPTED])[1] == [7, 2]


def test_more_patience_than_allowed_is_not_waited_for():
    requests, pauses, fault = run([problem(429, "too_many_requests", {"Retry-After": "21"})])
    assert (len(requests), pauses) == (1, [])
    assert isinstance(fault, TooManyRequests)
    assert fault.retry_after_s == 21


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (DOWN, Unreachable),
        (problem(503, "unavailable"), Unavailable),
        (problem(504, "answer_unknown", command_id="c"), AnswerUnknown),
        (httpx.Response(502, text="<html>Bad gateway"), Unavailable),
    ],
)
def test_after_the_last_attempt_its_error_is_raised_with_the_key(reply, kind):
    requests, pauses, fault = run([reply] * 4, call(key="mine"))
    assert (len(requests), len(pauses)) == (4, 3)
    assert type(fault) is kind
    assert fault.idempotency_key == "mine"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 500])
def test_a_refusal_is_not_repeated(status):
    assert len(run([problem(status)])[0]) == 1


def test_a_list_without_an_archive_is_told_at_once_and_waited_for_where_it_is_away():
    assert len(run([problem(503, "archive_unavailable")])[0]) == 1
    assert len(run([problem(503, "archive_unavailable", {"Retry-After": "5"}), ACCEPTED])[0]) == 2


def test_what_no_repeat_mends_is_not_repeated():
    requests, _, fault = run([httpx.UnsupportedProtocol("no scheme")])
    assert len(requests) == 1
    assert isinstance(fault, Unreachable)


def test_what_changes_nothing_has_no_key_and_is_repeated_all_the_same():
    requests, _, found = run([DOWN, ACCEPTED], call("GET"))
    assert found is ACCEPTED
    assert all("idempotency-key" not in request.headers for request in requests)


def test_a_problem_is_told_with_all_that_it_says():
    _, _, fault = run(
        [problem(409, "too_late", title="Too late", detail="it is out", state="emitted", id="m", revision=3)]
    )
    assert isinstance(fault, TooLate)
    assert (fault.status, fault.name, fault.state, fault.id, fault.revision) == (409, "too_late", "emitted", "m", 3)
    assert str(fault) == "Too late (it is emitted): it is out"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 08:00:10 GMT", "date": "Tue, 24 Nov 2026 08:00:00 GMT"}, 10),
        ({"retry-after": "Tue, 24 Nov 2026 07:00:00 GMT", "date": "Tue, 24 Nov 2026 08:00:00 GMT"}, 0),
        ({"retry-after": "Tue, 24 Nov 2026 08:00:10 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_against_the_gateways_own_clock(headers, seconds):
    assert retry_after_s(httpx.Response(503, headers=headers)) == seconds
