"""How the parts are put together: topics, agents and Faust's settings, without starting anything."""

from collections import Counter
from dataclasses import fields
from inspect import getmembers

import pytest
from faust import Topic

from topology.channel_settings import usable_channels
from topology.courier import create_courier
from topology.scheduler import create_scheduler
from topology.settings import Settings
from topology.topics import TopicNames
from topology.world import all_topics


@pytest.fixture
def settings(tmp_path):
    return Settings(brokers="127.0.0.1:1,127.0.0.2:1", prefix="wiring.", data=tmp_path, partitions=3, due_partitions=5)


@pytest.fixture(params=["scheduler", "courier"])
def app(request, settings):
    app = {"scheduler": create_scheduler, "courier": create_courier}[request.param](settings)
    app.finalize()
    return app


def topics_read(app):
    """(topic, agent); a channel within the process has no name."""
    return [(agent.channel, agent) for agent in app.agents.values() if isinstance(agent.channel, Topic)]


def agents_by_topic(app):
    return {topic.get_topic_name(): agent.name for topic, agent in topics_read(app)}


def test_every_topic_is_named_once_and_no_name_is_without_a_topic(settings):
    specs = all_topics(settings)
    assert {n for n, times in Counter(spec.name for spec in specs).items() if times > 1} == set()
    names = TopicNames("wiring.")
    properties = {value for name, value in getmembers(names) if not name.startswith("_") and isinstance(value, str)}
    properties -= {getattr(names, field.name) for field in fields(names)}
    channels = set(usable_channels(settings))
    wanted = properties | {names.due(c) for c in channels} | {names.outcomes(c) for c in channels}
    assert {spec.name for spec in specs} == wanted
    assert all(name.startswith("wiring.") for name in wanted)


def test_what_shares_a_partition_number_has_the_same_count(settings):
    counts = {spec.name.removeprefix("wiring."): spec.partitions for spec in all_topics(settings)}
    assert {counts[name] for name in ("commands", "timetable", "schedules", "acks", "answers", "events")} == {3}
    assert {count for name, count in counts.items() if name.startswith(("due.", "outcomes."))} == {5}
    assert counts["settings"] == 1


def test_the_scheduler_has_its_three_agents(settings):
    app = create_scheduler(settings)
    app.finalize()
    assert set(app.agents) == {"keep_timetable", "apply_acks", "emit_due"}
    assert agents_by_topic(app) == {"wiring.commands": "keep_timetable", "wiring.acks": "apply_acks"}


def test_the_courier_has_an_agent_for_every_channel(settings):
    app = create_courier(settings)
    app.finalize()
    assert agents_by_topic(app) == {f"wiring.due.{c}": f"deliver_{c}" for c in usable_channels(settings)}


def test_a_courier_of_one_channel_reads_that_one_in_a_group_of_its_own(settings):
    app = create_courier(settings, ["log"])
    app.finalize()
    assert agents_by_topic(app) == {"wiring.due.log": "deliver_log"}
    assert app.conf.id == "wiring.courier.log"
    with pytest.raises(ValueError, match="there is no channel 'pigeon': use some of"):
        create_courier(settings, ["pigeon"])


def test_no_topic_has_two_agents(app):
    topics = [topic.get_topic_name() for topic, _ in topics_read(app)]
    assert len(topics) == len(set(topics))


def test_agents_have_one_actor_and_read_raw_bytes(app):
    assert {agent.concurrency for agent in app.agents.values()} == {1}, (
        "else a commit can pass the one in work (faust 606)"
    )
    for topic, _ in topics_read(app):
        assert (topic.key_serializer, topic.value_serializer) == ("raw", "raw"), "a decode error would be acked"


def test_there_are_no_faust_tables(app):
    assert list(app.tables) == [], "a rebalance under load skips events (faust 596)"


def test_fausts_settings_are_those_that_were_measured(app, tmp_path):
    conf = app.conf
    assert [str(url) for url in conf.broker] == ["kafka://127.0.0.1:1", "kafka://127.0.0.2:1"]
    assert conf.store.scheme == "memory"
    assert str(conf.processing_guarantee.value) == "at_least_once"
    assert conf.stream_wait_empty
    assert 0.2 <= conf.broker_commit_interval <= 0.5
    assert conf.broker_session_timeout == 10
    assert conf.broker_heartbeat_interval <= conf.broker_session_timeout / 3
    assert conf.broker_request_timeout > conf.broker_session_timeout
    assert conf.consumer_auto_offset_reset == "earliest"
    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader
    assert conf.table_standby_replicas == 1, "keeps the assignor that groups topics by partition count"
    assert 256 <= conf.stream_buffer_maxsize <= 1024
    assert not conf.web_enabled
    assert conf.datadir.is_relative_to(tmp_path)


def test_membership_is_static_only_with_a_name(settings):
    for create in (create_scheduler, create_courier):
        nameless, named = create(settings), create(settings.model_copy(update={"instance": "a"}))
        assert not nameless.conf.consumer_group_instance_id
        assert named.conf.consumer_group_instance_id.endswith("-a")


def test_scheduler_and_courier_are_two_groups(settings):
    assert {create(settings).conf.id for create in (create_scheduler, create_courier)} == {
        "wiring.scheduler",
        "wiring.courier",
    }
