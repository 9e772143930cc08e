"""What is missing at Service Bus is created as configured; what exists is compared, reported, and left alone."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from connectors.errors import NotConnectedError, TopologyError
from connectors.servicebus import ServiceBusSource
from sandbox.servicebus import EntityNotFoundError, QueueSettings, ServiceBus
from sandbox.servicebus.rules.rule import TrueFilter
from tests.connectors.behaviour import bodies_of, take
from tests.connectors.servicebus.harness import PATH, SUBSCRIPTION, TOPIC, ServiceBusHarness, settings
from tests.connectors.servicebus.harness import harness as new_harness
from tests.connectors.servicebus.quick import QUICK, close_at_once


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBus]:
    async with ServiceBus() as broker:
        yield broker


@pytest.fixture
async def harness() -> AsyncIterator[ServiceBusHarness]:
    async with new_harness(QueueSettings()) as harness:
        yield harness


def creating(**new: Any) -> dict[str, Any]:
    return {"name": SUBSCRIPTION, "create_if_missing": new}


async def connected(broker: ServiceBus, **changes: Any) -> tuple[str, ...]:
    """The warnings of a source with these settings."""
    source = ServiceBusSource("hr", settings(broker, **changes), timing=QUICK)
    await source.connect()
    await source.close()
    return tuple(source.warnings)


async def test_a_missing_topic_and_subscription_are_created_as_configured_and_then_found_so(broker: ServiceBus) -> None:
    new = creating(
        lock_duration="30s",
        max_delivery_count=5,
        dead_letter_on_expiry=True,
        filter={"correlation": {"subject": "posting.debit", "properties": {"kind": "card"}}},
        rules={"large": {"sql": "amount > 1000"}},
    )
    assert await connected(broker, subscription=new) == ()
    created = broker.queue(PATH).settings
    assert (created.lock_duration, created.max_delivery_count) == (30_000, 5)
    assert (created.dead_letter_on_expiration, created.requires_session) == (True, False)
    assert await connected(broker, subscription=new) == ()


async def test_only_what_the_filters_let_through_comes(harness: ServiceBusHarness) -> None:
    rules = {"large": {"sql": "amount > 1000"}}
    new = creating(filter={"correlation": {"subject": "debit"}}, rules=rules) | {"name": "filtered"}
    source = harness.another(subscription=new)
    await source.connect()
    await harness.send(
        ServiceBusMessage(b"debit", subject="debit"),
        ServiceBusMessage(b"credit", subject="credit", application_properties={"amount": 5}),
        ServiceBusMessage(b"large credit", subject="credit", application_properties={"amount": 5000}),
        ServiceBusMessage(b"large debit", subject="debit", application_properties={"amount": 5000}),
    )
    assert bodies_of(await take(source, 3)) == [b"debit", b"large credit", b"large debit"]
    assert await source.receive(10) == []


PROPERTIES = {"text": "1 < 2", "whole": 7, "large": 2**40, "part": 1.5, "yes": True}
FILTERS: list[dict[str, Any]] = [
    {"filter": {"sql": "amount > 1000 AND name <> 'A & B'"}},
    {"filter": {"correlation": {"subject": "a<b", "reply_to_session_id": "r", "properties": PROPERTIES}}},
    {"rules": {"$Default": {"sql": "amount > 1000"}, "other": {"correlation": {"to": "x"}}}},
]


@pytest.mark.parametrize("new", FILTERS)
async def test_nothing_that_the_rules_do_not_let_through_comes_from_the_first_moment_on(
    broker: ServiceBus, new: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    for later in ("create_rule", "delete_rule", "delete_subscription"):
        monkeypatch.setattr(ServiceBusAdministrationClient, later, killed)
    new = {"max_delivery_count": 4, **new}
    with suppress(NotConnectedError):
        await connected(broker, subscription=creating(**new))
    (rule,) = broker.rules(TOPIC, SUBSCRIPTION).values()
    assert not isinstance(rule.filter, TrueFilter)
    warnings = await connected(broker, subscription=creating(**new))
    assert not [note for note in warnings if note.startswith(f"rule {rule.name}:")]


async def test_a_broker_that_takes_no_first_rule_gets_all_of_them_all_the_same(
    broker: ServiceBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.servicebus.client.with_first_rule", lambda description, rule: description)
    new = creating(filter={"sql": "a = 1"}, rules={"large": {"sql": "amount > 1000"}})
    assert await connected(broker, subscription=new) == ()
    assert await connected(broker, subscription=new) == ()


@pytest.mark.parametrize(
    ("new", "warnings"),
    [
        ({}, ()),
        ({"lock_duration": "30s"}, ("lock_duration: configured 30 s, at the broker 60 s",)),
        (
            {"max_delivery_count": 3, "dead_letter_on_expiry": True},
            (
                "max_delivery_count: configured 3, at the broker 10",
                "dead_letter_on_expiry: configured true, at the broker false",
            ),
        ),
        (
            {"filter": {"correlation": {"subject": "debit", "properties": {"n": 1}}}},
            (
                "rule $Default: configured none, at the broker everything",
                "rule pushbridge: configured subject = 'debit', properties.n = 1, at the broker none",
            ),
        ),
        (
            {"rules": {"$Default": {"sql": "amount > 1"}}},
            ("rule $Default: configured amount > 1, at the broker everything",),
        ),
    ],
)
async def test_a_subscription_with_other_settings_is_reported_and_used_as_it_is(
    harness: ServiceBusHarness, new: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    before = harness.queue.settings
    source = harness.another(subscription=creating(**new))
    await source.connect()
    assert source.warnings == warnings
    assert harness.queue.settings == before
    await harness.publish([b"used"])
    assert bodies_of(await take(source, 1)) == [b"used"]


CREATED: list[tuple[dict[str, Any], list[str]]] = [
    ({"subscription": creating()}, ["topic 'hr'", "subscription 'bridge' of topic 'hr'"]),
    (
        {"queue": {"name": "orders", "create_if_missing": {}}, "topic": None, "subscription": None},
        ["queue 'orders'"],
    ),
]


@pytest.mark.parametrize(("changes", "entities"), CREATED)
async def test_what_is_created_is_named_in_the_log_once(
    broker: ServiceBus, changes: dict[str, Any], entities: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pushbridge")
    for _ in range(2):
        await connected(broker, **changes)
    assert [record.getMessage() for record in caplog.records if record.name == "pushbridge"] == [
        f"source hr: created {entity} at the broker" for entity in entities
    ]


async def test_a_topic_that_is_not_to_be_created_is_named_when_it_is_missing(broker: ServiceBus) -> None:
    with pytest.raises(
        TopologyError, match=r"topic 'hrr' does not exist.*topic: \{ name: hrr, create_if_missing: \{\} \}"
    ):
        await connected(broker, topic={"name": "hrr"}, subscription=creating())
    with pytest.raises(EntityNotFoundError):
        broker.create_subscription("hrr", "any")


@pytest.mark.parametrize("changes", [changes for changes, _ in CREATED])
async def test_what_is_missing_is_created_with_the_connection_string_alone(
    broker: ServiceBus, changes: dict[str, Any]
) -> None:
    alone = {"connection_string": broker.connection_string}
    assert await connected(broker, connection=alone, **changes) == ()


async def test_what_could_not_be_created_does_not_blame_its_reader(broker: ServiceBus) -> None:
    own = {"connection_string": broker.connection_string, "administration": "http://127.0.0.1:9"}
    with pytest.raises(TopologyError) as refused:
        await connected(broker, connection=own, subscription=creating())
    assert "say create_if_missing" not in str(refused.value)
    assert "administration was asked at http://127.0.0.1:9; connection.administration names" in str(refused.value)


async def test_without_create_if_missing_a_subscription_has_to_exist(broker: ServiceBus) -> None:
    with pytest.raises(TopologyError, match="does not exist; create it, or say create_if_missing"):
        await connected(broker)


async def test_what_cannot_be_created_for_want_of_a_way_to_do_so_says_why_it_is_missing(broker: ServiceBus) -> None:
    own = {"connection_string": broker.connection_string, "administration": "http://127.0.0.1:9"}
    with pytest.raises(TopologyError, match=r"does not exist.*; the subscription .* could not be checked"):
        await connected(broker, connection=own, subscription=creating())


async def test_a_filter_that_the_broker_refuses_leaves_nothing_half_made_behind(broker: ServiceBus) -> None:
    with pytest.raises(TopologyError, match="refuses to create the subscription 'bridge' of topic 'hr'"):
        await connected(broker, subscription=creating(rules={"good": {"sql": "a = 1"}, "bad": {"sql": "amount >"}}))
    with pytest.raises(EntityNotFoundError):
        broker.queue(PATH)


async def test_a_queue_with_other_settings_is_reported_and_used_as_it_is(broker: ServiceBus) -> None:
    broker.create_queue("orders", QueueSettings(max_delivery_count=4))
    queue = {"name": "orders", "create_if_missing": {}}
    warnings = await connected(broker, topic=None, subscription=None, queue=queue)
    assert warnings == ("max_delivery_count: configured 10, at the broker 4",)


async def test_sessions_of_a_subscription_that_has_none_are_a_matter_for_an_operator(broker: ServiceBus) -> None:
    broker.create_topic(TOPIC)
    broker.create_subscription(TOPIC, SUBSCRIPTION)
    with pytest.raises(TopologyError, match="sessions"):
        await connected(broker, receive={"sessions": {"max_in_flight": 1}})


async def test_a_subscription_that_requires_sessions_needs_them_configured(broker: ServiceBus) -> None:
    broker.create_topic(TOPIC)
    broker.create_subscription(TOPIC, SUBSCRIPTION, QueueSettings(requires_session=True))
    with pytest.raises(TopologyError, match="sessions"):
        await connected(broker)
