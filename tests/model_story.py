"""Stories of random requests: the API against a plain dict. Told to real processes, and to decisions in memory."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

FAR = "2100-01-01T08:00:00Z"
FARTHER = "2101-01-01T08:00:00Z"
NAMES = st.sampled_from(["a", "a", "b/c", "b/c", "d"])
TEXTS = st.sampled_from(["one", "two"])
ACTS = [
    "create",
    "edit",
    "edit",
    "send_now",
    "send_now",
    "cancel",
    "retry",
    "retry",
    "discard",
    "mark-sent",
    "erase",
    "look",
]
LIVE = {"scheduled", "emitted", "retrying"}


@dataclass
class Known:
    """What the dict knows of a message. `due`: it is on its way, and comes to `end` unless an answer says otherwise."""

    first: dict[str, Any]
    text: str
    due_at: str = FAR
    revision: int = 1
    state: str = "scheduled"
    marked: bool = False
    discarded: bool = False
    erased: bool = False

    @property
    def end(self) -> str:
        return "dead" if self.first["to"].endswith("/refuse") else "delivered"


class Served(Protocol):
    """The system under test, of which one serves all stories; each takes ids of its own."""

    http: httpx.Client
    receiver: str
    keys: Iterator[int]

    def kill_scheduler(self) -> None: ...

    def wait_owned(self) -> None: ...

    def freeze_gateway(self) -> None: ...

    def thaw_gateway(self) -> None: ...

    def arrivals(self) -> list[Any]:
        """Key, time, status and body of what the receiver got."""
        ...


class Story(RuleBasedStateMachine):
    """Each rule asks the API and the dict, and compares."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served
        self.prefix = uuid4().hex[:8]
        self.known: dict[str, Known] = {}
        self.freeze_next = False
        self.killed = False
        self.last: tuple[tuple[Any, ...], httpx.Response] | None = None

    # ---- asking

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """With a key of its own; repeated with it until there is an answer. Frozen: its first try meets a gateway that stands still."""
        headers["idempotency-key"] = f"{self.prefix} {next(self.served.keys)}"
        request = (method, path, body, headers)
        if self.freeze_next:
            self.freeze_next = False
            self.served.freeze_gateway()
            with suppress(httpx.TimeoutException):
                self.served.http.request(method, path, json=body, headers=headers, timeout=0.7)
            self.served.thaw_gateway()
        answer = self.insist(*request)
        self.last = request, answer
        return answer

    def insist(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                answer = self.served.http.request(method, path, json=body, headers=headers)
                if answer.status_code not in (503, 504):
                    return answer
            assert time.monotonic() < deadline, f"{method} {path} is never answered"

    def path(self, name: str, action: str = "", of: str = "messages") -> str:
        return f"/v1/{of}/{self.prefix}-{name}{action}"

    def view(self, name: str) -> dict[str, Any]:
        return self.insist("GET", self.path(name), None, {}).json()

    def settle(self, name: str) -> Known | None:
        """What is on its way comes to its end."""
        known = self.known.get(name)
        deadline = time.monotonic() + 30
        while known is not None and known.state == "due":
            state = self.view(name)["state"]
            if state not in LIVE:
                assert state == known.end
                known.state = state
            assert time.monotonic() < deadline, f"{name} stays {state}"
        return known

    # ---- rules

    @initialize(text=TEXTS)
    def begin(self, text: str) -> None:
        """One that will be taken, one that will be refused; the third is not there."""
        self.create("a", text, refused=False)
        self.create("b/c", text, refused=True)

    @rule(
        what=st.sampled_from(ACTS),
        name=NAMES,
        text=TEXTS,
        odd=st.sampled_from([False, False, True]),
        again=st.booleans(),
    )
    def act(self, what: str, name: str, text: str, odd: bool, again: bool) -> None:
        """One rule for all that can be asked, since Hypothesis leaves whole rules out of a story."""
        match what:
            case "create":
                self.create(name, text, odd)
            case "edit":
                self.edit(name, text, odd)
            case "retry" | "discard" | "mark-sent":
                self.decide_by_hand(name, what)
            case _:
                getattr(self, what)(name)
        if again:
            self.repeat_the_last_request()

    def create(self, name: str, text: str, refused: bool) -> None:
        to = self.served.receiver if not refused else self.served.receiver.replace("/hook", "/refuse")
        content = {"due_at": FAR, "channel": "webhook", "to": to, "retry": {"delays": []}, "body": body(text)}
        answer = self.ask("POST", "/v1/messages", content | {"id": f"{self.prefix}-{name}"})
        known = self.known.get(name)
        if known is None:
            self.known[name] = Known(content, text)
            assert answer.status_code in (200, 201), answer.text
        else:
            assert answer.status_code == (200 if content == known.first else 409), answer.text
        if answer.status_code != 409:
            expected = {"id": f"{self.prefix}-{name}", "state": "scheduled", "due_at": FAR, "revision": 1}
            assert answer.json() == expected

    def edit(self, name: str, text: str, stale: bool) -> None:
        known = self.known.get(name)
        revision = 1 if known is None else known.revision
        match = f'"{revision - stale}"'
        answer = self.ask("PATCH", self.path(name), {"body": body(text), "due_at": FARTHER}, **{"if-match": match})
        if known is None:
            assert answer.status_code == 404
        elif stale:
            assert answer.status_code == 412, answer.text
        elif self.changed(answer, known):
            known.text, known.due_at, known.state = text, FARTHER, "scheduled"
            known.revision += 1
            assert answer.json()["revision"] == known.revision

    def changed(self, answer: httpx.Response, known: Known) -> bool:
        """Whether it was in time: always while it is scheduled, perhaps while it is due, never after its end."""
        allowed = {"scheduled": {200}, "due": {200, 409}}.get(known.state, {409})
        assert answer.status_code in allowed, f"{known}: {answer.text}"
        if answer.status_code == 409:
            assert answer.json()["type"].endswith("too_late")
        return answer.status_code == 200

    def send_now(self, name: str) -> None:
        answer, known = self.ask("POST", self.path(name, "/send-now")), self.known.get(name)
        if known is None:
            assert answer.status_code == 404
        elif self.changed(answer, known):
            known.state = "due"
            known.revision += 1

    def cancel(self, name: str) -> None:
        answer, known = self.ask("DELETE", self.path(name)), self.known.get(name)
        if known is None:
            assert answer.status_code == 404
        elif known.state == "cancelled":
            assert answer.status_code == 200
        elif self.changed(answer, known):
            known.state = "cancelled"
            assert answer.json()["results"] == {"0": "cancelled"}

    def decide_by_hand(self, name: str, action: str) -> None:
        known = self.settle(name)
        answer = self.ask("POST", self.path(name, f"/{action}", "dead-letters"))
        if known is None:
            assert answer.status_code == 404
        elif known.state != "dead" or (known.discarded and action != "discard"):
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:clepsydra:problem:wrong_state")
        else:
            assert answer.status_code == 200, answer.text
            known.state = {"retry": "due", "discard": "dead", "mark-sent": "delivered"}[action]
            known.discarded, known.marked = action == "discard", action == "mark-sent"

    def erase(self, name: str) -> None:
        known = self.settle(name)
        answer = self.ask("POST", self.path(name, "/erase"))
        finished = known is not None and known.state != "scheduled"
        assert answer.status_code == (404 if known is None else 200 if finished else 409), answer.text
        if finished:
            known.erased = True
            known.discarded = known.discarded or known.state == "dead"

    def look(self, name: str) -> None:
        known, answer = self.known.get(name), self.insist("GET", self.path(name), None, {})
        if known is None:
            assert answer.status_code == 404
            return
        found = answer.json()
        states = LIVE | {known.end} if known.state == "due" else {known.state}
        assert found["state"] in states
        assert (found["revision"], found.get("erased", False)) == (known.revision, known.erased)
        if found["state"] == "scheduled" and known.state == "scheduled":
            assert (found["due_at"], found["body"]) == (known.due_at, body(known.text))

    def repeat_the_last_request(self) -> None:
        """With its key: done once, and answered the same."""
        assert self.last is not None
        request, answer = self.last
        again = self.insist(*request)
        same_status = {answer.status_code} | ({200} if answer.status_code == 201 else set())
        assert again.status_code in same_status, f"{request}: {answer.text} and then {again.text}"
        if answer.status_code < 300:
            assert again.json() == answer.json()

    @precondition(lambda self: not self.killed)
    @rule()
    def kill_the_scheduler(self) -> None:
        self.killed = True
        self.served.kill_scheduler()

    @rule()
    def freeze_the_gateway(self) -> None:
        """For the next request: it reaches a gateway that stands still, and is repeated."""
        self.freeze_next = True

    def teardown(self) -> None:
        """Everything has come to its end, and the receiver has what the dict says, once."""
        for name in self.known:
            self.settle(name)
        taken: dict[str, list[str]] = {}
        for key, _, status, given in self.served.arrivals():
            if key.startswith(self.prefix) and status < 300:
                taken.setdefault(key.rpartition("/")[0], []).append(given["text"])
        sent = {
            f"{self.prefix}-{name}": [known.text]
            for name, known in self.known.items()
            if known.state == "delivered" and not known.marked
        }
        assert taken == sent
        if self.killed:
            self.served.wait_owned()


def body(text: str) -> dict[str, Any]:
    return {"due_ms": 0, "text": text}
