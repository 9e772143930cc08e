"""What goes wrong on request, and what the SDK makes of it."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    SessionLockLostError,
)

from sandbox.servicebus import QueueSettings, ServiceBus, conditions
from tests.sandbox.servicebus.bus import Bus, bodies, connected_to, numbered, receive
from tests.sandbox.servicebus.together import Stage, together

pytestmark = pytest.mark.asyncio(loop_scope="session")

RETRYING: dict[str, Any] = {"retry_total": 6, "retry_backoff_factor": 0.02}
"""For tests that look how the SDK recovers."""

REFUSALS: list[tuple[str, type[ServiceBusError]]] = [
    (conditions.NOT_FOUND, MessagingEntityNotFoundError),
    (conditions.UNAUTHORIZED, ServiceBusAuthorizationError),
    (conditions.RESOURCE_LIMIT_EXCEEDED, ServiceBusQuotaExceededError),
    (conditions.SERVER_BUSY, ServiceBusServerBusyError),
    (conditions.ENTITY_DISABLED, MessagingEntityDisabledError),
    (conditions.DETACH_FORCED, ServiceBusConnectionError),
]


@together
async def test_a_refused_link_is_the_exception_that_the_sdk_has_for_it(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:

        async def refused(number: int, condition: str) -> type:
            broker.create_queue(f"q{number}")
            broker.faults.refuse_attach(condition, path=f"q{number}")
            with pytest.raises(ServiceBusError) as error:
                await bus.receiver(f"q{number}")
            return error.type

        raised = await asyncio.gather(*(refused(number, condition) for number, (condition, _) in enumerate(REFUSALS)))
        assert raised == [expected for _, expected in REFUSALS]


@together
async def test_an_entity_that_is_not_there_is_not_found(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        with pytest.raises(MessagingEntityNotFoundError):
            await bus.sender("nowhere")


@together
async def test_a_token_that_is_not_accepted_is_an_authentication_error(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q")
        asked = []

        def refuse(audience: str, token: str) -> int:
            asked.append((audience, token))
            return 401

        broker.faults.token_verdict = refuse
        with pytest.raises(ServiceBusAuthenticationError):
            await bus.sender("q")
        ((audience, token),) = asked
        assert audience == f"sb://127.0.0.1:{broker.port}/q"
        assert token.startswith("SharedAccessSignature sr=")


@together
async def test_a_rejected_message_is_not_kept_and_the_next_is(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        queue = broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.reject_sends(conditions.RESOURCE_LIMIT_EXCEEDED, path="q", times=1, after=1)
        await sender.send_messages(ServiceBusMessage("taken"))
        with pytest.raises(ServiceBusQuotaExceededError):
            await sender.send_messages(ServiceBusMessage("rejected"))
        await sender.send_messages(ServiceBusMessage("taken too"))
        assert queue.counts.enqueued == len(queue) == 2


@together
async def test_a_busy_broker_is_tried_again(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        queue = broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.reject_sends(times=2)
        await sender.send_messages(ServiceBusMessage("x"))
        assert len(queue) == 1


@together
async def test_an_oversized_message_may_cost_the_link_instead(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.oversize = "detach"
        with pytest.raises((ServiceBusConnectionError, MessageSizeExceededError)):
            await sender.send_messages(ServiceBusMessage(b"x" * 300_000))


async def _sends_again(*, stored: bool) -> int:
    """How many messages there are after a sender's connection was cut instead of an answer."""
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        queue = broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.cut_on_send(stored=stored)
        await sender.send_messages(ServiceBusMessage("x", message_id="m"))
        assert {message.content.properties["message-id"] for message in queue} == {"m"}
        return len(queue)


@together
async def test_a_cut_instead_of_an_answer_makes_the_sender_send_again(stage: Stage) -> None:
    assert await _sends_again(stored=False) == 1


@together
async def test_a_message_that_was_stored_before_the_cut_is_there_twice(stage: Stage) -> None:
    assert await _sends_again(stored=True) == 2


async def _recovers(broker: ServiceBus, bus: Bus, breaks: Callable[[], object]) -> None:
    """A sender and a receiver work again after something has broken."""
    broker.create_queue("q")
    sender, receiver = await bus.ends("q")
    await sender.send_messages(ServiceBusMessage("before"))
    (message,) = await receive(receiver)
    await receiver.complete_message(message)
    breaks()
    await sender.send_messages(ServiceBusMessage("after"))
    assert bodies(await receive(receiver)) == ["after"]


