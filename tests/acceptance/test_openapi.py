"""The API keeps to its own document, whatever is sent: schemathesis makes requests out of it, good and bad ones."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from system import System, new_id
from system_gateway import KEY, started_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
EXAMPLES = 5
SECONDS_MAX = 45


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(kafka, postgres, tmp_path_factory):
    database = await postgres.create_database(new_id("openapi"))
    async with (
        System(kafka.bootstrap, tmp_path_factory.mktemp("openapi"), postgres=database) as system,
        started_gateway(system, "gateway", CLEPSYDRA_REQUEST_RATE="100000") as gateway,
    ):
        yield gateway


async def test_no_request_finds_a_server_error_or_an_answer_that_the_document_does_not_describe(gateway, tmp_path):
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{gateway.port}/openapi.json",
        "--header", f"Authorization: Bearer {KEY}", "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES),
        "--phases", "examples,coverage,fuzzing", "--max-time", str(SECONDS_MAX), "--request-timeout", "20",
        "--continue-on-failure", "--generation-deterministic", "--no-color", "--suppress-health-check", "all",
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "SCHEMATHESIS_HOOKS": "schemathesis_lines",
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-20_000:]
    assert gateway.worker.running
