"""`/v1/windows` and `/v1/partitions` over a real socket: what owners told on the topic, merged; clear refusals."""

import pytest
from running_gateway import KEY, gateway

from agents.ports import Record
from schemas.lifecycle import DeliveryState
from schemas.times import MINUTE_MS, at, rfc3339
from schemas.window_records import OwnerRecord, owner_key, window_key, window_record
from schemas.windows import NOTHING, PLACE, added, lateness_place
from schemas.wire import encode
from topology.clock import SystemClock
from topology.producer import Kafka
from topology.topics import TopicNames


async def tell(settings, partition, *records):
    kafka = Kafka(settings.brokers)
    await kafka.start()
    await kafka.log(TopicNames(settings.prefix).windows, partition).append(
        [Record(key.encode(), None if record is None else encode(record)) for key, record in records]
    )
    await kafka.stop()


async def test_windows_are_the_sum_of_the_newest_owners_words(settings):
    now = SystemClock().now_ms()
    minute = now // MINUTE_MS * MINUTE_MS
    one = added(NOTHING, PLACE[DeliveryState.SCHEDULED], 1)
    late = added(added(NOTHING, PLACE[DeliveryState.DELIVERED], 1), lateness_place(80), 1)
    await tell(
        settings, 0, (window_key(0, minute), window_record(0, minute, one, 0, epoch=2, now_ms=now)),
        (window_key(0, minute), window_record(0, minute, NOTHING, 0, epoch=1, now_ms=now)),  # a former owner, late
    )  # fmt: skip
    async with gateway(settings, KEY) as http:
        first = (await http.get("/v1/windows")).json()["windows"]
        assert [(w["minute"], w["pending"], w["delivered"]) for w in first] == [(rfc3339(minute)[:19] + "Z", 1, 0)]
        await tell(settings, 1, (window_key(1, minute), window_record(1, minute, late, 1, epoch=1, now_ms=now)))

        for _ in range(200):
            (window,) = (await http.get("/v1/windows")).json()["windows"]
            if window["delivered"]:
                break
        assert (window["pending"], window["delivered"], window["in_flight"]) == (1, 1, 1)
        assert (window["attempted"], window["on_time"], window["lateness_ms_p99"]) == (1, 1, 100)


async def test_a_partition_of_which_nothing_was_heard_is_silent(settings):
    now = SystemClock().now_ms()
    here = OwnerRecord(partition=0, owner="a", epoch=1, since=at(now), at=at(now), pending={"overdue": 3})
    await tell(settings, 0, (owner_key(0), here))
    async with gateway(settings, KEY) as http:
        first, second = (await http.get("/v1/partitions")).json()["partitions"]
    assert (first["owner"], first["silent"], first["pending"]) == ("a", False, {"overdue": 3})
    assert (second["owner"], second["silent"]) == (None, True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=tomorrow", "from"),
        ("from=2026-11-24T08:00:00", "from"),
        ("from=2000-01-01T00:00:00Z", "from"),
        ("to=2000-01-01T00:00:00Z", "to"),
        ("to=2100-01-01T00:00:00Z", "to"),
    ],
)
async def test_a_span_that_cannot_be_told_is_refused_by_its_field(settings, query, field):
    async with gateway(settings, KEY) as http:
        answer = await http.get(f"/v1/windows?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
