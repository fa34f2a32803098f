"""TLS, SASL and ACLs: every process works with the rights that docs/operations.md lists for it, and says what is missing."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from secure_kafka import PASSWORD, allow, started
from system import System, new_id

from topology.access import rules
from topology.clients import client_arguments
from topology.settings import load_settings
from topology.topic_admin import create_topics
from topology.world import all_topics

USERS = ("scheduler", "courier", "gateway", "monitor", "maker", "nobody")
PREFIX = "secure."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secure(tmp_path_factory):
    found = await started(tmp_path_factory.mktemp("secure"), USERS)
    known = rules(PREFIX)
    for user in ("scheduler", "courier", "gateway"):
        await allow(found.open, user, known[user])
    await allow(found.open, "monitor", known["topics check"])
    await allow(found.open, "maker", known["topics create"])
    yield found
    await found.broker.stop()


def clepsydra(*arguments, **settings):
    environment = {f"CLEPSYDRA_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_everything_runs_on_tls_scram_and_no_more_rights_than_the_table_gives(secure, tmp_path):
    common = {"prefix": PREFIX, "partitions": 2}
    made = await asyncio.to_thread(
        clepsydra, "topics", "create", "--json", prefix=PREFIX, partitions="2", **secure.settings("maker")
    )
    assert made.returncode == 0, made.stderr
    gateway = secure.settings("gateway", "SCRAM-SHA-256")
    system = System(gateway.pop("brokers"), tmp_path, start=False, **common, **gateway)
    for worker, user, mechanism in (
        (system.scheduler, "scheduler", "SCRAM-SHA-512"),
        (system.courier, "courier", "PLAIN"),
    ):
        worker.environment |= {
            f"CLEPSYDRA_{name.upper()}": value for name, value in secure.settings(user, mechanism).items()
        }
    system.topics_there = True
    async with system:
        system.scheduler.start()
        system.courier.start()
        await system.owned()
        ids = [new_id() for _ in range(20)]
        for id_ in ids:
            assert (await system.create(system.message(id_, in_s=0.5))).result == "accepted"
        await system.received(ids)
        await system.all_in("delivered", ids)
        for worker in (system.scheduler, system.courier):
            assert await worker.stop() == 0, worker.text()[-2000:]
            assert "AuthorizationFailed" not in worker.text()


@pytest.mark.asyncio(loop_scope="module")
async def test_topics_check_needs_describe_only_and_says_what_it_could_not_see(secure):
    settings = load_settings(prefix="checked.", partitions=1, brokers=secure.open)
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    await create_topics(admin, all_topics(settings), replication=1)
    await admin.close()
    await allow(secure.open, "monitor", rules("checked.")["topics check"])
    found = await asyncio.to_thread(
        clepsydra, "topics", "check", "--json", prefix="checked.", partitions="1", **secure.settings("monitor")
    )
    assert found.returncode == 0, found.stdout + found.stderr
    (finding,) = json.loads(found.stdout)
    assert finding["problem"].endswith("cannot be seen and were not checked")
    assert not finding["fatal"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_certificate_is_enough(secure):
    mutual = {
        "brokers": secure.mutual,
        "security_protocol": "SSL",
        "tls_ca": str(secure.ca),
        "tls_cert": str(secure.client_cert),
        "tls_key": str(secure.client_key),
    }
    admin = AIOKafkaAdminClient(**client_arguments(load_settings(**mutual)))
    await admin.start()
    assert await admin.list_topics() is not None
    await admin.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sasl_password": "not-this-one"}, "CLEPSYDRA_SASL_"),
        ({"tls_ca": "stranger"}, "CLEPSYDRA_TLS_CA"),
        ({"security_protocol": "SASL_PLAINTEXT", "tls_ca": ""}, "CLEPSYDRA_SECURITY_PROTOCOL"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_who_is_not_let_in_is_told_which_setting_to_look_at(secure, wrong, said):
    given = secure.settings("monitor") | wrong
    if given["tls_ca"] == "stranger":
        given["tls_ca"] = str(secure.stranger_ca)
    found = await asyncio.to_thread(clepsydra, "topics", "check", **given)
    assert found.returncode == 1
    assert said in found.stderr
    assert PASSWORD not in found.stderr
    assert "Traceback" not in found.stderr
