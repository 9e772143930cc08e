"""The source against Kafka itself: what all sources promise, and what is Kafka's own."""

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from connectors.base import ACK, LogPartition, Message, OutMessage
from connectors.errors import AuthenticationError, NotConnectedError, PublishError, TopologyError
from connectors.kafka import KafkaPublisher, KafkaSettings, KafkaSource
from connectors.kafka.timing import Timing
from tests.brokers.kafka import PASSWORD, USER, Kafka, NativeKafka
from tests.brokers.relay import Relay
from tests.brokers.topics import add_partitions, create_topic, delete_topic, produce
from tests.connectors.behaviour import PATIENCE, SourceBehaviour, bodies, bodies_of, take

QUICK = Timing(idle_wait=0.2, poll=0.2, backlog_age=0.0, request=3.0, close=2.0, commit_every=0.2)


def settings(kafka: Kafka, topic: str, **changes: Any) -> KafkaSettings:
    given = {
        "bootstrap": [kafka.bootstrap],
        "topics": [topic],
        "group": f"g-{topic}",
        "start": "earliest",
        "receive": {"session_timeout": 1, "drain_on_revoke": 1},
    }
    return KafkaSettings.model_validate(given | changes)


class Offsets:
    """A store's offsets in memory."""

    def __init__(self) -> None:
        self.kept: dict[LogPartition, int] = {}

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        return {partition: self.kept[partition] for partition in partitions if partition in self.kept}

    async def advance(self, following: Mapping[LogPartition, int]) -> None:
        self.kept |= following

    async def forget(self, partitions: Sequence[LogPartition]) -> None:
        for partition in partitions:
            self.kept.pop(partition, None)

    def accept(self, messages: Sequence[Message]) -> list[Message]:
        """As the store does: what is before the next offset was accepted before."""
        fresh = []
        for message in messages:
            assert message.offset is not None
            partition, offset = message.offset
            if offset >= self.kept.get(partition, 0):
                self.kept[partition] = offset + 1
                fresh.append(message)
        return fresh


class KafkaHarness:
    """A source behind a relay, on a topic of its own."""

    def __init__(self, kafka: Kafka, relay: Relay, topic: str) -> None:
        self._kafka, self._relay, self._topic = kafka, relay, topic
        self.source = KafkaSource("orders", settings(kafka, topic, bootstrap=[f"127.0.0.1:{relay.port}"]), timing=QUICK)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        await produce(self._kafka, self._topic, dict.fromkeys(wanted, 0))

    async def lose_connection(self) -> None:
        """Cut the source off until it finds out; the client itself would try for ever."""
        self._relay.refuse()
        await self._relay.cut()
        with suppress(NotConnectedError):
            while True:
                await self.source.backlog()  # which answers at once while the group is joined
                await asyncio.sleep(0.01)
        self._relay.refuse(False)


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name)
    return name


@pytest.fixture
async def harness(kafka: Kafka, topic: str) -> AsyncIterator[KafkaHarness]:
    async with Relay(kafka.relayed_port, port=kafka.relay_port) as relay:
        harness = KafkaHarness(kafka, relay, topic)
        yield harness
        await harness.source.close()


@pytest.mark.timeout(300)  # each loss takes the client seconds to notice
class TestKafkaSource(SourceBehaviour):
    pass


@asynccontextmanager
async def member(
    kafka: Kafka, topic: str, offsets: Offsets | None = None, *, name: str = "orders", **changes: Any
) -> AsyncIterator[KafkaSource]:
    source = KafkaSource(name, settings(kafka, topic, **changes), offsets=offsets, timing=QUICK)
    try:
        await source.connect()
        yield source
    finally:
        await source.close()


async def all_settled(source: KafkaSource) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await source.backlog()).messages != 0:
            await asyncio.sleep(0.05)


