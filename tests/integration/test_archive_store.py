"""The archive's tables on a real PostgreSQL: each event once, nothing backwards, pages that stay where they are."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from builders import BIRTH, EPOCH, a_create, a_message, an_ack, asked, decided, seen
from fakes import FakeClock
from msgspec import Raw
from system import new_id

from agents.archive_events import EventBatch, OvertakenError, Reach, StoreAwayError
from schemas.archive import Placed
from schemas.events import Event
from schemas.lifecycle import MessageState
from schemas.outcomes import Rejected, Response
from schemas.times import ms_of
from topology.archive import Archive, Filter, LetterKey, MessageKey
from topology.archive_errors import ArchiveAwayError
from topology.archive_store import PostgresEventStore
from topology.postgres import make_pool, migrate, schema_of
from topology.settings import load_settings

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest_asyncio.fixture
async def settings(postgres):
    return load_settings(postgres=await postgres.create_database(new_id("db")), partitions=1)


@pytest_asyncio.fixture
async def store(settings):
    made = PostgresEventStore(bodies=settings.archive_bodies)
    made.pool, made.topic_id = await make_pool(settings), "topic-1"
    await migrate(made.pool, schema_of(settings))
    assert await made.starts([0]) == {0: 0}
    yield made
    await made.pool.close()


@pytest_asyncio.fixture
async def archive(settings):
    clock = FakeClock(ms_of(T0))
    async with Archive(settings, clock) as made:
        made.clock = clock
        yield made


def life(id_="m", *given, due=T0, **fields):
    """The events of one message that is created and given acks of it."""
    row, events = None, []
    message = a_message(id_, due_at=due, body=Raw(b'"hello"'), **fields)
    for step in (asked(a_create(message), BIRTH), *given):
        decision = decided(seen(row, epoch=EPOCH), step, ms_of(T0))
        row = decision.row or row
        events += decision.events
    return events


def batch(events, start=0, end=None):
    placed = [Placed(0, start + n, event) for n, event in enumerate(events)]
    reach = Reach(start, start + len(events) if end is None else end, T0)
    return EventBatch({0: reach}, placed, lambda _: None)


async def ids(archive, **wanted):
    return [row["id"] for row in (await archive.messages(Filter(**wanted))).rows]


async def one(archive, **wanted):
    (row,) = (await archive.messages(Filter(**wanted))).rows
    return dict(row)


async def test_migrating_again_changes_nothing(settings, store):
    assert await migrate(store.pool, schema_of(settings)) == []


async def test_what_is_stored_is_listed_as_of_its_time(store, archive):
    await store.store(batch(life("m", an_ack(), account="acme", tags=("a",))))
    page = await archive.messages(Filter(account="acme", tag="a", channel="log", id_prefix="m", due_from=T0))
    (row,) = page.rows
    assert (row["id"], row["state"], row["body"], row["finished_at"], page.as_of) == (
        "m",
        "delivered",
        '"hello"',
        T0,
        T0,
    )
    assert dict(await archive.counts()) == {"events": 3, "messages": 1, "deliveries": 1, "held": 0, "oldest": T0}


async def test_events_come_in_whatever_batches_and_give_the_same_rows(store, archive):
    events = life("m", an_ack(), account="acme")
    for n, event in enumerate(events):
        await store.store(batch([event], start=n))
    (row,) = (await archive.messages(Filter())).rows
    assert (row["state"], row["account"], row["body"], row["finished_at"]) == ("delivered", "acme", '"hello"', T0)


async def test_a_batch_that_was_stored_already_is_refused_whole(store, archive):
    await store.store(batch(life("m")))
    with pytest.raises(OvertakenError):
        await store.store(batch(life("m")))
    with pytest.raises(OvertakenError):
        await store.store(batch(life("n"), start=5))
    assert await ids(archive) == ["m"]
    assert (await archive.counts())["events"] == 1


async def test_an_event_that_is_told_again_later_counts_once_and_moves_nothing_back(store, archive):
    scheduled, *rest = life("m", an_ack())
    await store.store(batch([scheduled, *rest]))
    await store.store(batch([scheduled], start=3))
    assert (await one(archive))["state"] == "delivered"
    assert (await archive.counts())["events"] == 3


async def test_when_the_topic_is_made_anew_it_is_read_from_its_start_and_what_was_archived_stays(store, archive):
    await store.store(batch(life("m", an_ack())))
    store.topic_id = "topic-2"
    assert await store.starts([0]) == {0: 0}
    late = Event(event_id="m!70!expired", kind="finished", id="m", at=T0, birth=70, revision=1, state=MessageState.DEAD)
    await store.store(batch([late, *life("n")]))
    assert {row["id"]: row["state"] for row in (await archive.messages(Filter())).rows} == {
        "m": "dead",
        "n": "scheduled",
    }


async def test_an_erased_message_leaves_no_content_anywhere(store, archive):
    refused = an_ack(Rejected(reason="no", response=Response(status=410, body="their secret")))
    secret = {"headers": {"x": "our secret"}, "metadata": {"y": "our secret"}}
    await store.store(batch([*life("m", refused, **secret), *life("m2", **secret)]))
    erased = Event(
        event_id=f"m!{BIRTH}!erased", kind="erased", id="m", at=T0, birth=BIRTH, revision=1, state=MessageState.DEAD
    )
    await store.store(batch([erased], start=4))
    async with store.pool.acquire() as db:
        for table in ("messages", "deliveries", "events"):
            rows = [dict(row) for row in await db.fetch(f"SELECT * FROM {table} WHERE id = 'm'")]
            assert rows
            assert "secret" not in str(rows)
            assert "hello" not in str(rows)
    assert "our secret" in str(await one(archive, id_prefix="m2"))


async def test_bodies_are_kept_out_where_it_was_asked_for(settings, store, archive):
    store._bodies = False
    refused = an_ack(Rejected(reason="no", response=Response(status=410, body="said")))
    await store.store(batch(life("m", refused)))
    async with store.pool.acquire() as db:
        for table in ("messages", "deliveries", "events"):
            text = str([dict(row) for row in await db.fetch(f"SELECT * FROM {table}")])
            assert "hello" not in text
            assert "said" not in text


async def test_an_event_that_cannot_be_stored_is_left_out_alone(store, archive):
    def written(id_, revision):
        return Event(
            event_id=f"{id_}!1!finished!1", kind="finished", id=id_, at=T0, birth=1, revision=revision,
            state=MessageState.DEAD,
        )  # fmt: skip

    await store.store(batch([*life("m"), written("large", 2**40), written("long", 1), *life("n")]))
    assert set(await ids(archive)) == {"m", "n", "long"}
    await store.store(batch([written(secrets.token_hex(9_000), 1), *life("o")], start=4))
    assert "o" in await ids(archive)
    assert await archive.caught_up({0: 6}, timeout_s=0.1)


async def test_pages_go_on_where_the_last_one_ended_whatever_is_inserted_meanwhile(store, archive):
    first = [e for n in range(10) for e in life(f"m{n}", due=T0 + timedelta(minutes=n // 2))]
    await store.store(batch(first))
    seen_ids, after = [], None
    for n in range(20):
        page = await archive.messages(Filter(), after=after, limit=3)
        seen_ids += [row["id"] for row in page.rows]
        if len(page.rows) < 3:
            break
        last = page.rows[-1]
        after = MessageKey(last["due_at"], last["id"], last["birth"])
        await store.store(batch(life(f"a{n}", due=T0 - timedelta(hours=1)), start=10 + n))
    assert seen_ids == [f"m{n}" for n in range(10)]
    down = await archive.messages(Filter(id_prefix="m"), limit=4, order="desc")
    assert [row["id"] for row in down.rows] == ["m9", "m8", "m7", "m6"]


async def test_a_sweep_finds_each_message_that_may_still_be_changed_once(store, archive):
    events = [e for n in range(7) for e in life(f"m{n}", due=T0)] + life("gone", an_ack())
    await store.store(batch(events))
    found = archive.matching(Filter(due_to=T0 + timedelta(seconds=1)), page=3)
    pages = [[match.id for match in page] async for page in found]
    assert pages == [["m0", "m1", "m2"], ["m3", "m4", "m5"], ["m6"]]
    assert [page async for page in archive.matching(Filter(account="nobody"))] == []


async def test_dead_letters_are_listed_the_oldest_first_until_somebody_acts(store, archive):
    refused = an_ack(Rejected(reason="answered 410"))
    events = life("m", refused) + life("n", refused)
    await store.store(batch(events))
    first = await archive.dead_letters(Filter(), limit=1)
    assert [(row["id"], row["state"], row["reason"]) for row in first.rows] == [("m", "dead", "answered 410")]
    last = first.rows[0]
    after = LetterKey(last["updated_at"], last["id"], last["birth"], last["target"])
    assert [row["id"] for row in (await archive.dead_letters(Filter(), after=after)).rows] == ["n"]
    assert (await archive.dead_letters(Filter(states=("unknown",)))).rows == []
    archive.clock.ms += 31 * 86_400_000  # their owner has forgotten them
    assert (await archive.dead_letters(Filter())).rows == []


async def test_the_archive_says_when_it_has_caught_up(store, archive):
    assert not await archive.caught_up({0: 1}, timeout_s=0.1)
    await store.store(batch(life("m")))
    assert await archive.caught_up({0: 1}, timeout_s=0.1)
    assert await archive.caught_up({0: 1, 7: 0}, timeout_s=0.1)
    await store.touch({0: Reach(1, 1, T0 + timedelta(hours=1))})
    assert await archive.as_of() == T0 + timedelta(hours=1)


async def test_what_is_older_than_the_retention_is_dropped_by_the_month(store, archive):
    old = [replaced_at(event, T0 - timedelta(days=400)) for event in life("old", an_ack())]
    await store.store(batch(old + life("new", an_ack()) + life("live", due=T0)))
    assert await store.forget(T0, timedelta(days=365)) == ["events_2025_10"]
    assert await ids(archive) == ["live", "new"]
    assert (await archive.counts())["events"] == 4
    await store.store(batch([replaced_at(life("older")[0], T0 - timedelta(days=400))], start=7))


async def test_without_its_tables_or_its_server_the_archive_is_away_and_says_why(settings, archive, postgres):
    with pytest.raises(ArchiveAwayError, match=r"tables are not there.*worker archivist"):
        await archive.messages(Filter())
    wrong = load_settings(postgres="postgresql://nobody@127.0.0.1:1/none")
    async with Archive(wrong) as nowhere:
        with pytest.raises(ArchiveAwayError, match="PostgreSQL cannot be used"):
            await nowhere.messages(Filter())
    async with Archive(load_settings()) as none:
        with pytest.raises(ArchiveAwayError, match="CLEPSYDRA_POSTGRES is not set"):
            await none.messages(Filter())
    away = PostgresEventStore(bodies=True)
    away.pool, away.topic_id = await make_pool(wrong), "t"
    with pytest.raises(StoreAwayError):
        await away.store(batch(life("m")))


def replaced_at(event, moment):
    fields = {name: getattr(event, name) for name in event.__struct_fields__} | {"at": moment}
    return Event(**fields)
