"""The topics as DESIGN section 3 has them."""

import shlex

from topology.topics import TopicNames, create_commands, topic_specs

NAMES = TopicNames("x.")


def specs(channels=("email", "webhook")):
    return {spec.name: spec for spec in topic_specs(NAMES, channels, partitions=4, due_partitions=6, replication=3)}


def test_every_topic_is_there_once_and_channels_bring_two_each():
    assert list(specs()) == [
        "x.commands", "x.timetable", "x.schedules", "x.settings", "x.acks", "x.answers", "x.events",
        "x.dead_letters", "x.windows", "x.due.email", "x.outcomes.email", "x.due.webhook", "x.outcomes.webhook",
    ]  # fmt: skip


def test_what_goes_together_has_the_same_partition_count():
    found = specs()
    assert {found[n].partitions for n in ("x.commands", "x.timetable", "x.schedules", "x.acks", "x.events")} == {4}
    assert {found[n].partitions for n in ("x.due.email", "x.outcomes.email", "x.due.webhook")} == {6}
    assert found["x.settings"].partitions == 1


def test_the_timetable_keeps_void_rows_for_an_hour_and_tombstones_for_a_week():
    assert specs()["x.timetable"].configs == {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(3_600_000),
        "max.compaction.lag.ms": str(6 * 3_600_000),
        "delete.retention.ms": str(7 * 86_400_000),
        "segment.ms": str(3_600_000),
        "segment.bytes": str(64 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.1",
        "max.message.bytes": str(2 * 1024 * 1024),
        "min.insync.replicas": "2",
    }


def test_one_replica_needs_one_in_sync_and_three_need_two():
    needed = [
        topic_specs(NAMES, (), partitions=1, due_partitions=1, replication=r)[0].configs["min.insync.replicas"]
        for r in (1, 2, 3, 5)
    ]
    assert needed == ["1", "1", "2", "2"]


def test_the_printed_commands_are_a_shell_script_that_makes_each_topic():
    script = create_commands(specs().values(), replication=3, brokers="b:9092")
    words = shlex.split(script.replace("\\\n", ""))
    assert words.count("kafka-topics.sh") == len(specs())
    assert words.count("--if-not-exists") == len(specs())
    assert "cleanup.policy=compact,delete" in words
