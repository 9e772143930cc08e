"""Whatever Service Bus does, a source says so in our words, loses nothing, and works again with the next connection."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from connectors.base import ACK, Message
from connectors.errors import AuthenticationError, NotConnectedError, SourceError, TopologyError
from sandbox.servicebus import QueueSettings, conditions
from sandbox.servicebus.service_bus import wall_clock
from tests.brokers.faulty_relay import Fault, FaultyRelay
from tests.connectors.behaviour import bodies, bodies_of, take
from tests.connectors.servicebus.harness import PATH, ServiceBusHarness, failure_of
from tests.connectors.servicebus.harness import harness as new_harness
from tests.connectors.servicebus.quick import IMPATIENT, QUICK, close_at_once


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


@pytest.fixture
async def harness() -> AsyncIterator[ServiceBusHarness]:
    async with new_harness(QueueSettings(max_delivery_count=2000)) as harness:
        yield harness


async def recovered(harness: ServiceBusHarness, count: int) -> list[Message]:
    """What comes over the next connection, the locks of the last one being over; it is settled."""
    await harness.source.close()
    harness.broker.expire_locks(PATH)
    await harness.source.connect()
    messages = await take(harness.source, count)
    await harness.source.settle([(message, ACK) for message in messages])
    return messages


def tls_contexts(*, beside: Sequence[ssl.SSLContext] = ()) -> list[ssl.SSLContext]:
    """Those of the process; `beside` holds what other tests have left there, which may go at any time.

    Each has half a megabyte, and the SDK makes one for every attempt to connect.
    """
    known = set(map(id, beside))
    return [one for one in gc.get_objects() if isinstance(one, ssl.SSLContext) and id(one) not in known]


async def test_a_broker_that_is_not_there_is_no_connection(harness: ServiceBusHarness) -> None:
    await harness.broker.stop()
    with pytest.raises(NotConnectedError, match="subscription 'bridge' of topic 'hr'"):
        await harness.source.connect()
    await harness.broker.start()
    await harness.publish(bodies(1))
    assert bodies_of(await recovered(harness, 1)) == bodies(1)


@pytest.mark.parametrize("sessions", [False, True])
async def test_neither_idle_sessions_nor_connections_that_end_leave_tls_contexts_to_the_garbage_collector(
    sessions: bool,
) -> None:
    receive: dict[str, Any] = {"sessions": {"max_in_flight": 2}} if sessions else {}
    async with new_harness(QueueSettings(requires_session=sessions), receive=receive) as harness:
        others = tls_contexts()
        await harness.connect()
        gc.collect()
        gc.disable()
        try:
            own = len(tls_contexts(beside=others))
            for _ in range(3):
                await harness.source.close()
                await harness.source.connect()
            assert len(tls_contexts(beside=others)) <= own
        finally:
            gc.enable()


@pytest.mark.parametrize("sessions", [False, True])
async def test_an_attempt_that_fails_leaves_nothing_to_the_garbage_collector_however_long_the_outage(
    harness: ServiceBusHarness, sessions: bool
) -> None:
    receive: dict[str, Any] = {"sessions": {"max_in_flight": 4}} if sessions else {}
    new = {"name": "bridge", "create_if_missing": {"requires_session": sessions}}
    source = harness.another(subscription=new, receive=receive)
    await harness.broker.stop()
    with suppress(SourceError):
        await source.connect()  # the first makes what all attempts share
    gc.collect()
    gc.disable()
    try:
        others = tls_contexts()
        for _ in range(3):
            with suppress(SourceError):
                await source.connect()
        assert tls_contexts(beside=others) == []
    finally:
        gc.enable()


def sockets() -> int:
    """How many this process has open."""
    return sum(
        os.readlink(file.path).startswith("socket:") for file in os.scandir("/proc/self/fd") if file.is_symlink()
    )


@pytest.mark.parametrize("piece", [1, 2, 4])
async def test_a_broker_that_hangs_up_in_a_handshake_leaves_no_socket_open(
    harness: ServiceBusHarness, piece: int
) -> None:
    async with FaultyRelay(harness.broker.port) as relay:
        near, far = f":{harness.broker.port};", f":{relay.port};"
        at = {"connection_string": harness.broker.connection_string.replace(near, far)}
        source = harness.another(connection=at)
        gc.collect()
        gc.disable()
        try:
            before = sockets()
            for _ in range(3):
                relay.arm(Fault.CUT, at=piece)
                with pytest.raises(NotConnectedError):
                    await source.connect()
            async with asyncio.timeout(30):
                while sockets() > before:  # those of the relay take a moment
                    await asyncio.sleep(0.02)
        finally:
            gc.enable()


async def test_a_broker_that_comes_back_has_everything_that_was_not_settled(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(4))
    messages = await take(source, 4)
    await source.settle([(messages[0], ACK)])
    await harness.broker.stop()
    assert isinstance(await failure_of(source), NotConnectedError)
    await source.close()
    assert all(message.is_lost() for message in messages[1:])
    await harness.broker.start()
    assert bodies_of(await recovered(harness, 3)) == bodies_of(messages[1:])


async def test_settling_over_a_lost_connection_says_so_and_opens_no_other(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(20))
    messages = await take(source, 20)
    harness.broker.cut()
    with pytest.raises(NotConnectedError):
        await source.settle([(message, ACK) for message in messages])
    assert harness.broker.connections == 0
    with pytest.raises(NotConnectedError, match="lost"):
        await source.receive(1)
    await source.close()
    await source.settle([(message, ACK) for message in messages])  # stale by now, and quiet
    assert harness.broker.connections == 0
    assert len(await recovered(harness, 20)) == 20


@pytest.mark.parametrize("condition", [conditions.DETACH_FORCED, conditions.SERVER_BUSY, None])
async def test_a_link_that_is_detached_is_a_lost_connection(harness: ServiceBusHarness, condition: str | None) -> None:
    source = await harness.connect()
    await harness.publish(bodies(2))
    await take(source, 2)
    assert harness.broker.detach(PATH, condition=condition) == 1
    assert isinstance(await failure_of(source), NotConnectedError)
    assert bodies_of(await recovered(harness, 2)) == bodies(2)


async def test_a_connection_that_the_broker_closes_is_a_lost_one(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    harness.broker.close_connections()
    assert isinstance(await failure_of(source), NotConnectedError)


async def test_a_client_that_has_gone_deaf_is_found_out(
    harness: ServiceBusHarness,
) -> None:
    source = harness.another(receive={"max_wait": 1}, timing=IMPATIENT)
    await source.connect()
    harness.broker.detach()  # the links of the authentication too: the SDK then waits for them without end
    assert isinstance(await failure_of(source), NotConnectedError)


async def test_a_broker_that_falls_silent_is_found_out(
    harness: ServiceBusHarness,
) -> None:
    source = harness.another(receive={"max_wait": 1}, timing=IMPATIENT)
    await source.connect()
    harness.broker.faults.silent = True
    assert isinstance(await failure_of(source), NotConnectedError)
    harness.broker.faults.silent = False


@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")  # the SDK forgets what it cannot close
async def test_a_broker_that_falls_silent_is_found_out_where_there_are_sessions() -> None:
    timing = replace(QUICK, session_answer=1.0)
    receive = {"max_wait": 1, "sessions": {"max_in_flight": 2}}
    async with new_harness(QueueSettings(requires_session=True), receive=receive, timing=timing) as harness:
        source = await harness.connect()
        harness.broker.faults.silent = True
        assert (
            str(await failure_of(source)) == "hr: the subscription 'bridge' of topic 'hr': the broker does not answer"
        )
        harness.broker.faults.silent = False


@pytest.mark.parametrize("applied", [True, False])
async def test_a_settlement_that_is_not_answered_is_unknown_and_comes_again_unless_it_was_done(
    harness: ServiceBusHarness, applied: bool
) -> None:
    harness.source = harness.another(timing=IMPATIENT)
    source = await harness.connect()
    await harness.publish(bodies(2))
    messages = await take(source, 2)
    harness.broker.faults.swallow_settlements(times=1, applied=applied)
    with pytest.raises(NotConnectedError):
        await source.settle([(messages[0], ACK)])
    assert harness.queue.counts.completed == int(applied)
    assert bodies_of(await recovered(harness, 1 if applied else 2)) == bodies(2)[1 if applied else 0 :]


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        (conditions.SERVER_BUSY, NotConnectedError),
        (conditions.DETACH_FORCED, NotConnectedError),
        (conditions.ENTITY_DISABLED, TopologyError),
        (conditions.NOT_FOUND, TopologyError),
        (conditions.UNAUTHORIZED, AuthenticationError),
    ],
)
async def test_a_refusal_says_who_can_help(harness: ServiceBusHarness, condition: str, error: type[Exception]) -> None:
    harness.broker.faults.refuse_attach(condition, path=PATH)
    with pytest.raises(error, match="subscription 'bridge' of topic 'hr'"):
        await harness.source.connect()
    harness.broker.faults.clear()
    await harness.publish(bodies(1))
    assert bodies_of(await recovered(harness, 1)) == bodies(1)


@pytest.mark.parametrize("changes", [{}, {"receive": {"sessions": {"max_in_flight": 2}}}])
async def test_a_wrong_key_is_refused_as_such_and_not_shown(harness: ServiceBusHarness, changes: Any) -> None:
    harness.broker.faults.token_verdict = lambda audience, token: 401
    source = harness.another(**changes)
    with pytest.raises(AuthenticationError, match="the credentials are refused") as refused:
        await source.connect()
    assert "SAS_KEY_VALUE" not in str(refused.value)


async def test_a_clock_that_is_ahead_is_named_as_the_cause() -> None:
    async with new_harness(QueueSettings(), clock=lambda: wall_clock() - 120_000) as harness:
        source = await harness.connect()
        await harness.publish(bodies(1))
        error = await failure_of(source)
        assert "is the clock of this machine right" in str(error)


async def test_losing_the_way_to_the_administration_costs_no_connection(harness: ServiceBusHarness) -> None:
    own = {"connection_string": harness.broker.connection_string, "administration": "http://127.0.0.1:9"}
    new = {"name": "bridge", "create_if_missing": {}}
    source = harness.another(connection=own, subscription=new)
    await source.connect()
    (note,) = source.warnings
    assert note.startswith("the subscription 'bridge' of topic 'hr' could not be checked and is used as it is: ")
    await harness.publish(bodies(1))
    assert bodies_of(await take(source, 1)) == bodies(1)
