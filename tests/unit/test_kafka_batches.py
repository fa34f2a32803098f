"""Batches for Kafka are filled past aiokafka's public way: what is in them is read back as a consumer does."""

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from agents.ports import Record
from topology.kafka_log import RecordTooLargeError, batches_of
from topology.topics import MIB, RECORD_BYTES_MAX


class Producer:
    def create_batch(self):
        return BatchBuilder(MIB, 0)


def written(records):
    """What a consumer finds in each batch, and how many records the producer will count."""
    for batch in batches_of(Producer(), records):
        memory = MemoryRecords(bytes(batch._build()))
        found = memory.next_batch()
        assert found.validate_crc()
        assert not memory.has_next()
        yield batch.record_count(), [(r.offset, r.key, r.value, tuple(r.headers)) for r in found], found.next_offset


def test_what_is_written_is_read_back():
    records = [Record(b"k", b"v"), Record(None, b"w", (("h", b"1"), ("i", b"2"))), Record(b"gone", None)]
    ((count, found, following),) = written(records)
    assert (count, following) == (3, 3)
    assert found == [(n, r.key, r.value, r.headers) for n, r in enumerate(records)]


def test_many_are_cut_and_none_is_left_out():
    records = [Record(b"%d" % n, b"x" * 1000) for n in range(2_500)]
    batches = list(written(records))
    assert len(batches) == 3
    assert [key for _, found, _ in batches for _, key, _, _ in found] == [r.key for r in records]
    for count, found, following in batches:
        assert count == len(found) == following
        assert [offset for offset, *_ in found] == list(range(count))


def test_a_large_record_has_a_batch_to_itself():
    sizes = (10, MIB + 1, 10)
    assert [count for count, *_ in written([Record(b"k", b"x" * size) for size in sizes])] == [1, 1, 1]
    with pytest.raises(RecordTooLargeError):
        list(batches_of(Producer(), [Record(b"k", b"x" * RECORD_BYTES_MAX)]))
