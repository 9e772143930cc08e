"""What others paid for in consumer groups, against Kafka itself; `tests/connectors/client_traps.py` names each trap."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from connectors.base import ACK, LogPartition, Message
from connectors.errors import AuthenticationError, NotConnectedError, SourceError
from connectors.kafka import KafkaSettings, KafkaSource
from connectors.kafka.timing import Timing
from tests.brokers.acls import GROUP, TOPIC, grant
from tests.brokers.kafka import LIMITED, PASSWORD, Kafka
from tests.brokers.topics import create_topic, delete_records, delete_topic, produce, produce_headers
from tests.connectors.behaviour import PATIENCE, bodies, bodies_of, take
from tests.integration.test_kafka_source import QUICK, Offsets, create_again, group_position, settings


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name)
    return name


@asynccontextmanager
async def member(
    settings: KafkaSettings, *, offsets: Offsets | None = None, timing: Timing = QUICK
) -> AsyncIterator[KafkaSource]:
    source = KafkaSource("orders", settings, offsets=offsets, timing=timing)
    try:
        await source.connect()
        yield source
    finally:
        await source.close()


async def failure_of(source: KafkaSource) -> SourceError:
    """What `receive` raises in the end; messages that come until then are settled."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                messages = await source.receive(10)
                await source.settle([(message, ACK) for message in messages])
            except SourceError as error:
                return error


async def settled(source: KafkaSource, count: int) -> list[Message]:
    messages = await take(source, count)
    await source.settle([(message, ACK) for message in messages])
    return messages


async def test_a_drain_that_is_longer_than_the_session_evicts_nobody(kafka: Kafka, topic: str) -> None:
    given = settings(kafka, topic, receive={"session_timeout": 1, "drain_on_revoke": 30})
    await produce(kafka, topic, dict.fromkeys(bodies(3), 0))
    async with member(given) as first:
        held = await take(first, 3)
        joining = asyncio.create_task(_opened(given))
        async with asyncio.timeout(PATIENCE):
            while (await first.backlog()).rebalances == 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(2.5)  # two sessions, in which the members of the group wait for this one
        assert not any(message.is_lost() for message in held)
        await first.settle([(message, ACK) for message in held])
        second = await joining
        try:
            async with asyncio.timeout(PATIENCE):
                while await group_position(kafka, topic) != 3:
                    await asyncio.sleep(0.05)
            await produce(kafka, topic, {b"later": 0})
            assert bodies_of(await _first_of(first, second)) == [b"later"]  # and none of the three again
        finally:
            await second.close()


async def _opened(given: KafkaSettings) -> KafkaSource:
    source = KafkaSource("orders", given, timing=QUICK)
    await source.connect()
    return source


