"""Administration through the SDK: entities and rules come back as they were created."""

from datetime import timedelta
from typing import Any, cast

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.servicebus import ServiceBusMessage, TransportType
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.management import (
    CorrelationRuleFilter,
    FalseRuleFilter,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from sandbox.servicebus import ServiceBus
from tests.sandbox.servicebus.bus import CLIENT_OPTIONS, Bus, bodies, connected_to, receive
from tests.sandbox.servicebus.together import Stage, together

pytestmark = pytest.mark.asyncio(loop_scope="session")

MISSING = "there-is-no-such"


@together
async def test_a_queue_comes_back_as_it_was_created(bus: Bus) -> None:
    settings: dict[str, Any] = {
        "lock_duration": timedelta(seconds=42),
        "max_delivery_count": 7,
        "requires_session": True,
        "dead_lettering_on_message_expiration": True,
        "default_message_time_to_live": timedelta(minutes=30),
    }
    name = await bus.queue(**settings)
    queue = await bus.admin.get_queue(name)
    assert {key: getattr(queue, key) for key in settings} == settings
    assert queue.status == "Active"


@together
async def test_a_queue_can_be_updated_and_deleted(bus: Bus) -> None:
    name = await bus.queue()
    queue = await bus.admin.get_queue(name)
    queue.max_delivery_count = 9
    await bus.admin.update_queue(queue)
    assert (await bus.admin.get_queue(name)).max_delivery_count == 9
    await bus.admin.delete_queue(name)
    with pytest.raises(ResourceNotFoundError):
        await bus.admin.get_queue(name)


@together
async def test_what_exists_cannot_be_created_and_what_does_not_cannot_be_got(bus: Bus) -> None:
    topic = await bus.topic()
    await bus.admin.create_subscription(topic, "s")
    for create in (bus.admin.create_topic(topic), bus.admin.create_subscription(topic, "s")):
        with pytest.raises(ResourceExistsError):
            await create
    for get in (
        bus.admin.get_topic(MISSING),
        bus.admin.get_subscription(topic, MISSING),
        bus.admin.get_subscription(MISSING, "s"),
        bus.admin.get_rule(topic, "s", MISSING),
        bus.admin.delete_subscription(topic, MISSING),
    ):
        with pytest.raises(ResourceNotFoundError):
            await get


@together
async def test_rules_come_back_as_they_were_created(bus: Bus) -> None:
    topic = await bus.topic()
    await bus.admin.create_subscription(topic, "s")
    await bus.admin.create_rule(topic, "s", "false", filter=FalseRuleFilter())
    await bus.admin.create_rule(
        topic,
        "s",
        "sql",
        filter=SqlRuleFilter("level > @least", parameters={"@least": 3}),
        action=SqlRuleAction("SET seen = TRUE"),
    )
    correlation = CorrelationRuleFilter(label="hr", message_id="m", properties={"text": "a", "yes": True, "n": 2})
    await bus.admin.create_rule(topic, "s", "correlation", filter=correlation)
    rules: dict[str, Any] = {rule.name: rule async for rule in bus.admin.list_rules(topic, "s")}
    assert sorted(rules) == ["$Default", "correlation", "false", "sql"]
    assert isinstance(rules["$Default"].filter, TrueRuleFilter)
    assert isinstance(rules["false"].filter, FalseRuleFilter)
    assert rules["sql"].filter.sql_expression == "level > @least"
    assert rules["sql"].filter.parameters == {"@least": 3}
    assert rules["sql"].action.sql_expression == "SET seen = TRUE"
    assert (rules["correlation"].filter.label, rules["correlation"].filter.message_id) == ("hr", "m")
    assert rules["correlation"].filter.properties == {"text": "a", "yes": True, "n": 2}


@together
async def test_a_filter_that_is_none_is_refused(bus: Bus) -> None:
    topic = await bus.topic()
    await bus.admin.create_subscription(topic, "s")
    with pytest.raises(HttpResponseError) as refused:
        await bus.admin.create_rule(topic, "s", "bad", filter=SqlRuleFilter("level >"))
    assert refused.value.status_code == 400


@together
async def test_lists_are_told_page_by_page(stage: Stage) -> None:
    async with ServiceBus() as broker, connected_to(broker) as bus:
        for number in range(230):
            broker.create_queue(f"listed-{number:03}")
        names = [queue.name async for queue in bus.admin.list_queues()]
        assert names == [f"listed-{number:03}" for number in range(230)]


@together
async def test_the_namespace_introduces_itself(bus: Bus) -> None:
    properties = await bus.admin.get_namespace_properties()
    assert properties.name


@together
async def test_messages_and_administration_work_over_tls_on_the_same_port(stage: Stage) -> None:
    async with ServiceBus() as broker:
        string, verify = broker.tls_connection_string, {"connection_verify": str(broker.ca_file)}
        over_tls: dict[str, Any] = {
            "custom_endpoint_address": broker.endpoint_address,
            "transport_type": TransportType.Amqp,
            **CLIENT_OPTIONS,
            **verify,
        }
        async with (
            ServiceBusAdministrationClient.from_connection_string(string, **cast(Any, verify)) as admin,
            ServiceBusClient.from_connection_string(string, **over_tls) as client,
        ):
            await admin.create_queue("q")
            async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
                await sender.send_messages(ServiceBusMessage("private"))
                assert bodies(await receive(receiver)) == ["private"]
