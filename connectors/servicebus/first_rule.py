"""The rule that a subscription is created with, as XML: the SDK can name none, though the service takes one.

Standard behind it: `DefaultRuleDescription` of Azure's Service Bus REST API, in the place where .NET's client puts it.
"""

from collections.abc import Mapping
from xml.sax.saxutils import escape

from connectors.servicebus.settings import Correlation, Filter

_BEFORE = b"<MaxDeliveryCount>"
"""The service wants elements in order; ours comes right before this one, which is always sent."""

_FIELDS = {
    "CorrelationId": "correlation_id",
    "MessageId": "message_id",
    "To": "to",
    "ReplyTo": "reply_to",
    "Label": "subject",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "ContentType": "content_type",
}


def with_first_rule(description: bytes, rule: str) -> bytes:
    """A request to create a subscription, with this rule instead of one that lets everything through."""
    before, found, after = description.partition(_BEFORE)
    assert found
    return before + rule.encode() + found + after


def first_rule(name: str, wanted: Filter) -> str:
    """The element that describes the rule; it lies in the namespace of what is around it."""
    kind, inside = ("SqlFilter", _sql(wanted.sql)) if wanted.sql else ("CorrelationFilter", _fields(wanted.correlation))
    return (
        '<DefaultRuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        f'<Filter i:type="{kind}">{inside}</Filter><Action i:type="EmptyRuleAction" />{_element("Name", name)}'
        "</DefaultRuleDescription>"
    )


def _sql(expression: str) -> str:
    return _element("SqlExpression", expression) + _element("CompatibilityLevel", "20")


def _fields(correlation: Correlation | None) -> str:
    assert correlation is not None  # one of the two is there
    given = {element: getattr(correlation, field) for element, field in _FIELDS.items()}
    fields = "".join(_element(element, value) for element, value in given.items() if value is not None)
    return fields + (f"<Properties>{_pairs(correlation.properties)}</Properties>" if correlation.properties else "")


def _pairs(properties: Mapping[str, bool | int | float | str]) -> str:
    return "".join(
        f"<KeyValueOfstringanyType>{_element('Key', key)}"
        f'<Value i:type="d:{_type(value)}" xmlns:d="http://www.w3.org/2001/XMLSchema">{escape(_text(value))}</Value>'
        "</KeyValueOfstringanyType>"
        for key, value in properties.items()
    )


def _type(value: bool | int | float | str) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "int" if -(2**31) <= value < 2**31 else "long"
        case float():
            return "double"
    return "string"


def _text(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"