async def _first_of(*sources: KafkaSource) -> list[Message]:
    """What comes to one of them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for source in sources:
                if messages := list(await source.receive(10)):
                    return messages


async def test_a_full_source_is_no_process_that_asks_for_nothing(kafka: Kafka, topic: str) -> None:
    given = settings(kafka, topic, receive={"max_in_flight": 4, "session_timeout": 1, "drain_on_revoke": 0})
    await produce(kafka, topic, dict.fromkeys(bodies(10), 0))
    async with member(given, timing=replace(QUICK, max_poll=1.0)) as source:
        held = await take(source, 4)
        for _ in range(15):  # three times as long as a member may be silent
            assert await source.receive(1) == []
        assert not any(message.is_lost() for message in held)
        assert (await source.backlog()).rebalances == 0
        await source.settle([(message, ACK) for message in held])
        assert bodies_of(await take(source, 4)) == bodies(10)[4:8]


async def test_a_right_that_is_taken_away_while_the_source_runs_is_named(kafka: Kafka) -> None:
    """aiokafka parks such an error until somebody asks for records, and coordinates nothing meanwhile."""
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name)
    await produce(kafka, name, {b"one": 0})
    await grant(kafka, TOPIC, name, ["Read", "Describe"])
    security = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": LIMITED, "password": PASSWORD}
    at = {"bootstrap": [f"127.0.0.1:{kafka.sasl_port}"], "security": security}
    async with member(settings(kafka, name, receive={"session_timeout": 1, "max_in_flight": 1}, **at)) as source:
        held = await take(source, 1)  # full: and an error is seen all the same
        await grant(kafka, GROUP, f"g-{name}", [])
        failure = await failure_of(source)
        assert isinstance(failure, AuthenticationError), failure
        assert f"the group may not be used: g-{name}: allow Read on the group" in str(failure)
        await source.settle([(message, ACK) for message in held])


async def test_two_processes_with_one_static_name_take_it_from_each_other_and_lose_nothing(
    kafka: Kafka, topic: str
) -> None:
    """The broker fences the one that had it, and aiokafka joins again, so that the other is fenced: a count shows it."""
    given = settings(kafka, topic, group_instance_id="bridge-0")
    offsets = Offsets()
    accepted: list[bytes] = []

    async def work(source: KafkaSource) -> None:
        while True:
            messages = await source.receive(5)
            mine = [message for message in messages if not message.is_lost()]
            accepted.extend(message.body for message in offsets.accept(mine))
            await source.settle([(message, ACK) for message in mine])

    async with member(given, offsets=offsets) as first, member(given, offsets=offsets) as second:
        working = [asyncio.create_task(work(source)) for source in (first, second)]
        published = 0
        async with asyncio.timeout(PATIENCE):
            while (await first.backlog()).rebalances + (await second.backlog()).rebalances < 3:
                await produce(kafka, topic, {b"%04d" % published: 0})
                published += 1
                await asyncio.sleep(0.2)
            while len(accepted) < published:
                await asyncio.sleep(0.05)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    assert sorted(accepted) == [b"%04d" % number for number in range(published)]


async def test_a_static_member_has_its_partitions_over_a_restart_and_nobody_is_asked_to_join(kafka: Kafka) -> None:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name, partitions=2)
    receive: dict[str, Any] = {"session_timeout": 20, "drain_on_revoke": 0}
    mine, theirs = (settings(kafka, name, group_instance_id=f"bridge-{n}", receive=receive) for n in (0, 1))
    async with member(mine) as stays:
        async with member(theirs) as restarts:
            await _share(kafka, name, stays, restarts)
        before = (await stays.backlog()).rebalances
        await produce(kafka, name, {b"a": 0, b"b": 1})
        async with member(theirs) as restarts:
            found = {*bodies_of(await settled(stays, 1)), *bodies_of(await settled(restarts, 1))}
            assert found == {b"a", b"b"}
            assert (await stays.backlog()).rebalances == before


async def _share(kafka: Kafka, topic: str, *sources: KafkaSource) -> None:
    """Return once each of two members has a partition, with nothing left in them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await produce(kafka, topic, {b"x": 0, b"y": 1})
            shares = []
            for source in sources:
                messages: list[Message] = []
                for _ in range(5):
                    messages += await source.receive(10)
                await source.settle([(message, ACK) for message in messages])
                shares.append({message.properties["partition"] for message in messages})
            if sorted(map(len, shares)) == [1, 1] and shares[0] != shares[1]:
                return


