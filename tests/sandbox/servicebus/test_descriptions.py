"""Descriptions in XML: what was written is read again, what cannot be is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus import EntityNotFoundError, InvalidEntityError, QueueSettings, ServiceBus, TopicSettings
from sandbox.servicebus.amqp.types import Timestamp
from sandbox.servicebus.descriptions import (
    NAMESPACE,
    read_queue,
    read_rule,
    read_topic,
    write_queue,
    write_rule,
    write_topic,
)
from sandbox.servicebus.durations import FOR_EVER, read_duration, write_duration
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.rules.rule import CorrelationFilter, FalseFilter, Rule, SqlAction, SqlFilter, TrueFilter
from sandbox.servicebus.storage import Storage
from sandbox.servicebus.topic import Topic

QUEUE_SETTINGS = st.builds(
    QueueSettings,
    lock_duration=st.integers(1, 300_000),
    max_delivery_count=st.integers(1, 2000),
    time_to_live=st.none() | st.integers(1, 10**12),
    dead_letter_on_expiration=st.booleans(),
    requires_session=st.booleans(),
    status=st.sampled_from(["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]),
    details=st.dictionaries(st.sampled_from(["UserMetadata", "AutoDeleteOnIdle"]), st.just("text & <more>")),
)


@given(QUEUE_SETTINGS)
def test_a_queue_is_read_as_it_was_described(settings: QueueSettings) -> None:
    assert read_queue(write_queue(MessageQueue("q", settings, Storage()))) == settings


def test_a_topic_is_read_as_it_was_described() -> None:
    settings = TopicSettings(time_to_live=60_000, status="Disabled", details={"SupportOrdering": "true"})
    assert read_topic(write_topic(Topic("t", settings, MessageQueue("t", QueueSettings(), Storage())))) == settings


def test_rules_are_read_as_they_were_described() -> None:
    correlation = CorrelationFilter(
        system={"subject": "a<b", "group-id": "s"},
        user={"text": "x", "yes": True, "small": 1, "large": 2**40, "half": 0.5, "when": Timestamp(1_700_000_000_123)},
    )
    assert read_rule(write_rule(Rule(name="c", filter=correlation))) == Rule(name="c", filter=correlation)
    assert read_rule(write_rule(Rule(name="t"))).filter == TrueFilter()
    assert read_rule(write_rule(Rule(name="f", filter=FalseFilter()))).filter == FalseFilter()
    sql = Rule(name="s", filter=SqlFilter("a = @b", {"@b": 3}), action=SqlAction("SET a = @c", {"@c": "d"}))
    again = read_rule(write_rule(sql))
    assert isinstance(again.filter, SqlFilter)
    assert (again.filter.expression, again.filter.parameters) == ("a = @b", {"@b": 3})
    assert again.action is not None
    assert (again.action.expression, again.action.parameters) == ("SET a = @c", {"@c": "d"})


@pytest.mark.parametrize(
    ("elements", "complaint"),
    [
        ("<LockDuration>soon</LockDuration>", "'soon' is no duration"),
        ("<LockDuration>PT6M</LockDuration>", "a lock is held for up to 300000 ms"),
        (f"<LockDuration>{FOR_EVER}</LockDuration>", "LockDuration cannot be for ever"),
        ("<MaxDeliveryCount>many</MaxDeliveryCount>", "MaxDeliveryCount is a whole number"),
        ("<MaxDeliveryCount>0</MaxDeliveryCount>", "MaxDeliveryCount is 1 to 2000"),
        ("<Status>Sleepy</Status>", "Status is one of Active"),
        ("<ForwardTo>elsewhere</ForwardTo>", "ForwardTo is not offered"),
        ("<RequiresDuplicateDetection>true</RequiresDuplicateDetection>", "RequiresDuplicateDetection is not offered"),
        ("<DefaultMessageTimeToLive>PT0S</DefaultMessageTimeToLive>", "lives for at least a millisecond"),
        ("<unclosed>", "not XML"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(elements: str, complaint: str) -> None:
    with pytest.raises(InvalidEntityError, match=complaint):
        read_queue(f'<QueueDescription xmlns="{NAMESPACE}">{elements}</QueueDescription>')


def test_entities_of_xml_are_not_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Disabled")
    document = f'<!DOCTYPE q [<!ENTITY e SYSTEM "{secret.as_uri()}">]><Q xmlns="{NAMESPACE}"><Status>&e;</Status></Q>'
    assert read_queue(document).status == "Active"


@given(st.integers(1, 10**13))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert read_duration(write_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("PT1M", 60_000), ("P1D", 86_400_000), ("PT0.5S", 500), ("PT1H2M3S", 3_723_000), (FOR_EVER, None)],
)
def test_durations_are_read_in_all_their_forms(text: str, milliseconds: int | None) -> None:
    assert read_duration(text) == milliseconds


EMULATOR_CONFIG = """{"UserConfig": {"Namespaces": [{"Name": "sbemulatorns",
  "Queues": [{"Name": "queue.1", "Properties": {"LockDuration": "PT5S", "MaxDeliveryCount": 3, "RequiresSession": true,
    "ForwardTo": ""}}],
  "Topics": [{"Name": "topic.1", "Properties": {"DefaultMessageTimeToLive": "PT1H"}, "Subscriptions": [
    {"Name": "all"},
    {"Name": "some", "Properties": {"DeadLetteringOnMessageExpiration": true}, "Rules": [
      {"Name": "by-label", "Properties": {"FilterType": "Correlation", "CorrelationFilter":
        {"Label": "hr", "Properties": {"level": 2}}}},
      {"Name": "by-sql", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "level > 3"},
        "Action": {"SqlExpression": "SET seen = TRUE"}}}]}]}]}]}}"""


async def test_the_emulators_configuration_is_read_and_leaves_alone_what_is_there(tmp_path: Path) -> None:
    config = tmp_path / "Config.json"
    config.write_text(EMULATOR_CONFIG)
    async with ServiceBus() as broker:
        broker.create_entities(config)
        queue = broker.queue("queue.1")
        assert (queue.settings.lock_duration, queue.settings.max_delivery_count) == (5000, 3)
        assert queue.settings.requires_session
        assert broker.queue("topic.1/Subscriptions/some").settings.dead_letter_on_expiration
        assert sorted(broker.rules("topic.1", "some")) == ["by-label", "by-sql"]
        assert sorted(broker.rules("topic.1", "all")) == ["$Default"]
        broker.create_entities(config)


@pytest.mark.parametrize("text", ["", "{}", '{"UserConfig": {"Namespaces": [{"Queues": [{}]}]}}', "[1]"])
async def test_another_file_is_no_configuration_of_the_emulator(text: str, tmp_path: Path) -> None:
    config = tmp_path / "Config.json"
    config.write_text(text)
    async with ServiceBus() as broker:
        with pytest.raises(InvalidEntityError, match=r"configuration of the emulator: (it is no JSON|write)"):
            broker.create_entities(config)


@pytest.mark.parametrize("name", ["", "/q", "q/", "a\\b", "a?b", "a#b", "x" * 261])
async def test_a_name_that_azure_refuses_is_refused(name: str) -> None:
    async with ServiceBus() as broker:
        with pytest.raises(InvalidEntityError):
            broker.create_queue(name)


async def test_entities_are_found_in_any_case() -> None:
    async with ServiceBus() as broker:
        created: Any = broker.create_topic("Orders"), broker.create_subscription("orders", "Bridge")
        assert broker.queue("ORDERS/subscriptions/bridge") is created[1].queue
        assert broker.queue("orders/Subscriptions/bridge/$deadletterqueue") is created[1].queue.dead_letters
        with pytest.raises(EntityNotFoundError):
            broker.queue("orders")
