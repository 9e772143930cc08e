"""Topics, subscriptions, queues and rules: created if missing, compared if present, never altered.

What an administration client is refused, for want of rights or of a way there, is no error: whether the entity can be
received from is for its receiver to find out.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from azure.core.exceptions import AzureError, DeserializationError, ResourceExistsError, ResourceNotFoundError
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.management import CorrelationRuleFilter, SqlRuleFilter, TrueRuleFilter

from connectors.errors import TopologyError
from connectors.logs import entity_created
from connectors.servicebus.client import described_administration, letting_go
from connectors.servicebus.first_rule import first_rule
from connectors.servicebus.settings import Correlation, Filter, NewQueue, NewSubscription, ServiceBusSettings, Topic

DEFAULT_RULE = "$Default"
"""The rule that every subscription is created with: it lets everything through."""

FILTER_RULE = "pushbridge"
"""The rule that `filter` becomes."""

_CORRELATION = {
    "correlation_id": "correlation_id",
    "message_id": "message_id",
    "to": "to",
    "reply_to": "reply_to",
    "subject": "label",  # its name before AMQP 1.0
    "session_id": "session_id",
    "reply_to_session_id": "reply_to_session_id",
    "content_type": "content_type",
}


async def ensure(
    administration: ServiceBusAdministrationClient, settings: ServiceBusSettings, *, source: str
) -> tuple[str, ...]:
    """See to it that the entity is there, and return what is different about it, or why that is not known.

    A log line names what is created for `source`.

    Raises: TopologyError: the broker refuses to create what is missing, or the topic is missing and not to be created.
    """
    new = settings.create_if_missing
    if new is None:
        return ()
    try:
        with letting_go():
            if settings.queue is not None:
                assert isinstance(new, NewQueue)
                return await _ensure_queue(administration, source, settings.queue.name, new)
            assert isinstance(new, NewSubscription)
            assert settings.topic is not None
            assert settings.subscription is not None
            return await _ensure_subscription(administration, source, settings.topic, settings.subscription.name, new)
    except (AzureError, DeserializationError) as error:
        reason = str(error).partition("\n")[0][:300]
        if getattr(error, "status_code", None) == 400:
            raise TopologyError(f"the broker refuses to create the {settings.path}: {reason}") from error
        where = described_administration(settings.connection)
        return (
            f"the {settings.path} could not be checked and is used as it is: {reason}"
            f" (administration was asked at {where}; connection.administration names another address)",
        )


async def _ensure_queue(
    administration: ServiceBusAdministrationClient, source: str, name: str, new: NewQueue
) -> tuple[str, ...]:
    try:
        present = await administration.get_queue(name)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # another process was quicker
            await administration.create_queue(name, **_properties(new))
            entity_created(source, f"queue {name!r}")
            return ()
        present = await administration.get_queue(name)
    return tuple(_differences(new, present))


async def _ensure_subscription(
    administration: ServiceBusAdministrationClient, source: str, wanted: Topic, name: str, new: NewSubscription
) -> tuple[str, ...]:
    topic = wanted.name
    try:
        present = await administration.get_subscription(topic, name)
    except ResourceNotFoundError:
        await _ensure_topic(administration, source, wanted)
        with suppress(ResourceExistsError):
            await _create_subscription(administration, topic, name, new)
            entity_created(source, f"subscription {name!r} of topic {topic!r}")
            return ()
        present = await administration.get_subscription(topic, name)
    rules = {rule.name: rule.filter async for rule in administration.list_rules(topic, name)}
    return (*_differences(new, present), *_rule_differences(new, rules))


async def _ensure_topic(administration: ServiceBusAdministrationClient, source: str, topic: Topic) -> None:
    """Raises: TopologyError: it is missing, and not to be created."""
    try:
        await administration.get_topic(topic.name)
    except ResourceNotFoundError:
        if topic.create_if_missing is None:
            raise TopologyError(
                f"topic {topic.name!r} does not exist; is it spelt right? create it, or write"
                f" topic: {{ name: {topic.name}, create_if_missing: {{}} }}"
            ) from None
        with suppress(ResourceExistsError):  # another process was quicker
            await administration.create_topic(topic.name)
            entity_created(source, f"topic {topic.name!r}")


async def _create_subscription(
    administration: ServiceBusAdministrationClient, topic: str, name: str, new: NewSubscription
) -> None:
    """Create it, and let through what its rules say only, from the first moment on and also when a step fails.

    So it is created with its first rule in the place of `$Default`, which is removed where a broker knows no better.
    A subscription that cannot be completed is removed.
    """
    wanted = _wanted_rules(new)
    properties = _properties(new)
    if wanted:
        properties["first_rule"] = first_rule(*next(iter(wanted.items())))
    await administration.create_subscription(topic, name, **properties)
    try:
        present = {rule.name async for rule in administration.list_rules(topic, name)}
        for rule, each in wanted.items():
            if rule not in present:
                await administration.create_rule(topic, name, rule, filter=_rule_filter(each))
        if wanted and DEFAULT_RULE in present - wanted.keys():
            await administration.delete_rule(topic, name, DEFAULT_RULE)
    except BaseException:
        await administration.delete_subscription(topic, name)
        raise


def _properties(new: NewQueue | NewSubscription) -> dict[str, Any]:
    return {
        "lock_duration": timedelta(seconds=new.lock_duration),
        "max_delivery_count": new.max_delivery_count,
        "dead_lettering_on_message_expiration": new.dead_letter_on_expiry,
        "requires_session": new.requires_session,
    }


def _differences(new: NewQueue | NewSubscription, present: Any) -> Iterator[str]:
    sides = (
        ("lock_duration", f"{new.lock_duration:g} s", f"{present.lock_duration.total_seconds():g} s"),
        ("max_delivery_count", new.max_delivery_count, present.max_delivery_count),
        ("dead_letter_on_expiry", new.dead_letter_on_expiry, present.dead_lettering_on_message_expiration),
        ("requires_session", new.requires_session, present.requires_session),
    )
    for setting, ours, theirs in sides:
        if ours != theirs:
            yield f"{setting}: configured {_shown(ours)}, at the broker {_shown(theirs)}"


def _rule_differences(new: NewSubscription, present: Mapping[str, Any]) -> Iterator[str]:
    wanted = {name: _rule_filter(each) for name, each in _wanted_rules(new).items()} or {DEFAULT_RULE: TrueRuleFilter()}
    for name in sorted(wanted.keys() | present.keys()):
        ours = _described(wanted[name]) if name in wanted else "none"
        theirs = _described(present[name]) if name in present else "none"
        if ours != theirs:
            yield f"rule {name}: configured {ours}, at the broker {theirs}"


def _wanted_rules(new: NewSubscription) -> Mapping[str, Filter]:
    """By name; without any, all messages come."""
    return {**({} if new.filter is None else {FILTER_RULE: new.filter}), **new.rules}


def _rule_filter(wanted: Filter) -> SqlRuleFilter | CorrelationRuleFilter:
    if wanted.sql is not None:
        return SqlRuleFilter(wanted.sql)
    correlation: Correlation | None = wanted.correlation
    assert correlation is not None
    fields: dict[str, Any] = {theirs: getattr(correlation, ours) for ours, theirs in _CORRELATION.items()}
    return CorrelationRuleFilter(properties=dict(correlation.properties) or None, **fields)


def _described(rule_filter: Any) -> str:
    """A filter in words that are equal if the filters are; parameters and actions are not configured here."""
    if isinstance(rule_filter, CorrelationRuleFilter):
        fields = {ours: getattr(rule_filter, theirs) for ours, theirs in _CORRELATION.items()}
        conditions = [f"{name} = {value!r}" for name, value in fields.items() if value is not None]
        properties = sorted((rule_filter.properties or {}).items())
        return ", ".join([*conditions, *(f"properties.{name} = {value!r}" for name, value in properties)])
    if isinstance(rule_filter, TrueRuleFilter):
        return "everything"
    return str(getattr(rule_filter, "sql_expression", type(rule_filter).__name__))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
