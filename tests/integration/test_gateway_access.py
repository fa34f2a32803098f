"""What every request passes, over a real socket: its id, its line in the log, its key's rate."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import structlog
from running_gateway import KEY, gateway
from stand_in_owner import StandInOwner, make_topics
from structlog.testing import capture_logs

from topology.embedded_kafka import EmbeddedKafka
from topology.settings import Settings


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    settings = Settings(
        brokers=kafka.bootstrap, prefix=f"access-{uuid4().hex[:8]}.", partitions=1, api_key=KEY, port=0, request_rate=5
    )
    await make_topics(settings)
    return settings


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with StandInOwner(settings), gateway(settings, KEY) as client:
        yield client


async def test_a_request_is_one_line_in_the_log_with_its_id_key_and_route(http: httpx.AsyncClient):
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        mine = await http.get("/v1/messages/a%2Fb", headers={"X-Request-ID": "abc-1"})
        other = await http.get("/v1/messages/x", headers={"X-Request-ID": "no good", "Authorization": "Bearer no"})
        await http.get("/healthz")
    assert mine.headers["x-request-id"] == "abc-1"
    assert len(other.headers["x-request-id"]) == 32
    told = [line for line in lines if line["event"] == "request"]
    assert [(line["request_id"], line["status"], line["key"], line["log_level"]) for line in told] == [
        ("abc-1", 404, "CLEPSYDRA_API_KEY", "info"),
        (other.headers["x-request-id"], 401, None, "info"),
        (told[2]["request_id"], 200, None, "debug"),
    ]
    assert (told[0]["method"], told[0]["path"], told[0]["route"]) == (
        "GET",
        "/v1/messages/a/b",
        "/v1/messages/{message_id:path}",
    )
    assert told[0]["bytes"] == len(mine.content)
    assert json.dumps(told)


async def test_a_key_that_asks_too_often_is_429_and_told_when_to_come_again(http: httpx.AsyncClient):
    answers = [await http.get("/v1/messages/x") for _ in range(30)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:10] == [404] * 10
    late = next(answer for answer in answers if answer.status_code == 429)
    assert (late.json()["type"], late.headers["retry-after"]) == ("urn:clepsydra:problem:too_many_requests", "1")
    assert late.headers["ratelimit-policy"] == '"key";q=10;w=2'
    assert answers[0].headers["ratelimit"] == '"key";r=9;t=1'
    made = await http.get("/healthz")
    assert "ratelimit" not in made.headers


async def test_what_the_gateway_answers_by_itself_has_an_id_too(http: httpx.AsyncClient):
    answers = [await http.get("/nowhere"), await http.get("/v1/messages/x", headers={"authorization": ""})]
    assert all(answer.headers["x-request-id"] for answer in answers)
