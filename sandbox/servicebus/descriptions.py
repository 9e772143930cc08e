"""Entities and rules as XML, for the administration interface and for the disk.

Standard behind it: the descriptions of Azure's Service Bus REST API, with elements in the order .NET wants.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from lxml import etree

from sandbox.servicebus.amqp.types import Timestamp
from sandbox.servicebus.durations import read_duration, write_duration, write_instant
from sandbox.servicebus.errors import InvalidEntityError
from sandbox.servicebus.message import State
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.rules.rule import CorrelationFilter, FalseFilter, Filter, Rule, SqlAction, SqlFilter, TrueFilter
from sandbox.servicebus.settings import QueueSettings, Status, TopicSettings
from sandbox.servicebus.topic import Subscription, Topic

NAMESPACE = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS_NAMESPACE = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
INSTANCE_NAMESPACE = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA_NAMESPACE = "http://www.w3.org/2001/XMLSchema"
TYPE = f"{{{INSTANCE_NAMESPACE}}}type"

_STATUSES = ("Active", "Disabled", "SendDisabled", "ReceiveDisabled")
_DETAILS = (
    "MaxSizeInMegabytes", "RequiresDuplicateDetection", "DuplicateDetectionHistoryTimeWindow",
    "DeadLetteringOnFilterEvaluationExceptions", "EnableBatchedOperations", "FilteringMessagesBeforePublishing",
    "SupportOrdering", "UserMetadata", "AutoDeleteOnIdle", "EnablePartitioning", "EnableSubscriptionPartitioning",
    "EnableExpress", "MaxMessageSizeInKilobytes",
)  # fmt: skip
"""Settings that are kept and told as they came: nothing here depends on them."""

_CORRELATION = {
    "CorrelationId": "correlation-id",
    "MessageId": "message-id",
    "To": "to",
    "ReplyTo": "reply-to",
    "Label": "subject",
    "SessionId": "group-id",
    "ReplyToSessionId": "reply-to-group-id",
    "ContentType": "content-type",
}
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)


def parse_xml(text: bytes | str) -> etree._Element:
    """The root element; entities are not expanded.

    Raises: InvalidEntityError: it is not XML.
    """
    try:
        return etree.fromstring(text.encode() if isinstance(text, str) else text, _PARSER)
    except etree.XMLSyntaxError as error:
        raise InvalidEntityError(f"the description is not XML: {error}") from error


def queue_element(queue: MessageQueue) -> etree._Element:
    """A QueueDescription."""
    root = _root("QueueDescription")
    _add_queue(root, queue)
    return root


def subscription_element(subscription: Subscription) -> etree._Element:
    """A SubscriptionDescription."""
    root = _root("SubscriptionDescription")
    _add_queue(root, subscription.queue)
    return root


def topic_element(topic: Topic) -> etree._Element:
    """A TopicDescription."""
    root = _root("TopicDescription")
    _add(root, "DefaultMessageTimeToLive", write_duration(topic.settings.time_to_live))
    _add_details(root, topic.settings.details)
    _add(root, "Status", topic.settings.status)
    _add_counts(root, scheduled=len(topic.pending))
    _add(root, "SubscriptionCount", str(len(topic.subscriptions)))
    return root


def rule_element(rule: Rule) -> etree._Element:
    """A RuleDescription."""
    root = _root("RuleDescription")
    filter_ = _add(root, "Filter")
    match rule.filter:
        case SqlFilter() as sql:
            _add_sql(filter_, "SqlFilter", sql.expression, sql.parameters)
        case CorrelationFilter() as correlation:
            filter_.set(TYPE, "CorrelationFilter")
            for element, name in _CORRELATION.items():
                if name in correlation.system:
                    _add(filter_, element, correlation.system[name])
            _add_values(filter_, "Properties", correlation.user)
        case FalseFilter():
            _add_sql(filter_, "FalseFilter", "1=0", {})
        case _:
            _add_sql(filter_, "TrueFilter", "1=1", {})
    action = _add(root, "Action")
    if rule.action is None:
        action.set(TYPE, "EmptyRuleAction")
    else:
        _add_sql(action, "SqlRuleAction", rule.action.expression, rule.action.parameters)
    _add(root, "Name", rule.name)
    return root


def write_queue(queue: MessageQueue) -> str:
    """As text."""
    return etree.tostring(queue_element(queue), encoding="unicode")


def write_subscription(subscription: Subscription) -> str:
    """As text."""
    return etree.tostring(subscription_element(subscription), encoding="unicode")


def write_topic(topic: Topic) -> str:
    """As text."""
    return etree.tostring(topic_element(topic), encoding="unicode")


def write_rule(rule: Rule) -> str:
    """As text."""
    return etree.tostring(rule_element(rule), encoding="unicode")


def read_queue(text: str) -> QueueSettings:
    """Settings out of text. Raises: InvalidEntityError."""
    return queue_settings(parse_xml(text))


def read_topic(text: str) -> TopicSettings:
    """Settings out of text. Raises: InvalidEntityError."""
    return topic_settings(parse_xml(text))


def read_rule(text: str) -> Rule:
    """A rule out of text. Raises: InvalidEntityError."""
    return rule_of(parse_xml(text))


def queue_settings(element: etree._Element) -> QueueSettings:
    """The settings in a QueueDescription or SubscriptionDescription. Raises: InvalidEntityError."""
    return queue_settings_from(_values(element))


def queue_settings_from(values: Mapping[str, str]) -> QueueSettings:
    """Settings by the names of their elements; what is missing has its default. Raises: InvalidEntityError."""
    defaults = QueueSettings()
    lock_duration = read_duration(values.get("LockDuration", write_duration(defaults.lock_duration)))
    if lock_duration is None:
        raise InvalidEntityError("LockDuration cannot be for ever")
    return QueueSettings(
        lock_duration=lock_duration,
        max_delivery_count=_integer("MaxDeliveryCount", values.get("MaxDeliveryCount", "10")),
        time_to_live=_time_to_live(values),
        dead_letter_on_expiration=values.get("DeadLetteringOnMessageExpiration") == "true",
        requires_session=values.get("RequiresSession") == "true",
        status=_status(values),
        details=_details(values),
    )


def topic_settings(element: etree._Element) -> TopicSettings:
    """The settings in a TopicDescription. Raises: InvalidEntityError."""
    return topic_settings_from(_values(element))


def topic_settings_from(values: Mapping[str, str]) -> TopicSettings:
    """As with queues. Raises: InvalidEntityError."""
    return TopicSettings(time_to_live=_time_to_live(values), status=_status(values), details=_details(values))


def rule_of(element: etree._Element, *, name: str = "") -> Rule:
    """The rule in a RuleDescription, under its own name unless another is given. Raises: InvalidEntityError."""
    filter_ = element.find(f"{{{NAMESPACE}}}Filter")
    action = element.find(f"{{{NAMESPACE}}}Action")
    sql = None if action is None else action.findtext(f"{{{NAMESPACE}}}SqlExpression")
    return Rule(
        name=name or element.findtext(f"{{{NAMESPACE}}}Name", ""),
        filter=TrueFilter() if filter_ is None else _filter_of(filter_),
        action=None if sql is None or action is None else SqlAction(sql, _read_values(action, "Parameters")),
    )


def correlation_filter_from(values: Mapping[str, str], properties: dict[str, Any]) -> CorrelationFilter:
    """A filter by the names of its elements, and of the application properties it asks for."""
    system = {name: values[element] for element, name in _CORRELATION.items() if values.get(element)}
    return CorrelationFilter(system=system, user=properties)


def _filter_of(element: etree._Element) -> Filter:
    kind = element.get(TYPE, "").rpartition(":")[2]
    match kind:
        case "TrueFilter":
            return TrueFilter()
        case "FalseFilter":
            return FalseFilter()
        case "SqlFilter":
            expression = element.findtext(f"{{{NAMESPACE}}}SqlExpression", "")
            return SqlFilter(expression, _read_values(element, "Parameters"))
        case "CorrelationFilter":
            return correlation_filter_from(_values(element), _read_values(element, "Properties"))
    raise InvalidEntityError(f"a filter is a TrueFilter, FalseFilter, SqlFilter or CorrelationFilter, not {kind!r}")


def _root(name: str) -> etree._Element:
    namespaces: Any = {None: NAMESPACE, "i": INSTANCE_NAMESPACE}  # None is the default namespace, which stubs deny
    return etree.Element(f"{{{NAMESPACE}}}{name}", nsmap=namespaces)


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    child.text = text
    return child


def _add_queue(root: etree._Element, queue: MessageQueue) -> None:
    settings = queue.settings
    _add(root, "LockDuration", write_duration(settings.lock_duration))
    _add(root, "RequiresSession", _boolean(settings.requires_session))
    _add(root, "DefaultMessageTimeToLive", write_duration(settings.time_to_live))
    _add(root, "DeadLetteringOnMessageExpiration", _boolean(settings.dead_letter_on_expiration))
    _add(root, "MessageCount", str(len(queue) + len(queue.dead_letters or ())))
    _add(root, "MaxDeliveryCount", str(settings.max_delivery_count))
    _add_details(root, settings.details)
    _add(root, "Status", settings.status)
    _add_counts(
        root,
        active=queue.count(State.ACTIVE) + queue.count(State.DEFERRED),
        dead=len(queue.dead_letters or ()),
        scheduled=queue.count(State.SCHEDULED),
    )


def _add_counts(root: etree._Element, *, active: int = 0, dead: int = 0, scheduled: int = 0) -> None:
    counts = _add(root, "CountDetails")
    for name, count in (
        ("ActiveMessageCount", active),
        ("DeadLetterMessageCount", dead),
        ("ScheduledMessageCount", scheduled),
        ("TransferMessageCount", 0),
        ("TransferDeadLetterMessageCount", 0),
    ):
        etree.SubElement(counts, f"{{{COUNTS_NAMESPACE}}}{name}").text = str(count)


def _add_details(root: etree._Element, details: Mapping[str, str]) -> None:
    for name in _DETAILS:
        if name in details:
            _add(root, name, details[name])


def _add_sql(element: etree._Element, kind: str, expression: str, parameters: Mapping[str, Any]) -> None:
    element.set(TYPE, kind)
    _add(element, "SqlExpression", expression)
    _add(element, "CompatibilityLevel", "20")
    _add_values(element, "Parameters", parameters)


def _add_values(parent: etree._Element, name: str, values: Mapping[str, Any]) -> None:
    if not values:
        return
    element = _add(parent, name)
    for key, value in values.items():
        pair = _add(element, "KeyValueOfstringanyType")
        _add(pair, "Key", key)
        kind, text = _typed(value)
        child = etree.SubElement(pair, f"{{{NAMESPACE}}}Value", nsmap={"d6p1": SCHEMA_NAMESPACE})
        child.set(TYPE, f"d6p1:{kind}")
        child.text = text


def _typed(value: Any) -> tuple[str, str]:
    match value:
        case bool():
            return "boolean", _boolean(value)
        case Timestamp():
            return "dateTime", write_instant(value)
        case int():
            return ("int" if abs(value) < 2**31 else "long"), str(value)
        case float():
            return "double", repr(value)
        case timedelta():
            return "duration", write_duration(round(value.total_seconds() * 1000))
    return "string", str(value)


def _read_values(parent: etree._Element, name: str) -> dict[str, Any]:
    element = parent.find(f"{{{NAMESPACE}}}{name}")
    if element is None:
        return {}
    values = {}
    for pair in element:
        value = pair.find(f"{{{NAMESPACE}}}Value")
        if value is None:
            raise InvalidEntityError(f"a pair in {name} has no Value")
        kind = value.get(TYPE, "").rpartition(":")[2]
        values[pair.findtext(f"{{{NAMESPACE}}}Key", "")] = _read_typed(kind, value.text or "")
    return values


def _read_typed(kind: str, text: str) -> Any:
    try:
        match kind:
            case "int" | "long" | "short" | "byte":
                return int(text)
            case "double" | "float":
                return float(text)
            case "boolean":
                return text == "true"
            case "dateTime":
                moment = datetime.fromisoformat(text)
                moment = moment.replace(tzinfo=moment.tzinfo or UTC)
                return Timestamp(round(moment.timestamp() * 1000))  # as a message brings it
            case "duration":
                return timedelta(milliseconds=read_duration(text) or 0)
    except ValueError as error:
        raise InvalidEntityError(f"{text!r} is no {kind}") from error
    return text


def _values(element: etree._Element) -> dict[str, str]:
    """The text of each child by its plain name."""
    return {etree.QName(child).localname: child.text or "" for child in element if isinstance(child.tag, str)}


def _details(values: Mapping[str, str]) -> dict[str, str]:
    for name in ("ForwardTo", "ForwardDeadLetteredMessagesTo"):
        if values.get(name):
            raise InvalidEntityError(f"{name} is not offered here: messages are not forwarded")
    if values.get("RequiresDuplicateDetection") == "true":
        raise InvalidEntityError("RequiresDuplicateDetection is not offered here: duplicates are delivered")
    return {name: values[name] for name in _DETAILS if values.get(name)}


def _status(values: Mapping[str, str]) -> Status:
    status = values.get("Status") or "Active"
    if status not in _STATUSES:
        raise InvalidEntityError(f"Status is one of {', '.join(_STATUSES)}, not {status!r}")
    return cast(Status, status)


def _time_to_live(values: Mapping[str, str]) -> int | None:
    text = values.get("DefaultMessageTimeToLive")
    return read_duration(text) if text else None


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise InvalidEntityError(f"{name} is a whole number, not {text!r}")
    return int(text)


def _boolean(value: bool) -> str:
    return "true" if value else "false"