async def until_group_knows(kafka: Kafka, topic: str) -> None:
    """Return when the group has told the broker where it is."""
    async with asyncio.timeout(PATIENCE):
        while await group_position(kafka, topic) is None:
            await asyncio.sleep(0.05)


async def group_position(kafka: Kafka, topic: str) -> int | None:
    """What the broker was told of the group."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=f"g-{topic}", enable_auto_commit=False
    ) as reader:
        position: int | None = await reader.committed(TopicPartition(topic, 0))
        return position


async def test_the_store_says_where_to_begin_and_the_broker_is_told_how_far_it_is(kafka: Kafka, topic: str) -> None:
    offsets = Offsets()
    await produce(kafka, topic, dict.fromkeys(bodies(6), 0))
    async with member(kafka, topic, offsets) as source:
        messages = await take(source, 4)
        offsets.accept(messages)  # and the process ends before it settles anything
    assert await group_position(kafka, topic) == 0
    async with member(kafka, topic, offsets) as source:
        rest = await take(source, 2)
        assert bodies_of(rest) == bodies(6)[4:]
        offsets.accept(rest)
        await source.settle([(message, ACK) for message in rest])
    assert await group_position(kafka, topic) == 6


async def test_what_was_given_to_others_in_between_is_refused_by_the_store(kafka: Kafka, topic: str) -> None:
    offsets = Offsets()
    await produce(kafka, topic, dict.fromkeys(bodies(3), 0))
    async with member(kafka, topic, offsets) as slow:
        held = await take(slow, 3)
        async with member(
            kafka, topic, offsets
        ) as other:  # the group takes the partition from one, and may give it to two
            async with asyncio.timeout(PATIENCE):
                while not held[0].is_lost():
                    await slow.receive(1)
            await slow.settle([(message, ACK) for message in held])  # too late, and a no-op
            await slow.close()
            again = await take(other, 3)
            assert len(offsets.accept(again)) == 3
    assert offsets.accept(held) == []


async def test_a_topic_that_was_made_again_is_read_from_its_beginning_with_a_warning(
    kafka: Kafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    offsets = Offsets()
    await produce(kafka, topic, dict.fromkeys(bodies(5), 0))
    async with member(kafka, topic, offsets) as source:
        messages = await take(source, 5)
        offsets.accept(messages)
        await source.settle([(message, ACK) for message in messages])
    first = {message.position for message in messages}
    await delete_topic(kafka, topic)
    await create_again(kafka, topic)
    await produce(kafka, topic, {b"new": 0})
    async with member(kafka, topic, offsets, start="latest") as source:
        (message,) = await take(source, 1)
        assert "made again" in source.warnings[0]
    assert (message.body, len(offsets.accept([message]))) == (b"new", 1)
    assert message.position not in first
    assert "ends at 1, and 5 was accepted" in caplog.text


async def create_again(kafka: Kafka, topic: str) -> None:
    """The broker answers for some time that a topic which was deleted is there."""
    async with asyncio.timeout(PATIENCE):
        while not await create_topic(kafka, topic):
            await asyncio.sleep(0.05)


async def test_a_group_that_begins_at_the_end_finds_this_place_again(kafka: Kafka, topic: str) -> None:
    await produce(kafka, topic, {b"before": 0})
    async with member(kafka, topic, start="latest") as source:
        async with asyncio.timeout(PATIENCE):
            while await group_position(kafka, topic) is None:
                await source.receive(1)
    await produce(kafka, topic, {b"while it was away": 0})
    async with member(kafka, topic, start="latest") as source:
        assert bodies_of(await take(source, 1)) == [b"while it was away"]


async def test_open_and_aborted_transactions_are_left_out_and_their_marks_are_no_backlog(
    kafka: Kafka, topic: str
) -> None:
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic) as producer,
        member(kafka, topic) as source,
    ):
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", partition=0)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed too", partition=0)
        messages = await take(source, 2)
        assert bodies_of(messages) == [b"committed", b"committed too"]
        await source.settle([(message, ACK) for message in messages])
        await all_settled(source)


async def test_compaction_leaves_gaps_that_hold_nothing_up(kafka: Kafka) -> None:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(
        kafka,
        name,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
        min_compaction_lag_ms="0",
        max_compaction_lag_ms="100",
        delete_retention_ms="100",
    )
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for number in range(40):
            await producer.send_and_wait(name, b"%d" % number, key=b"%d" % (number % 2))
            await asyncio.sleep(0.01)

        async def first_offset() -> int:
            async with AIOKafkaConsumer(
                name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
            ) as reader:
                return int((await reader.getone()).offset)

        async with asyncio.timeout(PATIENCE):
            while await first_offset() == 0:  # the broker compacts when it gets to it
                await producer.send_and_wait(name, b"more", key=b"0")
                await asyncio.sleep(0.3)
        last = await producer.send_and_wait(name, b"last", key=b"0")
    async with member(kafka, name) as source:
        messages: list[Message] = []
        async with asyncio.timeout(PATIENCE):
            while b"last" not in bodies_of(messages):
                messages += await source.receive(100)
        assert len(messages) <= last.offset
        await source.settle([(message, ACK) for message in messages])
        await all_settled(source)


async def test_tombstones_come_or_are_passed_over_as_the_settings_say(kafka: Kafka, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for value in (b"a", None, b"b"):
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
    async with member(kafka, topic) as source:
        messages = await take(source, 3)
        assert [(message.body, message.has_body) for message in messages] == [(b"a", True), (b"", False), (b"b", True)]
    async with member(kafka, topic, tombstones="skip", group=f"other-{topic}") as source:
        messages = await take(source, 2)
        assert bodies_of(messages) == [b"a", b"b"]
        await source.settle([(message, ACK) for message in messages])
        await all_settled(source)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_are_read_however_they_are_compressed(kafka: Kafka, codec: str) -> None:
    topic = f"{codec}-{uuid4().hex[:12]}"
    await create_topic(kafka, topic, compression_type=codec)  # the broker's own, whatever a producer sends
    wanted = [b"%d " % number + b"x" * 200 for number in range(20)]
    await produce(kafka, topic, dict.fromkeys(wanted, 0))
    async with member(kafka, topic) as source:
        assert [message.body for message in await take(source, 20)] == wanted


async def test_a_message_larger_than_a_fetch_comes_and_holds_nothing_up(kafka: Kafka) -> None:
    topic = f"large-{uuid4().hex[:12]}"
    await create_topic(kafka, topic, max_message_bytes=str(30 << 20))
    large = bytes(9 << 20)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=30 << 20) as producer:
        for body in (b"before", large, b"after"):
            await producer.send_and_wait(topic, body)
    async with member(kafka, topic) as source:
        assert [message.body for message in await take(source, 3)] == [b"before", large, b"after"]


async def test_a_partition_that_is_added_is_read_from_its_beginning_though_its_group_began_at_the_end(
    kafka: Kafka, topic: str
) -> None:
    await produce(kafka, topic, {b"before the group": 0})
    async with member(kafka, topic, start="latest") as source:
        await all_settled(source)
        await until_group_knows(kafka, topic)
        await add_partitions(kafka, topic, 2)
        await produce(kafka, topic, {b"in the new one": 1})  # before the group has heard of it
        assert source._consumer is not None
        await source._consumer._client._client.force_metadata_update()  # which takes up to a minute by itself
        assert bodies_of(await take(source, 1)) == [b"in the new one"]


async def test_a_missing_topic_is_named(kafka: Kafka) -> None:
    with pytest.raises(TopologyError, match="no topic 'not-there', or it may not be read"):
        async with member(kafka, "not-there"):
            pass


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_password_is_checked_and_a_wrong_one_is_named_and_not_shown(
    kafka: Kafka, topic: str, mechanism: str
) -> None:
    await produce(kafka, topic, {b"one": 0})

    def security(password: str) -> dict[str, Any]:
        who = {"username": USER, "password": password}
        return {
            "bootstrap": [f"127.0.0.1:{kafka.sasl_port}"],
            "security": {"protocol": "SASL_PLAINTEXT", "mechanism": mechanism, **who},
        }

    async with member(kafka, topic, **security(PASSWORD)) as source:
        assert bodies_of(await take(source, 1)) == [b"one"]
    with pytest.raises(AuthenticationError, match="refused") as refused:
        async with member(kafka, topic, **security("wr0ng")):
            pass
    assert "wr0ng" not in str(refused.value)


async def test_tokens_of_an_authority_open_the_door_and_a_client_that_it_refuses_is_named(
    kafka: Kafka, topic: str
) -> None:
    await produce(kafka, topic, {b"one": 0})
    asked: list[str] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        if "refused" in str((await request.post()).getone("scope")):
            return web.Response(status=401)
        parts = ({"alg": "none"}, {"sub": "bridge", "iat": int(time.time()), "exp": int(time.time()) + 600})
        text = ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts)
        return web.json_response({"access_token": f"{text}.", "expires_in": 600})

    app = web.Application()
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"

    def security(scope: str) -> dict[str, Any]:
        oauth = {"token_url": url, "client_id": "bridge", "client_secret": "s3cret", "scope": scope}
        return {
            "bootstrap": [f"127.0.0.1:{kafka.sasl_port}"],
            "security": {"protocol": "SASL_PLAINTEXT", "mechanism": "OAUTHBEARER", "oauth": oauth},
        }

    async with member(kafka, topic, **security("topics")) as source:
        assert bodies_of(await take(source, 1)) == [b"one"]
    assert len(asked) == 1  # it is good for all connections
    with pytest.raises(AuthenticationError, match="refuses the client: HTTP 401"):
        async with member(kafka, topic, **security("refused")):
            pass
    await runner.cleanup()


async def test_tls_trusts_its_own_authority_and_shows_a_certificate(kafka: Kafka, topic: str) -> None:
    if not isinstance(kafka, NativeKafka):
        return  # the container has no TLS
    await produce(kafka, topic, {b"one": 0})
    client = str(kafka.directory / "client.pem")
    trusting = {"ca_file": str(kafka.directory / "ca.pem")}
    given: dict[str, Any] = {"bootstrap": [f"127.0.0.1:{kafka.tls_port}"], "security": {"protocol": "SSL"}}
    async with member(kafka, topic, **given, tls=trusting | {"cert": client, "key": client}) as source:
        assert bodies_of(await take(source, 1)) == [b"one"]
    for tls, cause in (
        (trusting, "certificate|reset"),
        ({"cert": client, "key": client}, "certificate verify failed"),
    ):
        with pytest.raises(NotConnectedError, match=cause):
            async with member(kafka, topic, **given, tls=tls):
                pass


async def test_dead_letters_are_kept_once_with_their_headers_and_a_missing_topic_is_named(
    kafka: Kafka, topic: str
) -> None:
    publisher = KafkaPublisher("dead", settings(kafka, topic), topic, timing=QUICK)
    messages = [
        OutMessage(
            id=f"m{number}", body=b"%d" % number, destination=topic, content_type="text/plain", headers={"n": number}
        )
        for number in range(3)
    ]
    try:
        await publisher.connect()
        await publisher.publish(messages)
        too_large = OutMessage(id="large", body=random.Random(1).randbytes(2_000_000), destination=topic)
        with pytest.raises(PublishError, match="large") as refused:
            await publisher.publish([too_large, OutMessage(id="small", body=b"3", destination=topic)])
        assert refused.value.published == {"small"}, str(refused.value)
    finally:
        await publisher.close()
    async with member(kafka, topic) as source:
        found = await take(source, 4)
    assert [message.body for message in found] == [b"0", b"1", b"2", b"3"]
    assert (found[1].content_type, found[1].headers["n"], found[1].headers["message-id"]) == ("text/plain", "1", "m1")
    missing = KafkaPublisher("dead", settings(kafka, topic), "not-there", timing=QUICK)
    with pytest.raises(TopologyError, match="no topic 'not-there'"):
        await missing.connect()


@pytest.mark.slow
async def test_a_storm_of_members_that_come_and_go_loses_nothing(kafka: Kafka) -> None:
    """Ten joins and leaves under load. The store is the members' own: what it takes, it takes once."""
    name, count = f"t-{uuid4().hex[:12]}", 3000
    await create_topic(kafka, name, partitions=6)
    offsets = Offsets()
    accepted: list[bytes] = []
    chance = random.Random(7)

    async def work(source: KafkaSource) -> None:
        while True:
            messages = await source.receive(chance.randint(1, 50))
            await asyncio.sleep(chance.choice([0, 0, 0.02]))  # a commit that takes its time
            mine = [message for message in messages if not message.is_lost()]
            accepted.extend(message.body for message in offsets.accept(mine))
            await source.settle([(message, ACK) for message in mine])

    async def come_and_go(seconds: float) -> None:
        async with member(kafka, name, offsets, receive={"session_timeout": 6, "drain_on_revoke": 2}) as source:
            working = asyncio.create_task(work(source))
            await asyncio.sleep(seconds)
            working.cancel()  # with whatever it has in hand
            with suppress(asyncio.CancelledError):
                await working

    async def publish() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5) as producer:
            for number in range(count):
                await producer.send(name, b"%06d" % number, partition=number % 6)
                if number % 100 == 0:
                    await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        for _ in range(10):
            tasks.create_task(come_and_go(chance.uniform(0.5, 3)))
            await asyncio.sleep(chance.uniform(0.1, 0.6))
    async with member(kafka, name, offsets) as source:
        working = asyncio.create_task(work(source))
        async with asyncio.timeout(PATIENCE):
            while len(accepted) < count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    assert sorted(accepted) == [b"%06d" % number for number in range(count)]


