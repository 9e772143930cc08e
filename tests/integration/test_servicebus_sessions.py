"""Sessions: several at a time, each in order, none left out, whatever is lost on the way."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest
from azure.servicebus import ServiceBusMessage

from connectors.base import ACK, Disposition, Message, Settlement
from connectors.errors import NotConnectedError
from connectors.servicebus import ServiceBusSource
from sandbox.servicebus import QueueSettings, conditions
from tests.connectors.behaviour import PATIENCE
from tests.connectors.servicebus.harness import PATH, ServiceBusHarness, connection, failure_of
from tests.connectors.servicebus.harness import harness as new_harness
from tests.connectors.servicebus.quick import QUICK, close_at_once

RECEIVE = {"max_in_flight": 40, "max_wait": 1, "sessions": {"max_in_flight": 4, "idle": 1}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


@pytest.fixture
async def harness() -> AsyncIterator[ServiceBusHarness]:
    # A lock is short enough to wait for, and long enough for a machine that stalls.
    queue = QueueSettings(lock_duration=9_000, max_delivery_count=2000, requires_session=True)
    async with new_harness(queue, receive=RECEIVE) as harness:
        yield harness


async def publish(harness: ServiceBusHarness, sessions: Sequence[str], each: int) -> None:
    """Messages 0, 1, 2, … of each session, one session's after another's."""
    for session in sessions:
        await harness.send(*(ServiceBusMessage(b"%d" % number, session_id=session) for number in range(each)))


async def drained(source: ServiceBusSource, count: int, *, answer: Disposition = ACK) -> Mapping[str, list[int]]:
    """Receive and settle until `count` messages came: their numbers by session."""
    came: defaultdict[str, list[int]] = defaultdict(list)
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, came.values())) < count:
            messages = await source.receive(100)
            for message in messages:
                assert message.key is not None
                came[message.key].append(int(message.body))
            await source.settle([(message, answer) for message in messages])
    return came


async def some(source: ServiceBusSource) -> list[Message]:
    """The next messages."""
    async with asyncio.timeout(PATIENCE):
        while not (messages := await source.receive(100)):
            pass
    return list(messages)


async def test_every_session_is_served_and_each_in_order(harness: ServiceBusHarness) -> None:
    sessions = [f"account-{number}" for number in range(12)]
    await publish(harness, sessions, 5)
    source = await harness.connect()
    assert await drained(source, 60) == {session: [0, 1, 2, 3, 4] for session in sessions}
    assert harness.queue.counts.completed == 60
    assert harness.queue.counts.lock_expired == 0


async def test_more_of_a_session_comes_only_when_all_that_came_is_settled(harness: ServiceBusHarness) -> None:
    await publish(harness, ["a"], 30)
    source = await harness.connect()
    first = await some(source)
    assert [int(message.body) for message in first] == list(range(len(first)))
    assert len(first) <= 10  # a session's share of the credit
    await source.settle([(message, ACK) for message in first[:-1]])
    if len(first) > 1:
        assert await source.receive(100) == []
    await source.settle([(first[-1], ACK)])
    rest = await drained(source, 30 - len(first))
    assert rest == {"a": list(range(len(first), 30))}


async def test_a_source_without_sessions_waiting_is_connected_and_idle(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    assert await source.receive(10) == []
    await asyncio.sleep(1.5)  # requests for a session time out meanwhile, which is no failure
    await publish(harness, ["late"], 2)
    assert await drained(source, 2) == {"late": [0, 1]}
    assert (await source.backlog()).messages == 0


@pytest.mark.parametrize("administration", ["http://127.0.0.1:9", None])
async def test_what_waits_in_the_sessions_that_are_held_is_known_with_or_without_the_right_to_count(
    harness: ServiceBusHarness, administration: str | None
) -> None:
    own = connection(harness.broker) | ({} if administration is None else {"administration": administration})
    source = harness.another(connection=own, receive=RECEIVE)
    await source.connect()
    assert (await source.backlog()).messages == 0
    await publish(harness, ["a"], 30)
    first = await some(source)
    await source.backlog()
    assert (await source.backlog()).messages == 30
    await source.settle([(message, ACK) for message in first])
    assert len((await drained(source, 30 - len(first)))["a"]) == 30 - len(first)
    assert (await source.backlog()).messages == 0


async def test_a_session_that_is_lost_while_it_is_looked_at_costs_no_connection(harness: ServiceBusHarness) -> None:
    own = connection(harness.broker) | {"administration": "http://127.0.0.1:9"}
    source = harness.another(connection=own, receive=RECEIVE)
    await source.connect()
    await publish(harness, ["a"], 30)
    done, several = 0, await some(source)
    while len(several) == 1:  # at first it asks for one
        await source.settle([(several[0], ACK)])
        done, several = done + 1, await some(source)
    harness.broker.detach(PATH, condition=conditions.SESSION_LOCK_LOST)
    await source.backlog()
    for message in several:
        await source.settle([(message, ACK)])
    assert await drained(source, 30 - done) == {"a": list(range(done, 30))}


async def test_an_idle_session_makes_place_for_others(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await publish(harness, ["a", "b", "c", "d"], 1)
    assert len(await drained(source, 4)) == 4
    await publish(harness, ["e", "f", "g", "h", "a"], 1)
    assert set(await drained(source, 5)) == {"e", "f", "g", "h", "a"}


async def test_a_session_that_is_never_idle_makes_place_after_its_turn(
    harness: ServiceBusHarness,
) -> None:
    receive = {"sessions": {"max_in_flight": 1, "idle": 60}, "max_in_flight": 1}
    source = harness.another(receive=receive, timing=replace(QUICK, session_turn=0.5))
    await publish(harness, ["busy"], 2)
    await publish(harness, ["patient"], 1)
    await source.connect()
    turns: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while "patient" not in turns:
            await publish(harness, ["busy"], 1)
            messages = await source.receive(10)
            turns += [message.key or "" for message in messages]
            await source.settle([(message, ACK) for message in messages])
    assert turns.count("busy") > 2


async def test_a_session_lock_is_renewed_while_its_messages_are_on_their_way(harness: ServiceBusHarness) -> None:
    await publish(harness, ["a"], 3)
    source = await harness.connect()
    first = await some(source)
    await harness.until_renewed()
    assert not any(message.is_lost() for message in first)
    await source.settle([(message, ACK) for message in first])
    assert await drained(source, 3 - len(first)) == ({} if len(first) == 3 else {"a": list(range(len(first), 3))})
    assert harness.queue.counts.completed == 3


async def test_a_session_that_is_lost_takes_its_messages_along_and_nothing_else(harness: ServiceBusHarness) -> None:
    await publish(harness, ["a"], 2)
    source = harness.another(receive={"sessions": {"max_in_flight": 1, "idle": 1}})
    await source.connect()
    first = await some(source)
    harness.broker.expire_locks(PATH)
    async with asyncio.timeout(PATIENCE):
        while not all(message.is_lost() for message in first):
            await asyncio.sleep(0.05)
    await source.settle([(message, ACK) for message in first])  # unknown to the broker, and no error
    assert await drained(source, 2) == {"a": [0, 1]}
    assert harness.queue.counts.completed == 2


async def test_a_poison_message_in_a_session_is_dead_lettered_and_the_session_goes_on(
    harness: ServiceBusHarness,
) -> None:
    await publish(harness, ["a"], 5)
    source = await harness.connect()
    poison = Disposition(settlement=Settlement.REJECT, reason="decode", detail="not JSON at byte 0")
    came: list[int] = []
    while len(came) < 5:
        messages = await some(source)
        came += [int(message.body) for message in messages]
        await source.settle([(message, poison if message.body == b"2" else ACK) for message in messages])
    assert came == [0, 1, 2, 3, 4]
    (dead,) = await harness.dead_letters(1)
    assert (dead.body, dead.properties["session_id"]) == (b"2", "a")
    assert dead.properties["dead_letter_reason"] == "decode"
    assert dead.properties["dead_letter_error_description"] == "not JSON at byte 0"


async def test_a_lost_connection_ends_all_sessions_and_nothing_is_lost(harness: ServiceBusHarness) -> None:
    await publish(harness, ["a", "b"], 3)
    source = await harness.connect()
    first = await some(source)
    harness.broker.cut()
    assert isinstance(await failure_of(source), NotConnectedError)
    await source.close()
    assert all(message.is_lost() for message in first)
    await source.connect()
    assert await drained(source, 6) == {"a": [0, 1, 2], "b": [0, 1, 2]}


async def test_closing_leaves_the_sessions_to_others_at_once(harness: ServiceBusHarness) -> None:
    await publish(harness, ["a"], 3)
    source = await harness.connect()
    await some(source)
    other = harness.another(receive=RECEIVE)
    await source.close()
    await other.connect()
    assert await drained(other, 3) == {"a": [0, 1, 2]}
