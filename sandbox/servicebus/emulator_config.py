"""Entities out of the file that Microsoft's emulator reads at its start (`Config.json`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from sandbox.servicebus.descriptions import correlation_filter_from, queue_settings_from, topic_settings_from
from sandbox.servicebus.errors import EntityNotFoundError, InvalidEntityError
from sandbox.servicebus.namespace import Namespace
from sandbox.servicebus.rules.rule import DEFAULT_RULE, Filter, Rule, SqlAction, SqlFilter


def create_entities(namespace: Namespace, config: Path) -> None:
    """Create what the file describes and is not there yet; what is there is left as it is.

    Raises: OSError: the file cannot be read; InvalidEntityError: it is not what the emulator reads.
    """
    try:
        described = orjson.loads(config.read_bytes())["UserConfig"]["Namespaces"]
        for one in described:
            _create_queues(namespace, one.get("Queues") or ())
            _create_topics(namespace, one.get("Topics") or ())
    except orjson.JSONDecodeError as error:
        raise InvalidEntityError(f"{config} is not a configuration of the emulator: it is no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidEntityError(
            f"{config} is not a configuration of the emulator: write UserConfig, in it Namespaces, a list ({error})"
        ) from error


def _create_queues(namespace: Namespace, queues: Any) -> None:
    for queue in queues:
        try:
            namespace.queue(queue["Name"])
        except EntityNotFoundError:
            namespace.create_queue(queue["Name"], queue_settings_from(_texts(queue)))


def _create_topics(namespace: Namespace, topics: Any) -> None:
    for topic in topics:
        name = topic["Name"]
        try:
            namespace.topic(name)
        except EntityNotFoundError:
            namespace.create_topic(name, topic_settings_from(_texts(topic)))
        for subscription in topic.get("Subscriptions") or ():
            _create_subscription(namespace, name, subscription)


def _create_subscription(namespace: Namespace, topic: str, described: Mapping[str, Any]) -> None:
    name = described["Name"]
    try:
        namespace.subscription(topic, name)
    except EntityNotFoundError:
        rules = [_rule(rule) for rule in described.get("Rules") or ()] or [Rule(name=DEFAULT_RULE)]
        namespace.create_subscription(topic, name, queue_settings_from(_texts(described)), rules[0])
        for rule in rules[1:]:
            namespace.create_rule(topic, name, rule)


def _rule(described: Mapping[str, Any]) -> Rule:
    properties = described["Properties"]
    action = properties.get("Action")
    return Rule(
        name=described["Name"],
        filter=_filter(properties),
        action=SqlAction(action["SqlExpression"]) if action else None,
    )


def _filter(properties: Mapping[str, Any]) -> Filter:
    if properties["FilterType"] == "Sql":
        return SqlFilter(properties["SqlFilter"]["SqlExpression"])
    correlation = properties["CorrelationFilter"]
    return correlation_filter_from(correlation, correlation.get("Properties") or {})


def _texts(described: Mapping[str, Any]) -> dict[str, str]:
    """The properties as the texts they are in XML."""
    properties = described.get("Properties") or {}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in properties.items()}