@pytest.mark.slow
async def test_two_members_share_the_partitions_and_one_that_dies_leaves_its_to_the_other(kafka: Kafka) -> None:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name, partitions=4)
    receive = {"session_timeout": 3, "drain_on_revoke": 0}
    async with Relay(kafka.relayed_port, port=kafka.relay_port) as relay:
        away = [f"127.0.0.1:{relay.port}"]
        async with (
            member(kafka, name, receive=receive) as stays,
            member(kafka, name, receive=receive, bootstrap=away) as dies,
        ):
            seen: dict[int, set[KafkaSource]] = {}
            async with asyncio.timeout(PATIENCE):
                while sorted(map(len, _shares(seen, stays, dies))) != [2, 2]:
                    seen.clear()
                    await produce(kafka, name, {b"%d" % number: number for number in range(4)})
                    for source in (stays, dies):
                        for message in await source.receive(100):
                            seen.setdefault(message.properties["partition"], set()).add(source)
                            await source.settle([(message, ACK)])
            before = (await stays.backlog()).rebalances
            relay.refuse()
            await relay.cut()
            await produce(kafka, name, {b"x%d" % number: number for number in range(4)})
            found: set[bytes] = set()
            began = asyncio.get_running_loop().time()
            async with asyncio.timeout(PATIENCE):
                while found != {b"x%d" % number for number in range(4)}:
                    found |= {message.body for message in await stays.receive(100)} & {b"x0", b"x1", b"x2", b"x3"}
            assert asyncio.get_running_loop().time() - began < 20
            assert (await stays.backlog()).rebalances == before + 1
            relay.refuse(False)


def _shares(seen: Mapping[int, set[KafkaSource]], *sources: KafkaSource) -> list[set[int]]:
    """The partitions that each alone has shown."""
    return [{partition for partition, by in seen.items() if by == {source}} for source in sources]