@pytest.mark.parametrize("start", ["latest", "earliest"])
async def test_what_retention_deletes_ahead_of_a_source_that_runs_is_named_and_the_rest_is_read(
    kafka: Kafka, topic: str, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    """aiokafka would go on at the end of the log, or at its beginning, and say nothing."""
    offsets = Offsets()
    async with member(
        settings(kafka, topic, start=start, receive={"session_timeout": 1, "max_in_flight": 4}), offsets=offsets
    ) as source:
        await _has_joined(source)
        await produce(kafka, topic, dict.fromkeys(bodies(5), 0))
        held = await take(source, 2)  # full with two that wait; the fifth waits in the client, and no more is fetched
        await produce(kafka, topic, dict.fromkeys(bodies(10)[5:], 0))
        await delete_records(kafka, topic, before=7)
        offsets.accept(held)
        await source.settle([(message, ACK) for message in held])
        await asyncio.sleep(0.3)  # so that the answer to the next fetch is there before what was read is handed out
        seen = await _read_on(source, offsets, until=bodies(10)[9])
    assert seen == [*bodies(5)[2:], *bodies(10)[7:]]
    assert "offsets 5 to 6 of partition 0" in caplog.text


async def test_a_topic_that_is_made_again_while_its_source_runs_is_read_from_its_beginning(
    kafka: Kafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    offsets = Offsets()
    await produce(kafka, topic, dict.fromkeys(bodies(5), 0))
    async with member(settings(kafka, topic, start="latest"), offsets=offsets) as source:
        await _has_joined(source)
        await produce(kafka, topic, {b"last of the old": 0})
        await _read_on(source, offsets, until=b"last of the old")
        await delete_topic(kafka, topic)
        await create_again(kafka, topic)
        await produce(kafka, topic, {b"first of the new": 0})
        assert await _read_on(source, offsets, until=b"first of the new") == [b"first of the new"]
    assert "made again, so read from 0" in caplog.text


async def test_a_store_that_is_away_as_partitions_come_is_no_source_that_reads_nothing(
    kafka: Kafka, topic: str
) -> None:
    """aiokafka only logs what its listener raises."""
    offsets = AwayAtFirst()
    await produce(kafka, topic, dict.fromkeys(bodies(3), 0))
    async with member(settings(kafka, topic), offsets=offsets) as source:
        assert str(await failure_of(source)) == "the store is away"
        await source.close()
        await source.connect()
        assert bodies_of(await settled(source, 3)) == bodies(3)


class AwayAtFirst(Offsets):
    """A store that does not answer the first time."""

    is_there = False

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        if not self.is_there:
            self.is_there = True
            raise NotConnectedError("the store is away")
        return await super().next_offsets(partitions)


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_a_header_whose_name_is_no_text_stops_no_partition_and_loses_nothing_of_others(
    kafka: Kafka, is_compressed: bool
) -> None:
    """Kafka takes any bytes, and aiokafka raises for the whole batch, each time, and forgets what it read of others."""
    topic = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, topic, partitions=2)
    names = {b"one": b"good", b"two": b"caf\xe9", b"three": b"\xff\xfe", b"four": b"good"}
    await produce_headers(
        kafka, topic, {body: (name, b"v") for body, name in names.items()}, is_compressed=is_compressed
    )
    others = [b"other %d" % number for number in range(5)]
    await produce(kafka, topic, {b"five": 0} | dict.fromkeys(others, 1))
    seen: dict[int, list[Message]] = {0: [], 1: []}
    async with member(settings(kafka, topic, receive={"session_timeout": 1, "max_in_flight": 2})) as source:
        for _ in range(10):
            (message,) = await settled(source, 1)
            seen[message.properties["partition"]].append(message)
        async with asyncio.timeout(PATIENCE):
            while (await source.backlog()).messages != 0:
                await asyncio.sleep(0.02)
    assert [message.body for message in seen[0]] == [*names, b"five"]
    assert [message.body for message in seen[1]] == others
    found = [dict(message.headers) for message in seen[0]]
    assert found == [{"good": "v"}, {"caf\\xe9": "v"}, {"\\xff\\xfe": "v"}, {"good": "v"}, {}]


async def _has_joined(source: KafkaSource) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await source.backlog()).messages is None:
            await asyncio.sleep(0.02)


async def _read_on(source: KafkaSource, offsets: Offsets, *, until: bytes) -> list[bytes]:
    """What comes, as the supervisor takes it: a source that lost its connection connects again."""
    seen: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while until not in seen:
            try:
                messages = await source.receive(10)
            except SourceError:
                await source.close()
                await asyncio.sleep(0.05)
                with suppress(SourceError):
                    await source.connect()
                continue
            seen += [message.body for message in offsets.accept(messages)]
            await source.settle([(message, ACK) for message in messages])
    return seen
