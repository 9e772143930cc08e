"""What the SDK received becomes a message: every kind of body, properties by their names, nothing lost in bytes."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.message import Header, Message, Properties
from hypothesis import given
from hypothesis import strategies as st

from connectors.servicebus.message import body_of, message_from, plain


def received(**sections: Any) -> ServiceBusReceivedMessage:
    """As the SDK makes it of the sections that the wire brought; text is bytes there."""
    return ServiceBusReceivedMessage(message=Message(**sections), receiver=object())


def read(**sections: Any) -> Any:
    return message_from(received(**sections), source="hr", receipt="receipt", is_lost=lambda: False)


def test_a_message_carries_what_its_sender_and_the_broker_said() -> None:
    message = read(
        data=[b"a", b"b"],
        header=Header(delivery_count=2, ttl=60_000),
        properties=Properties(
            message_id=b"m-1",
            subject=b"posting.debit",
            correlation_id=b"c-1",
            content_type=b"application/json",
            group_id=b"account-7",
        ),
        application_properties={b"trace": b"t", b"count": 3, b"raw": b"\xff", b"DeadLetterReason": b"decode"},
        message_annotations={
            b"x-opt-sequence-number": 41,
            b"x-opt-enqueue-sequence-number": 40,
            b"x-opt-enqueued-time": 1_772_000_000_123,
            b"x-opt-deadletter-source": b"orders",
        },
    )
    assert (message.source, message.body, message.id, message.position) == ("hr", b"ab", "m-1", "41")
    assert (message.content_type, message.key, message.delivery_count) == ("application/json", "account-7", 3)
    assert message.enqueued_at == datetime(2026, 2, 25, 6, 13, 20, 123_000, tzinfo=UTC)
    assert message.headers == {"trace": "t", "count": 3, "raw": "\ufffd", "DeadLetterReason": "decode"}
    assert message.properties == {
        "message_id": "m-1",
        "subject": "posting.debit",
        "correlation_id": "c-1",
        "content_type": "application/json",
        "session_id": "account-7",
        "sequence_number": 41,
        "enqueued_sequence_number": 40,
        "enqueued_time": "2026-02-25T06:13:20.123000+00:00",
        "dead_letter_source": "orders",
        "dead_letter_reason": "decode",
        "time_to_live": 60.0,
    }


def test_a_message_without_anything_is_a_message() -> None:
    message = read(data=[b""])
    assert (message.body, message.id, message.position, message.key, message.enqueued_at) == (
        b"",
        None,
        None,
        None,
        None,
    )
    assert (message.headers, message.properties, message.delivery_count) == ({}, {}, 1)


def test_an_id_that_is_no_text_is_one_here() -> None:
    number = uuid.UUID(int=7)
    assert read(data=[b""], properties=Properties(message_id=number)).id == str(number)


def test_a_key_and_a_content_type_that_are_no_text_are_text_here() -> None:
    number: Any = 7
    odd = read(data=[b""], properties=Properties(content_type=number), message_annotations={b"x-opt-partition-key": 5})
    assert (odd.content_type, odd.key) == ("7", "5")


def test_a_time_that_is_no_date_is_none() -> None:
    assert read(data=[b""], message_annotations={b"x-opt-enqueued-time": 10**20}).enqueued_at is None


@pytest.mark.parametrize(
    ("sections", "body"),
    [
        ({"data": [b"one"]}, b"one"),
        ({"data": [b"one, ", b"two"]}, b"one, two"),
        ({"value": None}, b""),
        ({"value": b"text, which AMQP brings as bytes"}, b"text, which AMQP brings as bytes"),
        ({"value": "text"}, b"text"),
        ({"value": 7}, b"7"),
        ({"value": True}, b"true"),
        ({"value": {b"a": [1, b"x", None]}}, b'{"a":[1,"x",null]}'),
        ({"value": [b"a", 1]}, b'["a",1]'),
        ({"value": [b"a", b"b"]}, b'["a","b"]'),
        ({"value": uuid.UUID(int=7)}, b'"00000000-0000-0000-0000-000000000007"'),
        ({"sequence": [[1, b"a"], [2]]}, b'[[1,"a"],[2]]'),
    ],
)
def test_each_kind_of_body_becomes_bytes(sections: Mapping[str, Any], body: bytes) -> None:
    assert read(**sections).body == body


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary() | st.uuids() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.binary(), inner),
)


@given(VALUES)
def test_any_value_becomes_plain_data(value: object) -> None:
    orjson.loads(orjson.dumps(plain(value), option=orjson.OPT_NON_STR_KEYS))


@given(VALUES.filter(lambda value: not isinstance(value, bytes | None)))
def test_any_value_as_a_body_is_json(value: object) -> None:
    orjson.loads(body_of(received(value=value)))


def test_a_decimal_keeps_its_digits() -> None:
    assert plain({b"amount": Decimal("720.50")}) == {"amount": "720.50"}
