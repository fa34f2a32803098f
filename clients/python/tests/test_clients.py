"""Both clients over a transport that answers as told: what they send, and what they make of the answers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from clepsydra_client import (
    Accepted,
    AsyncClient,
    Cancelled,
    Client,
    Conflict,
    NotFound,
    Refused,
    Result,
    Retries,
    TooLate,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unreadable,
)

QUICK = Retries(attempts=3, first_pause_s=0)
DUE = datetime(2027, 1, 4, 8, tzinfo=UTC)
ACCEPTED = {"id": "m", "state": "scheduled", "due_at": "2027-01-04T08:00:00Z", "revision": 1}
Answer = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers with what `answer` gives; remembers the requests."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    def client(self) -> Client:
        return Client("http://gateway/", "k" * 16, retries=QUICK, transport=httpx.MockTransport(self))

    def async_client(self) -> AsyncClient:
        return AsyncClient("http://gateway", "k" * 16, retries=QUICK, transport=httpx.MockTransport(self))


def json_of(request: httpx.Request):
    return json.loads(request.content)


def problem(status: int, name: str, **more) -> httpx.Response:
    return httpx.Response(status, json={"type": f"urn:clepsydra:problem:{name}", "status": status, **more})


def test_a_message_is_sent_as_json_with_times_as_rfc_3339_and_lengths_as_iso_8601():
    gateway = Gateway(httpx.Response(201, json=ACCEPTED))
    done = gateway.client().messages.create(
        id="m", due_at=DUE, channel="log", body={"z": "ü"}, retry={"delays": [timedelta(minutes=1), timedelta(0)]}
    )
    assert done == Accepted(id="m", state="scheduled", due_at=DUE, revision=1)
    (request,) = gateway.requests
    assert (request.method, str(request.url)) == ("POST", "http://gateway/v1/messages")
    assert request.headers["authorization"] == "Bearer " + "k" * 16
    assert request.headers["user-agent"].startswith("clepsydra-client/")
    assert json_of(request) == {
        "id": "m", "due_at": "2027-01-04T08:00:00+00:00", "channel": "log", "body": {"z": "ü"},
        "retry": {"delays": ["PT60S", "PT0S"]},
    }  # fmt: skip


def test_bytes_go_as_base64_and_a_time_without_offset_is_refused_at_once():
    gateway = Gateway(httpx.Response(201, json=ACCEPTED))
    gateway.client().messages.create(due_at="2027-01-04T08:00:00Z", channel="log", body=b"\x00\xff")
    assert json_of(gateway.requests[0])["body_base64"] == "AP8="
    with pytest.raises(ValueError, match="no offset"):
        gateway.client().messages.create(due_at=datetime(2027, 1, 4), channel="log")
    assert len(gateway.requests) == 1


def test_a_repeat_is_told():
    assert Gateway(httpx.Response(200, json=ACCEPTED)).client().messages.create(due_at=DUE, channel="log").repeated


def test_an_id_may_have_any_printable_character():
    gateway = Gateway(httpx.Response(200, json={"id": "a/b ü?", "state": "cancelled", "results": {"0": "cancelled"}}))
    done = gateway.client().messages.cancel("a/b ü?")
    assert done == Cancelled(id="a/b ü?", state="cancelled", results={"0": "cancelled"})
    assert gateway.requests[0].url.raw_path == b"/v1/messages/a%2Fb%20%C3%BC%3F"


def test_an_edit_says_what_changes_and_of_which_revision():
    gateway = Gateway(httpx.Response(200, json=ACCEPTED | {"revision": 4}))
    assert gateway.client().messages.edit("m", if_match=3, expires_at=None, priority=9).revision == 4
    (request,) = gateway.requests
    assert (request.method, request.headers["if-match"]) == ("PATCH", '"3"')
    assert json_of(request) == {"expires_at": None, "priority": 9}


def test_actions_have_an_address_of_their_own():
    gateway = Gateway(httpx.Response(200, json=ACCEPTED))
    gateway.client().messages.send_now("m", idempotency_key="now")
    gateway.client().messages.erase("m")
    assert [(r.method, r.url.path) for r in gateway.requests] == [
        ("POST", "/v1/messages/m/send-now"), ("POST", "/v1/messages/m/erase")
    ]  # fmt: skip
    assert gateway.requests[0].headers["idempotency-key"] == "now"


VIEW = ACCEPTED | {
    "as_of": "2027-01-04T07:00:00Z", "priority": 5, "body": [1], "a_field_of_the_next_release": 1,
    "deliveries": [
        {
            "target": 0, "channel": "webhook", "state": "retrying", "attempts": 1, "due_at": "2027-01-04T08:00:05Z",
            "last_response": {"status": 503, "body": "busy"}, "last_attempt_at": None,
        }
    ],
    "timeline": [{"at": "2027-01-04T07:00:00Z", "what": "scheduled"}],
}  # fmt: skip


def test_a_message_is_read_whole_and_a_new_field_passed_over():
    found = Gateway(httpx.Response(200, json=VIEW)).client().messages.get("m")
    assert (found.due_at, found.body, found.deliveries[0].due_at) == (DUE, [1], DUE + timedelta(seconds=5))
    assert found.deliveries[0].last_response.status == 503
    assert [(step.at, step.what) for step in found.timeline] == [(DUE - timedelta(hours=1), "scheduled")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(404, "not_found", id="m"), NotFound),
        (problem(409, "conflict"), Conflict),
        (problem(401, "unauthorized"), Unauthorized),
        (httpx.Response(404, text="<html>nginx"), NotFound),
        (httpx.Response(200, text="<html>Welcome"), Unreadable),
        (httpx.Response(200, json=[]), Unreadable),
        (httpx.ConnectError("connection refused"), Unreachable),
    ],
)
def test_each_fault_has_its_exception(answer, kind):
    with pytest.raises(kind):
        Gateway(answer).client().messages.get("m")


def test_a_refused_value_names_its_field_and_the_remedy():
    faults = [{"field": "due_at", "problem": "has no offset", "remedy": "add one"}]
    with pytest.raises(Refused) as caught:
        Gateway(problem(422, "invalid", title="Not valid", errors=faults)).client().messages.get("m")
    assert (caught.value.field, caught.value.remedy) == ("due_at", "add one")
    assert str(caught.value) == "Not valid: due_at has no offset: add one"


def paged(request: httpx.Request) -> httpx.Response:
    number = int(request.url.params.get("cursor", "0"))
    more = {"cursor": str(number + 1)} if number < 2 else {}
    return httpx.Response(200, json={"messages": [VIEW | {"id": f"m{number}"}], "as_of": VIEW["as_of"]} | more)


def test_a_list_goes_on_page_by_page_only_as_far_as_it_is_read():
    gateway = Gateway(paged)
    found = gateway.client().messages.list(tag="a", due_from=DUE)
    assert next(found).id == "m0"
    assert len(gateway.requests) == 1
    assert [message.id for message in found] == ["m1", "m2"]
    assert [str(r.url.params) for r in gateway.requests] == [
        "tag=a&due_from=2027-01-04T08%3A00%3A00%2B00%3A00",
        "tag=a&due_from=2027-01-04T08%3A00%3A00%2B00%3A00&cursor=1",
        "tag=a&due_from=2027-01-04T08%3A00%3A00%2B00%3A00&cursor=2",
    ]


def test_a_list_takes_states_and_flags():
    gateway = Gateway(httpx.Response(200, json={"messages": [], "as_of": None}))
    assert list(gateway.client().messages.list(state=["dead", "unknown"], bodies=True, order="desc", limit=7)) == []
    assert dict(gateway.requests[0].url.params) == {
        "state": "dead,unknown", "bodies": "true", "order": "desc", "limit": "7"
    }  # fmt: skip


LETTER = {
    "id": "m",
    "target": 1,
    "state": "dead",
    "channel": "webhook",
    "attempts": 3,
    "held_since": ACCEPTED["due_at"],
}


def test_dead_letters_are_listed_and_acted_on():
    acted = {"id": "m", "state": "partial", "results": {"0": "delivered", "1": "scheduled"}}
    gateway = Gateway(httpx.Response(200, json={"dead_letters": [LETTER]}), httpx.Response(200, json=acted))
    letters = gateway.client().dead_letters
    (letter,) = letters.list(state="dead")
    assert (letter.id, letter.target, letter.held_since) == ("m", 1, DUE)
    assert letters.retry(letter.id, target=letter.target).results["1"] == "scheduled"
    assert letters.discard("m").state == letters.mark_sent("m").state == "partial"
    assert [(r.method, r.url.path, r.content) for r in gateway.requests] == [
        ("GET", "/v1/dead-letters", b""),
        ("POST", "/v1/dead-letters/m/retry", b'{"target":1}'),
        ("POST", "/v1/dead-letters/m/discard", b""),
        ("POST", "/v1/dead-letters/m/mark-sent", b""),
    ]


def test_limits_of_flows_are_set_shown_and_removed():
    flow = {"key": "channel:log", "rate": 10, "per": "PT1S", "burst": 1, "paused": False, "set_at": ACCEPTED["due_at"]}
    gateway = Gateway(httpx.Response(200, json=flow))
    flows = gateway.client().flows
    assert flows.set("channel:log", rate=10, per=timedelta(seconds=1)).rate == 10
    assert flows.get("channel:log").set_at == flows.remove("channel:log").set_at == DUE
    assert [(r.method, r.url.raw_path, r.content) for r in gateway.requests] == [
        ("PUT", b"/v1/flows/channel%3Alog", b'{"rate":10,"per":"PT1S"}'),
        ("GET", b"/v1/flows/channel%3Alog", b""),
        ("DELETE", b"/v1/flows/channel%3Alog", b""),
    ]
    assert Gateway(httpx.Response(200, json={"flows": [flow]})).client().flows.list()[0].key == "channel:log"


def test_windows_and_partitions_are_read():
    minute = {"minute": ACCEPTED["due_at"], "life": "open", "pending": 3, "lateness_ms_p50": None}
    gateway = Gateway(httpx.Response(200, json={"windows": [minute], "partitions": [{"partition": 0, "owner": "o"}]}))
    assert gateway.client().windows(DUE, "2027-01-04T09:00:00Z")[0].pending == 3
    assert gateway.client().partitions()[0].owner == "o"
    assert dict(gateway.requests[0].url.params) == {"from": DUE.isoformat(), "to": "2027-01-04T09:00:00Z"}


RESULTS = (
    b'{"id":"a","status":200,"result":"cancelled","state":"cancelled","results":{"0":"cancelled"}}\n'
    b'{"id":"b","status":409,"result":"too_late","problem":{"type":"urn:clepsydra:problem:too_late","state":"emitted"}}\n'
    b'{"status":503,"result":"archive_unavailable","problem":{"type":"urn:clepsydra:problem:archive_unavailable"}}\n'
)


def test_a_cancel_by_filter_gives_a_result_for_each():
    gateway = Gateway(httpx.Response(200, content=RESULTS))
    first, second, last = gateway.client().messages.cancel_all(account="acme", dry_run=True)
    assert first == Result(id="a", status=200, result="cancelled", state="cancelled", results={"0": "cancelled"})
    assert (second.id, type(second.error), second.error.state) == ("b", TooLate, "emitted")
    assert (last.id, type(last.error)) == (None, Unavailable)
    assert json_of(gateway.requests[0]) == {"account": "acme", "dry_run": True}


def test_a_move_by_filter_says_to_when_or_by_how_much():
    gateway = Gateway(httpx.Response(200, content=b""))
    assert list(gateway.client().messages.reschedule_all(tag="a", by=timedelta(minutes=-30))) == []
    assert list(gateway.client().messages.reschedule_all(all=True, due_at=DUE, allow_past=True)) == []
    assert [(r.url.path, json_of(r)) for r in gateway.requests] == [
        ("/v1/messages/reschedule", {"tag": "a", "by": "-PT1800S"}),
        ("/v1/messages/reschedule", {"all": True, "due_at": DUE.isoformat(), "allow_past": True}),
    ]


CHANGED = {"id": "s", "state": "active", "revision": 1, "next_due_at": ACCEPTED["due_at"]}


def test_schedules_are_made_changed_and_run():
    gateway = Gateway(
        httpx.Response(201, json=CHANGED),
        httpx.Response(201, json={"id": "s", "occurrence": "s@now!manual"}),
        httpx.Response(200, json=CHANGED | {"runs": 3}),
    )
    schedules = gateway.client().schedules
    made = schedules.create(id="s", recurrence={"every": timedelta(hours=1)}, message={"channel": "log", "body": b"x"})
    assert (made.next_due_at, made.repeated) == (DUE, False)
    assert schedules.trigger("s") == "s@now!manual"
    assert schedules.backfill("s", DUE, "2027-01-05T00:00:00Z").runs == 3
    schedules.edit("s", if_match=1, note=None)
    schedules.pause("s", note="full")
    schedules.resume("s")
    schedules.remove("s")
    assert [(r.method, r.url.path, r.content) for r in gateway.requests] == [
        (
            "POST",
            "/v1/schedules",
            b'{"id":"s","recurrence":{"every":"PT3600S"},"message":{"channel":"log","body_base64":"eA=="}}',
        ),
        ("POST", "/v1/schedules/s/trigger", b""),
        ("POST", "/v1/schedules/s/backfill", b'{"from":"2027-01-04T08:00:00+00:00","to":"2027-01-05T00:00:00Z"}'),
        ("PATCH", "/v1/schedules/s", b'{"note":null}'),
        ("POST", "/v1/schedules/s/pause", b'{"note":"full"}'),
        ("POST", "/v1/schedules/s/resume", b""),
        ("DELETE", "/v1/schedules/s", b""),
    ]
    assert gateway.requests[3].headers["if-match"] == '"1"'


SCHEDULE = CHANGED | {
    "recurrence": {"cron": "0 2 * * *"}, "timezone": "UTC", "through": ACCEPTED["due_at"],
    "upcoming": [{"id": "s@x", "nominal": ACCEPTED["due_at"], "due_at": ACCEPTED["due_at"], "made": True}],
    "history": [{"nominal": ACCEPTED["due_at"], "state": "missed", "at": ACCEPTED["due_at"], "reason": "no scheduler"}],
}  # fmt: skip


def test_schedules_are_read_listed_and_previewed():
    previewed = {"occurrences": [ACCEPTED["due_at"]], "local": ["2027-01-04T09:00:00+01:00"], "ends": True}
    gateway = Gateway(
        httpx.Response(200, json=SCHEDULE), httpx.Response(200, json={"schedules": [SCHEDULE]}),
        httpx.Response(200, json=previewed),
    )  # fmt: skip
    schedules = gateway.client().schedules
    found = schedules.get("s")
    assert (found.upcoming[0].nominal, found.history[0].state) == (DUE, "missed")
    assert [each.id for each in schedules.list()] == ["s"]
    shown = schedules.preview({"cron": "0 9 * * *"}, timezone="Europe/Rome", since=DUE, count=1)
    assert (shown.occurrences, shown.local, shown.ends) == ((DUE,), (DUE,), True)
    assert json_of(gateway.requests[2]) == {
        "recurrence": {"cron": "0 9 * * *"}, "timezone": "Europe/Rome", "from": DUE.isoformat(), "count": 1
    }  # fmt: skip


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self):
        yield RESULTS.splitlines(keepends=True)[0]
        raise httpx.ReadError("gone")

    async def __aiter__(self):
        for part in self:
            yield part


def test_an_answer_that_breaks_off_is_told_after_what_came():
    results = Gateway(httpx.Response(200, stream=Broken())).client().messages.cancel_all(account="acme")
    assert next(results).id == "a"
    with pytest.raises(Unreachable, match="broke off"):
        next(results)


def bulk(request: httpx.Request) -> httpx.Response:
    """Accepts each line, but refuses those whose body is bad."""
    first = int(request.url.params["first_line"])
    answers = []
    for number, line in enumerate(request.content.splitlines(), first):
        message = json.loads(line)
        if message["body"] == "bad":
            refused = {"type": "urn:clepsydra:problem:invalid", "status": 422}
            answers.append({"line": number, "status": 422, "result": "invalid", "problem": refused})
        else:
            id_ = message.get("id", f"{request.headers['idempotency-key']}-{number}")
            answers.append(ACCEPTED | {"line": number, "id": id_, "status": 201, "result": "accepted"})
    return httpx.Response(200, content=b"".join(json.dumps(answer).encode() + b"\n" for answer in answers))


def loads(count: int):
    for number in range(1, count + 1):
        yield {"due_at": DUE, "channel": "log", "body": "bad" if number == 3 else number}


def test_many_go_in_few_requests_and_a_refused_one_stops_no_other():
    gateway = Gateway(bulk, httpx.ReadError("gone"), bulk)
    answers = list(gateway.client().messages.bulk(loads(5), idempotency_key="k", lines=2))
    assert [answer.number for answer in answers] == [1, 2, 3, 4, 5]
    assert [answer.id for answer in answers] == ["k-1", "k-2", None, "k-4", "k-5"]
    assert [type(answer.error) for answer in answers if answer.error] == [Refused]
    assert [r.url.params["first_line"] for r in gateway.requests] == ["1", "3", "3", "5"]
    assert {r.headers["idempotency-key"] for r in gateway.requests} == {"k"}


def test_messages_are_asked_for_only_as_answers_are_read():
    taken = []
    answers = Gateway(bulk).client().messages.bulk((taken.append(each) or each for each in loads(6)), lines=2)
    next(answers)
    assert len(taken) == 2


def test_an_answer_short_of_lines_is_not_one():
    with pytest.raises(Unreadable, match="2 lines were asked and 0 answered"):
        list(Gateway(httpx.Response(200)).client().messages.bulk(loads(2)))


def test_a_large_message_goes_with_fewer():
    gateway = Gateway(bulk)
    large = [{"due_at": DUE, "channel": "log", "body": "x" * 400_000} for _ in range(5)]
    assert len(list(gateway.client().messages.bulk(large))) == 5
    assert [len(r.content.splitlines()) for r in gateway.requests] == [2, 2, 1]


async def test_the_awaited_bulk_takes_both_kinds_of_iterables_and_keeps_the_order():
    async def coming():
        for message in loads(9):
            yield message

    async with Gateway(bulk).async_client() as client:
        for messages in (loads(9), coming()):
            found = [line.number async for line in client.messages.bulk(messages, lines=1)]
            assert found == list(range(1, 10))


async def test_the_awaited_client_does_the_same():
    gateway = Gateway(httpx.ConnectError("connection refused"), httpx.Response(201, json=ACCEPTED))
    async with gateway.async_client() as client:
        assert (await client.messages.create(id="m", due_at=DUE, channel="log")).id == "m"
    assert len({r.headers["idempotency-key"] for r in gateway.requests}) == 1
    async with Gateway(paged).async_client() as client:
        assert [message.id async for message in client.messages.list()] == ["m0", "m1", "m2"]
    async with Gateway(httpx.Response(200, content=RESULTS)).async_client() as client:
        assert [result.id async for result in client.messages.cancel_all()] == ["a", "b", None]
    async with Gateway(problem(404, "not_found")).async_client() as client:
        with pytest.raises(NotFound):
            await client.messages.get("m")
    async with Gateway(httpx.Response(200, stream=Broken())).async_client() as client:
        with pytest.raises(Unreachable, match="broke off"):
            assert [result.id async for result in client.messages.cancel_all()]


def test_without_a_key_there_is_no_client(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CLEPSYDRA_API_KEY", raising=False)
    with pytest.raises(ValueError, match="CLEPSYDRA_API_KEY"):
        Client()


def test_its_methods_explain_themselves():
    client = Gateway(httpx.Response(200)).client()
    assert client.messages.create.__doc__.startswith("Schedule a message")
    assert client.messages.create.__name__ == "create"
