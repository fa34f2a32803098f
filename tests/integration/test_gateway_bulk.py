"""Bulk over a real socket, a real broker and a stand-in owner: a line is answered exactly, and hurts itself only."""

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import pytest
from running_gateway import KEY
from stand_in_owner import StandInOwner

DUE = "2100-01-01T08:00:00+01:00"


def message(**fields: Any) -> dict[str, Any]:
    return {"due_at": DUE, "channel": "webhook", "to": "http://127.0.0.1/hook", "body": {"z": 1}} | fields


def ndjson(messages: Iterable[Any]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in messages)


async def bulk(http: httpx.AsyncClient, content: Any, **headers: str) -> list[dict[str, Any]]:
    answer = await http.post("/v1/messages/bulk", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def test_each_line_is_answered_in_order_and_a_bad_one_refuses_itself_only(
    owner: StandInOwner, http: httpx.AsyncClient
):
    await http.post("/v1/messages", json=message(id="taken"))
    lines = [
        ndjson([message(id="a")]), b"\n", b"{bad\n", ndjson([message(id="b@c")]), ndjson([message(id="taken", body="x")]),
        ndjson([message(id="d", colour="red")]), b"x" * 1_100_000 + b"\n", ndjson([message(id="a")]),
        ndjson([message(channel="pigeon")]), ndjson([message(id="e")]),
    ]  # fmt: skip
    found = await bulk(http, b"".join(lines))
    assert [(a["line"], a.get("id"), a["status"], a["result"]) for a in found] == [
        (1, "a", 201, "accepted"), (3, None, 400, "not_json"), (4, None, 422, "invalid"), (5, "taken", 409, "conflict"),
        (6, None, 422, "invalid"), (7, None, 413, "too_large"), (8, "a", 200, "repeated"),
        (9, found[7]["id"], 422, "invalid"), (10, "e", 201, "accepted"),
    ]  # fmt: skip
    assert [a["problem"]["errors"][0]["field"] for a in found if a["status"] == 422] == ["id", "colour", "channel"]
    assert found[0] | {"due_at": DUE} == {
        "line": 1, "id": "a", "status": 201, "result": "accepted", "state": "scheduled", "due_at": DUE, "revision": 1
    }  # fmt: skip
    assert sorted(owner.rows) == ["a", "e", "taken"]


async def test_many_lines_are_packed_and_all_answered(owner: StandInOwner, http: httpx.AsyncClient):
    found = await bulk(http, ndjson(message(id=f"m{n}") for n in range(10_000)))
    assert [(a["line"], a["id"], a["result"]) for a in found] == [(n + 1, f"m{n}", "accepted") for n in range(10_000)]
    assert len(owner.rows) == 10_000
    assert owner.records <= 10_000 / 100
    assert http.commander.waiting == 0


async def test_answers_come_while_lines_are_still_written(owner: StandInOwner, http: httpx.AsyncClient):
    answered = asyncio.Queue()

    async def lines():
        for n in range(3):
            yield ndjson([message(id=f"s{n}")])
            assert (await asyncio.wait_for(answered.get(), 10))["id"] == f"s{n}"

    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    head = f"POST /v1/messages/bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())

    async def read():
        async for line in reader:
            if line.startswith(b"{"):
                answered.put_nowait(msgspec.json.decode(line))

    reading = asyncio.create_task(read())
    async for some in lines():
        writer.write(b"%x\r\n%s\r\n" % (len(some), some))
    writer.write(b"0\r\n\r\n")
    writer.close()
    await reading


async def test_a_request_sent_again_with_its_key_makes_no_message_twice(owner: StandInOwner, http: httpx.AsyncClient):
    content, key = ndjson(message(body=n) for n in range(500)), {"Idempotency-Key": "import-7"}
    first, again = await bulk(http, content, **key), await bulk(http, content, **key)
    assert {a["result"] for a in first} == {"accepted"}
    assert {a["result"] for a in again} == {"repeated"}
    assert [a["id"] for a in first] == [a["id"] for a in again]
    other = await bulk(http, ndjson(message(body=n + 1) for n in range(2)), **key)
    assert {a["result"] for a in other} == {"conflict"}
    rest = await http.post(
        "/v1/messages/bulk?first_line=401", content=ndjson(message(body=n) for n in range(400, 500)), headers=key
    )
    assert [msgspec.json.decode(line)["result"] for line in rest.content.splitlines()] == ["repeated"] * 100
    assert len(owner.rows) == 500


async def test_gzip_is_unpacked_and_what_is_broken_is_told_at_the_end(owner: StandInOwner, http: httpx.AsyncClient):
    packed = gzip.compress(ndjson(message(id=f"g{n}") for n in range(2_000)))
    assert {a["result"] for a in await bulk(http, packed, **{"Content-Encoding": "gzip"})} == {"accepted"}
    found = await bulk(http, packed[:-2_000], **{"Content-Encoding": "gzip"})
    assert {a["result"] for a in found[:-1]} == {"repeated"}
    assert (found[-1]["result"], found[-1]["line"]) == ("not_gzip", len(found))
    refused = await http.post("/v1/messages/bulk", content=b"", headers={"Content-Encoding": "br"})
    assert (refused.status_code, refused.json()["type"]) == (415, "urn:clepsydra:problem:unsupported_encoding")
    unknown = await http.post("/v1/messages/bulk?first_line=0", content=b"")
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "first_line")


async def test_lines_without_an_answer_say_so_and_the_repeat_finds_it(owner: StandInOwner, http: httpx.AsyncClient):
    owner.silent = True
    found = await bulk(http, ndjson([message(id="q")]), **{"Idempotency-Key": "k"})
    assert [(a["status"], a["result"], a["id"]) for a in found] == [(504, "answer_unknown", "q")]
    owner.silent = False
    assert (await bulk(http, ndjson([message(id="q")]), **{"Idempotency-Key": "k"}))[0]["result"] == "repeated"


async def test_a_client_that_goes_away_leaves_nothing_behind(owner: StandInOwner, http: httpx.AsyncClient):
    async def lines():
        for n in range(1_000):
            yield ndjson([message(id=f"l{n}")])
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await bulk(http, lines())
    async with asyncio.timeout(20):
        while http.commander.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert {a["result"] for a in await bulk(http, ndjson([message(id="after")]))} == {"accepted"}
