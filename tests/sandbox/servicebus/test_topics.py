"""Topics through the SDK: who gets a copy."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.management import CorrelationRuleFilter, SqlRuleAction, SqlRuleFilter

from tests.sandbox.servicebus.bus import Bus, bodies, receive
from tests.sandbox.servicebus.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES: dict[str, tuple[Any, list[str]]] = {
    "all": (None, ["hr-1", "hr-2", "finance-1"]),
    "by-subject": (CorrelationRuleFilter(label="hr"), ["hr-1", "hr-2"]),
    "by-property": (CorrelationRuleFilter(properties={"level": 2}), ["hr-2"]),
    "by-sql": (SqlRuleFilter("sys.Label LIKE 'fin%' OR level > 1"), ["hr-2", "finance-1"]),
    "by-parameter": (SqlRuleFilter("level = @wanted", parameters={"@wanted": 1}), ["hr-1"]),
}


@together
async def test_each_subscription_gets_what_its_rule_lets_through(bus: Bus) -> None:
    topic = await bus.topic()

    async def subscribe(name: str) -> Any:
        await bus.admin.create_subscription(topic, name)
        if RULES[name][0] is not None:
            await bus.admin.create_rule(topic, name, "only", filter=RULES[name][0])
            await bus.admin.delete_rule(topic, name, "$Default")
        return await bus.subscription_receiver(topic, name)

    receivers = dict(zip(RULES, await asyncio.gather(*map(subscribe, RULES)), strict=True))
    sender = await bus.topic_sender(topic)
    await sender.send_messages(
        [
            ServiceBusMessage("hr-1", subject="hr", application_properties={"level": 1}),
            ServiceBusMessage("hr-2", subject="hr", application_properties={"level": 2}),
            ServiceBusMessage("finance-1", subject="finance"),
        ]
    )
    for name, receiver in receivers.items():
        expected = RULES[name][1]
        assert bodies(await receive(receiver, len(expected))) == expected, name
    for name in RULES:
        runtime = await bus.admin.get_subscription_runtime_properties(topic, name)
        assert runtime.active_message_count == len(RULES[name][1]), name


@together
async def test_a_rule_with_an_action_makes_a_copy_of_its_own(bus: Bus) -> None:
    topic = await bus.topic()
    await bus.admin.create_subscription(topic, "s")
    await bus.admin.create_rule(
        topic, "s", "marked", filter=SqlRuleFilter("1 = 1"), action=SqlRuleAction("SET mark = 'seen'; REMOVE secret")
    )
    sender = await bus.topic_sender(topic)
    await sender.send_messages(ServiceBusMessage("x", application_properties={"secret": "s"}))
    copies = await receive(await bus.subscription_receiver(topic, "s"), 2)
    properties: list[Any] = [message.application_properties for message in copies]
    assert sorted(map(sorted, properties)) == [[b"mark"], [b"secret"]]


@together
async def test_an_expired_message_becomes_a_dead_letter_where_that_is_wanted(bus: Bus) -> None:
    queue = await bus.queue(dead_lettering_on_message_expiration=True)
    sender = await bus.sender(queue)
    await sender.send_messages(ServiceBusMessage("old", time_to_live=timedelta(seconds=1)))
    (dead,) = await receive(await bus.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER))
    assert dead.dead_letter_reason == "TTLExpiredException"


@together
async def test_a_scheduled_message_reaches_subscriptions_when_its_time_has_come(bus: Bus) -> None:
    topic = await bus.topic()
    await bus.admin.create_subscription(topic, "s")
    sender, receiver = await asyncio.gather(bus.topic_sender(topic), bus.subscription_receiver(topic, "s"))
    soon = datetime.now(UTC) + timedelta(seconds=1)
    numbers = await sender.schedule_messages([ServiceBusMessage("no"), ServiceBusMessage("yes")], soon)
    await sender.cancel_scheduled_messages(numbers[0])
    (message,) = await receive(receiver)
    assert str(message) == "yes"
    assert message.enqueued_time_utc is not None
    assert message.enqueued_time_utc >= soon - timedelta(milliseconds=5)
