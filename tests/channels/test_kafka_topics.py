"""Which topics users may send to."""

import pytest

from agents.channels.kafka_topics import TopicRefusedError, check_topic

ALLOWED = ("orders", "mail.*")


@pytest.mark.parametrize("topic", ["orders", "mail.", "mail.out", "mail.in.eu-1_a"])
def test_a_topic_that_is_allowed_by_name_or_beginning_passes(topic):
    check_topic(topic, ALLOWED, "clepsydra.")


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("order", r"not among the topics that CLEPSYDRA_KAFKA_TOPICS allows \(orders, mail\.\*\)"),
        ("orders2", "not among"),
        ("mail", "not among"),
        ("", "not a topic name"),
        (".", "not a topic name"),
        ("..", "not a topic name"),
        ("a b", "not a topic name"),
        ("orders\n", "not a topic name"),
        ("caf\u00e9", "not a topic name"),
        ("x" * 250, "not a topic name"),
    ],
)
def test_any_other_is_refused_with_the_reason(topic, why):
    with pytest.raises(TopicRefusedError, match=why):
        check_topic(topic, ALLOWED, "clepsydra.")


@pytest.mark.parametrize("topic", ["clepsydra.commands", "clepsydra.due.webhook", "__consumer_offsets", "__x"])
def test_internal_topics_are_refused_even_where_everything_is_allowed(topic):
    with pytest.raises(TopicRefusedError, match="internal topic"):
        check_topic(topic, ("*",), "clepsydra.")


def test_nothing_is_allowed_unless_it_is_told():
    with pytest.raises(TopicRefusedError, match=r"\(none\)"):
        check_topic("orders", (), "clepsydra.")
