"""Kafka with ACLs: the rights that the documentation names are enough, and each that is missing is named with its cure."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from uuid import uuid4

import pytest

from connectors.base import ACK, OutMessage
from connectors.errors import AuthenticationError, PublishError, SourceError, TopologyError
from connectors.kafka import KafkaPublisher, KafkaSettings, KafkaSource
from connectors.kafka.source import probe
from tests.brokers.acls import GROUP, TOPIC, deny, grant
from tests.brokers.kafka import LIMITED, PASSWORD, Kafka
from tests.brokers.topics import create_topic, produce
from tests.connectors.behaviour import PATIENCE, take
from tests.integration.test_kafka_source import QUICK


def limited(kafka: Kafka, topic: str) -> KafkaSettings:
    security = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": LIMITED, "password": PASSWORD}
    return KafkaSettings.model_validate(
        {
            "bootstrap": [f"127.0.0.1:{kafka.sasl_port}"],
            "security": security,
            "topics": [topic],
            "group": f"g-{topic}",
            "start": "earliest",
            "receive": {"session_timeout": 1, "drain_on_revoke": 1},
        }
    )


async def made(kafka: Kafka, *, topic: Collection[str], group: Collection[str]) -> KafkaSettings:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name)
    await produce(kafka, name, {b"1": 0, b"2": 0})
    await grant(kafka, TOPIC, name, topic)
    await grant(kafka, GROUP, f"g-{name}", group)
    return limited(kafka, name)


async def complaint(settings: KafkaSettings) -> SourceError | None:
    """What a source says that is connected and asked for messages; None where it has some."""
    source = KafkaSource("fraud", settings, timing=QUICK)
    try:
        async with asyncio.timeout(PATIENCE):
            await source.connect()
            while not await source.receive(10):
                pass
    except SourceError as error:
        return error
    finally:
        await source.close()
    return None


async def test_the_rights_that_are_documented_are_enough(kafka: Kafka) -> None:
    settings = await made(kafka, topic=["Read", "Describe"], group=["Read"])
    await probe("fraud", settings)
    source = KafkaSource("fraud", settings, timing=QUICK)
    await source.connect()
    try:
        messages = await take(source, 2)
        await source.settle([(message, ACK) for message in messages])
        async with asyncio.timeout(PATIENCE):
            while (await source.backlog()).messages != 0:  # None while the group shares its partitions out again
                await asyncio.sleep(0.05)
    finally:
        await source.close()


@pytest.mark.parametrize(
    "topic, group, kind, said",
    [
        ([], ["Read"], TopologyError, "no topic '{topic}', or it may not be read; create it, or allow Describe"),
        (["Describe"], ["Read"], AuthenticationError, "a topic may not be read: {topic}: allow Read on the topic"),
        (["Read"], [], AuthenticationError, "the group may not be used: g-{topic}: allow Read on the group"),
        (["Read"], ["Describe"], AuthenticationError, "the group may not be used: g-{topic}: allow Read"),
    ],
)
async def test_a_right_that_is_missing_is_named_with_its_cure(
    kafka: Kafka, topic: Collection[str], group: Collection[str], kind: type[SourceError], said: str
) -> None:
    settings = await made(kafka, topic=topic, group=group)
    error = await complaint(settings)
    assert type(error) is kind, error
    assert said.format(topic=settings.topics[0]) in str(error)


async def test_a_group_that_may_not_be_used_is_named_before_it_is_joined(kafka: Kafka) -> None:
    settings = await made(kafka, topic=["Read"], group=[])
    with pytest.raises(AuthenticationError, match=r"group may not be used: g-t-\w+: allow Read on the group"):
        await probe("fraud", settings)


async def test_a_lag_that_may_not_be_read_is_unknown_and_never_0_and_messages_go_on(kafka: Kafka) -> None:
    settings = await made(kafka, topic=["Read"], group=["Read"])
    source = KafkaSource("fraud", settings, timing=QUICK)
    await source.connect()
    try:
        held = await take(source, 2)
        assert (await source.backlog()).messages == 2
        await deny(kafka, TOPIC, settings.topics[0], "Describe")
        async with asyncio.timeout(PATIENCE):
            while (found := (await source.backlog()).messages) is not None:
                assert found == 2  # the broker takes a moment to know of the rule
                await asyncio.sleep(0.02)
        await source.settle([(message, ACK) for message in held])
        assert (await source.backlog()).messages is None
        await produce(kafka, settings.topics[0], {b"3": 0})
        assert [message.body for message in await take(source, 1)] == [b"3"]
    finally:
        await source.close()


@pytest.mark.parametrize("rights, is_allowed", [(["Write", "Describe"], True), (["Describe"], False)])
async def test_dead_letters_need_the_right_to_write(kafka: Kafka, rights: Collection[str], is_allowed: bool) -> None:
    settings = await made(kafka, topic=rights, group=["Read"])
    publisher = KafkaPublisher("fraud-dead", settings, settings.topics[0], timing=QUICK)
    try:
        await publisher.connect()
        sending = publisher.publish([OutMessage(id="1", body=b"x", destination=settings.topics[0])])
        if is_allowed:
            await sending
        else:
            with pytest.raises(PublishError, match="the topic may not be written: allow Write on the topic"):
                await sending
    finally:
        with suppress(SourceError):
            await publisher.close()
