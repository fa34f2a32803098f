"""Partitions are those of Kafka's own default partitioner."""

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from topology.partitions import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_javas_own_test(data, signed):
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(max_size=80))
def test_the_hash_is_that_of_aiokafka(data):
    assert murmur2(data) == reference(data)


@given(st.text(max_size=40), st.integers(1, 1024))
def test_a_partition_is_one_of_those_there_are(key, count):
    assert 0 <= partition_of(key, count) < count


def test_keys_are_hashed_as_utf_8():
    assert partition_of("naïve", 1000) == (reference("naïve".encode()) & 0x7FFFFFFF) % 1000
