"""What the API says of itself: the page is whole without another server, and what is refused is always a problem."""

import re
from types import SimpleNamespace

import httpx
import pytest
from fakes import FakeClock, FakeSettingsTable
from pydantic import SecretStr

from gateway.api import create_api
from gateway.parts import Parts
from topology.settings import Settings

KEY = "k" * 20


@pytest.fixture
def http() -> httpx.AsyncClient:
    commander = SimpleNamespace(waiting=0, ready=True)
    settings = Settings(api_key=SecretStr(KEY), brokers="127.0.0.1:9")
    parts = Parts(settings, FakeClock(), commander, FakeSettingsTable(), windows=None, archive=None, event_ends=None)
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_api(parts)), base_url="http://gateway", headers=headers
    )


async def test_the_page_asks_this_server_alone_and_all_it_asks_for_is_there(http: httpx.AsyncClient):
    page = (await http.get("/docs")).text
    asked = re.findall(r'(?:src|href)="([^"]+)"', page) + re.findall(r"url: '([^']+)'", page)
    assert len(asked) == 4
    for path in asked:
        answer = await http.get(f"/{path}")
        assert (answer.status_code, len(answer.content) > 500) == (200, True), path


async def test_every_operation_has_a_summary_and_an_example_of_what_it_takes_and_gives(http: httpx.AsyncClient):
    document = (await http.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            if not path.startswith("/v1/"):
                continue
            body = operation.get("requestBody", {}).get("content", {})
            answers = [a for status, a in operation["responses"].items() if status < "300"]
            assert answers, (method, path)
            for media in (*body.values(), *(m for answer in answers for m in answer.get("content", {}).values())):
                assert "example" in media, (method, path)


async def test_a_parameter_that_cannot_be_read_is_a_problem_that_names_it(http: httpx.AsyncClient):
    answer = await http.post("/v1/messages/bulk?first_line=none", content=b"")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [fault["field"] for fault in answer.json()["errors"]] == ["first_line"]
