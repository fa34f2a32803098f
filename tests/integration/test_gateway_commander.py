"""The commander against a real broker and a stand-in owner."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import OutOfOrderSequenceNumber
from stand_in_owner import StandInOwner, make_topics

from schemas.commands import Answer, Cancel, Create, Look
from schemas.message import Message
from schemas.wire import encode
from topology.commander import Commander
from topology.commander_errors import AnswerUnknownError, CommanderStartError
from topology.embedded_kafka import EmbeddedKafka
from topology.partitions import partition_of
from topology.settings import Settings
from topology.topics import TopicNames

DUE = datetime(2100, 1, 1, tzinfo=UTC)


def create(message_id: str, command_id: str | None = None) -> Create:
    message = Message(id=message_id, due_at=DUE, channel="webhook", to="http://127.0.0.1/")
    return Create(command_id=command_id or f"c-{message_id}", message=message)


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    settings = Settings(brokers=kafka.bootstrap, prefix=f"commander-{uuid4().hex[:8]}.", partitions=3)
    await make_topics(settings)
    return settings


@pytest.fixture
async def commander(settings: Settings) -> AsyncIterator[Commander]:
    commander = Commander(settings)
    await commander.start()
    yield commander
    await commander.stop()


async def test_a_command_gets_its_owners_answer(owner: StandInOwner, commander: Commander):
    answer = await commander.ask(create("a"))
    expected = Answer(command_id="c-a", id="a", result="accepted", state=answer.state, due_at=DUE, revision=1)
    assert answer == expected
    view = (await commander.ask(Look(command_id="l", id="a"))).view
    assert encode(view) == encode(owner.rows["a"])


async def test_many_are_answered_in_the_order_in_which_they_were_asked(owner: StandInOwner, commander: Commander):
    ids = [f"m{n}" for n in range(5_000)]
    answers = await commander.ask_many(create(each) for each in ids)
    assert [a.id for a in answers if isinstance(a, Answer)] == ids
    assert commander.waiting == 0


async def test_packs_are_in_their_partition_and_say_so(owner: StandInOwner, commander: Commander, settings: Settings):
    await commander.ask_many(create(f"m{n}@2026") for n in range(1_000))
    assert [headers for _, _, headers in owner.seen] == [{"clepsydra-routed": b"3"}] * 1_000
    assert [p for _, p, _ in owner.seen] == [partition_of(f"m{c.id[1:-5]}", 3) for c, _, _ in owner.seen]
    assert owner.records == 3 * 2  # 1,000 commands: a third in each partition, 200 in a pack


async def test_what_is_told_is_durable_without_an_answer(owner: StandInOwner, commander: Commander):
    await commander.tell_many(create(f"t{n}") for n in range(10_000))
    looked = await commander.ask_many([Look(command_id=f"l{n}", id=f"t{n}") for n in (0, 9_999)])
    assert [a.result for a in looked if isinstance(a, Answer)] == ["found", "found"]
    assert {command.reply_to for command, _, _ in owner.seen if isinstance(command, Create)} == {None}


async def test_no_answer_in_time_is_an_error_with_the_command_id(owner: StandInOwner, settings: Settings):
    owner.silent = True
    commander = Commander(settings, answer_timeout_s=0.3)
    await commander.start()
    try:
        with pytest.raises(AnswerUnknownError, match="no answer came") as caught:
            await commander.ask(Cancel(command_id="who", id="x"))
        assert caught.value.command_id == "who"
        (late,) = await commander.ask_many([create("b")])
        assert isinstance(late, AnswerUnknownError)
        assert commander.waiting == 0
    finally:
        await commander.stop()


async def test_callers_with_the_same_command_id_all_get_the_answer(owner: StandInOwner, commander: Commander):
    answers = await asyncio.gather(*(commander.ask(create("twin", "same")) for _ in range(3)))
    assert {(a.command_id, a.result) for a in answers} == {("same", "accepted")}


async def test_answers_to_others_and_broken_records_are_passed_over(
    owner: StandInOwner, commander: Commander, settings: Settings
):
    topic = TopicNames(settings.prefix).answers
    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        for value in (b"not json", b'[{"command_id":"other","id":"x","result":"found"}]', b'[{"v":99}]'):
            await producer.send_and_wait(topic, value, partition=commander.reply_to)
        await producer.send_and_wait(topic, None, key=b"k", partition=commander.reply_to)
    assert (await commander.ask(create("after"))).result == "accepted"


async def test_a_failed_write_is_told_and_the_next_one_works(owner: StandInOwner, commander: Commander):
    async def broken(*_: object, **__: object) -> None:
        raise OutOfOrderSequenceNumber

    commander._writer._producer.send_batch = broken
    with pytest.raises(AnswerUnknownError, match="may or may not"):
        await commander.ask(create("lost"))
    assert (await commander.ask(create("lost"))).result == "accepted"


async def test_topics_that_are_not_there_are_named_at_the_start(kafka: EmbeddedKafka):
    commander = Commander(Settings(brokers=kafka.bootstrap, prefix="nowhere.", partitions=3))
    with pytest.raises(CommanderStartError, match=r"topic nowhere\.commands is not there.*topics create"):
        await commander.start()


async def test_another_partition_count_is_named_at_the_start(settings: Settings):
    commander = Commander(settings.model_copy(update={"partitions": 5}))
    with pytest.raises(CommanderStartError, match="CLEPSYDRA_PARTITIONS=3"):
        await commander.start()


async def test_an_unreachable_kafka_is_named_at_the_start():
    commander = Commander(Settings(brokers="127.0.0.1:1"))
    with pytest.raises(CommanderStartError, match=r"127\.0\.0\.1:1"):
        await commander.start()


async def test_a_broker_that_comes_back_is_used_again(tmp_path: Path):
    async with EmbeddedKafka(tmp_path) as kafka:
        settings = Settings(brokers=kafka.bootstrap, prefix="again.", partitions=2)
        await make_topics(settings)
        async with StandInOwner(settings):
            commander = Commander(settings, answer_timeout_s=1)
            await commander.start()
            kafka.kill()
            with pytest.raises(AnswerUnknownError):
                await commander.ask(create("x"))
            await kafka.start()
            async with asyncio.timeout(30):
                while not await answered(commander, create("x")):
                    pass
            assert commander.ready
            await commander.stop()


async def answered(commander: Commander, command: Create) -> bool:
    try:
        return (await commander.ask(command)).result == "accepted"
    except AnswerUnknownError:
        return False