@together
async def test_clients_recover_from_a_cut(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        await _recovers(broker, bus, broker.cut)


@together
async def test_clients_recover_from_a_forced_detach(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        await _recovers(broker, bus, lambda: broker.detach("q"))


@together
async def test_clients_recover_from_a_forced_close(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        await _recovers(broker, bus, broker.close_connections)


@together
async def test_clients_recover_from_a_broker_that_was_down(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        queue = broker.create_queue("q")
        sender = await bus.sender("q")
        port = broker.port
        await broker.stop()
        sending = asyncio.create_task(sender.send_messages(ServiceBusMessage("x")))
        await asyncio.wait([sending], timeout=0.2)
        await broker.start()
        await sending
        assert broker.port == port
        assert len(queue) == 1


@together
async def test_a_settlement_whose_answer_is_lost_looks_like_a_lost_lock_though_the_message_is_gone(
    stage: Stage,
) -> None:
    """The SDK settles once more through `$management`, where the lock is not found: the outcome is unknown to it."""
    async with ServiceBus() as broker, connected_to(broker) as bus:
        queue = broker.create_queue("q")
        sender, receiver = await bus.ends("q", timeout=0.3)
        await sender.send_messages(ServiceBusMessage("x"))
        (message,) = await receive(receiver)
        broker.faults.swallow_settlements()
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(message)
        assert queue.counts.completed == 1
        assert len(queue) == 0


@together
async def test_a_settlement_that_is_lost_itself_is_made_good_through_management(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        queue = broker.create_queue("q")
        sender, receiver = await bus.ends("q", timeout=0.3)
        await sender.send_messages(ServiceBusMessage("x"))
        (message,) = await receive(receiver)
        broker.faults.swallow_settlements(applied=False)
        await receiver.complete_message(message)
        assert queue.counts.completed == 1


async def _settles_after(broker: ServiceBus, bus: Bus, breaks: Callable[[], object]) -> None:
    """What was received before something broke is settled after it, by its lock token."""
    queue = broker.create_queue("q")
    sender, receiver = await bus.ends("q")
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    breaks()
    await receiver.complete_message(message)
    assert (queue.counts.completed, queue.counts.delivered) == (1, 1)


@together
async def test_what_was_received_is_settled_after_its_link_is_lost(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        await _settles_after(broker, bus, lambda: broker.detach("q"))


@together
async def test_what_was_received_is_settled_after_its_connection_is_lost(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        await _settles_after(broker, bus, broker.cut)


@together
async def test_locks_expire_on_request(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        queue = broker.create_queue("q", QueueSettings(lock_duration=60_000))
        sender, receiver = await bus.ends("q")
        await sender.send_messages(ServiceBusMessage("x"))
        (message,) = await receive(receiver)
        broker.expire_locks("q")
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(message)
        (again,) = await receive(receiver)
        assert (again.delivery_count, queue.counts.lock_expired) == (1, 1)


@together
async def test_a_session_that_was_lost_with_its_link_cannot_be_renewed_nor_its_state_set(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q", QueueSettings(requires_session=True))
        former = await bus.receiver("q", session_id="s")
        broker.detach("q")
        holder = await bus.receiver("q", session_id="s")
        for denied in (former.session.renew_lock, former.session.get_state, lambda: former.session.set_state(b"x")):
            with pytest.raises(SessionLockLostError):
                await denied()
        await holder.session.renew_lock()
        assert await holder.session.get_state() is None


@together
async def test_a_session_whose_lock_has_expired_cannot_be_renewed(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q", QueueSettings(requires_session=True))
        former = await bus.receiver("q", session_id="s")
        broker.expire_locks("q")
        with pytest.raises(SessionLockLostError):
            await former.session.renew_lock()


@together
async def test_management_fails_on_request(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q")
        sender, receiver = await bus.ends("q")
        await sender.send_messages(ServiceBusMessage("x"))
        (message,) = await receive(receiver)
        broker.faults.fail_requests(operation="renew-lock", times=1)
        with pytest.raises(ServiceBusServerBusyError):
            await receiver.renew_message_lock(message)
        await receiver.renew_message_lock(message)


@together
async def test_what_the_broker_says_comes_late_on_request(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.delay = 0.4
        before = time.monotonic()
        await sender.send_messages(ServiceBusMessage("x"))
        assert time.monotonic() - before >= 0.4


@together
async def test_a_silent_broker_cuts_what_it_has_not_heard(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        queue = broker.create_queue("q")
        sender = await bus.sender("q")
        broker.faults.silent = True
        sending = asyncio.create_task(sender.send_messages(ServiceBusMessage("x"), timeout=10))
        await asyncio.wait([sending], timeout=0.3)
        assert not sending.done()
        assert len(queue) == 0
        broker.faults.silent = False
        broker.cut()
        await sending
        assert len(queue) == 1


@together
async def test_a_disabled_entity_takes_and_gives_nothing(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q", QueueSettings(status="ReceiveDisabled"))
        sender = await bus.sender("q")
        await sender.send_messages(ServiceBusMessage("x"))
        with pytest.raises(MessagingEntityDisabledError):
            await bus.receiver("q")


@together
async def test_a_deleted_entity_takes_its_links_along(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker, **RETRYING) as bus:
        broker.create_queue("q")
        sender = await bus.sender("q")
        await bus.admin.delete_queue("q")
        with pytest.raises(MessagingEntityNotFoundError):
            await sender.send_messages(ServiceBusMessage("x"))


@together
async def test_every_frame_can_be_watched(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        broker.create_queue("q")
        seen = []
        broker.faults.trace = lambda direction, channel, said: seen.append((direction, type(said).__name__))
        await bus.sender("q")
        assert seen[:3] == [("out", "SaslMechanisms"), ("in", "SaslInit"), ("out", "SaslOutcome")]
        assert ("in", "Attach") in seen


@together
async def test_thirty_receivers_share_what_comes(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        queue = broker.create_queue("q", QueueSettings(lock_duration=60_000))
        sender = await bus.sender("q")
        receivers = await asyncio.gather(*(bus.receiver("q") for _ in range(30)))
        await sender.send_messages(numbered(600))
        shares = await asyncio.gather(*(receive(receiver, 20) for receiver in receivers))
        assert sorted(int(text) for share in shares for text in bodies(share)) == list(range(600))
        assert queue.counts.delivered == 600
        assert timedelta(milliseconds=queue.settings.lock_duration) == timedelta(minutes=1)
