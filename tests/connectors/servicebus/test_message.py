"""What the SDK received becomes a message: every kind of body, properties by their names, nothing lost in bytes."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.aio import _receiver_async
from azure.servicebus._transport import _pyamqp_transport
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Message
from connectors.servicebus.envelope import content_is_ours, decode_delivery
from connectors.servicebus.message import message_from, read_bare_message
from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.types import Symbol, Timestamp, UInt
from tests.connectors.servicebus.fields import FIELDS, UNREADABLE, application_properties, decimal_of, nested

NOTHING = encode_described(0x75, encode(b""))


def delivered(payload: bytes) -> Any:
    """What our decoder hands to the SDK."""

    async def decode() -> Any:
        return decode_delivery(memoryview(payload))

    decoding: Any = content_is_ours(decode)()
    with pytest.raises(StopIteration) as done:
        decoding.send(None)
    return done.value.value


def read(
    body: bytes = NOTHING,
    *,
    header: list[Any] | None = None,
    properties: list[Any] | None = None,
    headers: bytes = b"",
    **annotations: Any,
) -> Message:
    """A message of these sections, through the SDK; without a number, no broker has handed it out."""
    annotated = {
        Symbol(f"x-opt-{key.replace('_', '-')}"): each for key, each in ({"sequence_number": 1} | annotations).items()
    }
    payload = (
        encode_described(0x70, encode(header or []))
        + encode_described(0x72, encode(annotated))
        + (encode_described(0x73, encode(properties)) if properties is not None else b"")
        + headers
        + body
    )
    received = ServiceBusReceivedMessage(message=delivered(payload), receiver=object())
    return message_from(received, source="hr", receipt="receipt", is_lost=lambda: False)


def test_the_sdk_uses_our_decoder_for_what_it_receives_and_looks_at() -> None:
    for module in (_receiver_async, _pyamqp_transport):
        assert vars(module)["decode_payload"] is decode_delivery


def test_what_others_in_the_process_receive_is_for_the_sdk_to_decode() -> None:
    annotations = encode_described(0x72, encode({Symbol("x-opt-sequence-number"): 1}))
    assert decode_delivery(memoryview(annotations + encode_described(0x75, encode(b"body")))).data == [b"body"]


def test_a_message_carries_what_its_sender_and_the_broker_said() -> None:
    given = {"trace": "t", "count": 3, "raw": b"\xff", "DeadLetterReason": "decode"}
    message = read(
        encode_described(0x75, encode(b"a")) + encode_described(0x75, encode(b"b")),
        header=[None, None, UInt(60_000), None, UInt(2)],
        properties=[
            "m-1",
            b"u",
            None,
            "posting.debit",
            None,
            "c-1",
            Symbol("application/json"),
            *[None] * 3,
            "account-7",
        ],
        headers=encode_described(0x74, encode(given)),
        sequence_number=41,
        enqueue_sequence_number=40,
        enqueued_time=Timestamp(1_772_000_000_123),
        deadletter_source="orders",
    )
    assert (message.source, message.body, message.id, message.position) == ("hr", b"ab", "m-1", "41")
    assert (message.content_type, message.key, message.delivery_count) == ("application/json", "account-7", 3)
    assert message.enqueued_at == datetime(2026, 2, 25, 6, 13, 20, 123_000, tzinfo=UTC)
    assert message.headers == given
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
    assert message.unreadable == ""


def test_a_message_without_anything_is_a_message() -> None:
    message = read()
    assert (message.body, message.id, message.position, message.key, message.enqueued_at) == (
        b"",
        None,
        "1",
        None,
        None,
    )
    assert (message.headers, message.properties, message.delivery_count) == ({}, {"sequence_number": 1}, 1)


IDS: list[tuple[Any, str]] = [
    ("m-1", "m-1"),
    (b"m-1", "m-1"),
    (b"\xff\xfe", "\\xff\\xfe"),
    (UUID(int=7), str(UUID(int=7))),
    (UInt(7), "7"),
]


@pytest.mark.parametrize(("sent", "id"), IDS)
def test_an_id_is_text_here_and_two_stay_two(sent: Any, id: str) -> None:
    assert read(properties=[sent]).id == id


def test_a_key_and_a_content_type_that_are_no_text_are_text_here() -> None:
    odd = read(properties=[*[None] * 6, 7], partition_key=5)
    assert (odd.content_type, odd.key) == ("7", "5")


def test_a_time_that_is_no_date_is_none() -> None:
    assert read(enqueued_time=Timestamp(2**62)).enqueued_at is None


@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_an_application_property_keeps_its_value_and_type(field: bytes, value: Any) -> None:
    entries = encode("good") + encode(True) + encode("h") + field + encode("after") + encode(None)
    message = read(headers=application_properties(entries, 6))
    assert (message.headers, message.unreadable) == ({"good": True, "h": value, "after": None}, "")
    assert type(message.headers["h"]) is type(value)


@pytest.mark.parametrize(("field", "problem"), UNREADABLE)
def test_what_cannot_be_read_of_the_properties_is_named_and_the_body_is_there(field: bytes, problem: str) -> None:
    message = read(encode_described(0x75, encode(b"body")), headers=application_properties(encode("h") + field, 2))
    assert (message.body, message.unreadable) == (b"body", f"application properties: {problem}")


@pytest.mark.parametrize(("field", "problem"), UNREADABLE)
@pytest.mark.parametrize("section", [0x76, 0x77])
def test_what_cannot_be_read_of_a_body_is_named_and_kept_as_it_came(field: bytes, problem: str, section: int) -> None:
    list_of_it = b"\xd0" + (len(field) + 4).to_bytes(4) + (1).to_bytes(4) + field
    body = encode_described(section, field if section == 0x77 else list_of_it)
    message = read(body, properties=["m-1"], headers=encode_described(0x74, encode({"h": 1})))
    assert (message.body, message.id, message.headers, message.unreadable) == (
        body,
        "m-1",
        {"h": 1},
        f"body: {problem}",
    )


def test_an_annotation_of_a_sender_that_cannot_be_read_costs_nothing() -> None:
    entries = encode(Symbol("x-opt-sequence-number")) + encode(7) + encode(Symbol("deep")) + nested("map", 300)
    section = encode_described(0x72, b"\xd1" + (len(entries) + 4).to_bytes(4) + (4).to_bytes(4) + entries)
    received = ServiceBusReceivedMessage(message=delivered(section + NOTHING), receiver=object())
    message = message_from(received, source="hr", receipt="", is_lost=lambda: False)
    assert (message.position, message.unreadable) == ("7", "")


BODIES = [
    (encode_described(0x75, encode(b"one, ")) + encode_described(0x75, encode(b"two")), b"one, two"),
    (b"", b""),
    *(
        (encode_described(0x77, value), body)
        for value, body in (
            (encode(None), b""),
            (encode("text"), b"text"),
            (b"\xa1\x02\xff\xfe", b"\xff\xfe"),
            (encode(b"\x00\xff"), b"\x00\xff"),
            (encode(b"b" * 300), b"b" * 300),
            (encode(7), b"7"),
            (encode(True), b"true"),
            (encode(Timestamp(1_772_000_000_123)), b"1772000000123"),
            (encode({"a": [1, "x", b"y", None]}), b'{"a":[1,"x","y",null]}'),
            (encode(["a", b"\x00\xff"]), b'["a","AP8="]'),
            (encode(UUID(int=7)), b'"00000000-0000-0000-0000-000000000007"'),
            (decimal_of(16, 0, -2, 72050), b'"720.50"'),
            (nested("list", 63), b"[" * 63 + b"null" + b"]" * 63),
        )
    ),
    (encode_described(0x76, encode([1, "a"])) + encode_described(0x76, encode([2])), b'[[1,"a"],[2]]'),
]


@pytest.mark.parametrize(("section", "body"), BODIES)
def test_each_kind_of_body_becomes_bytes(section: bytes, body: bytes) -> None:
    message = read(section)
    assert (message.body, message.unreadable) == (body, "")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary() | st.text() | st.uuids() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(VALUES.filter(lambda value: not isinstance(value, str | bytes | None)))
def test_any_value_as_a_body_is_json(value: object) -> None:
    json.loads(read(encode_described(0x77, encode(value))).body)


@given(st.binary(max_size=200), st.sampled_from(range(0x73, 0x79)))
def test_any_bytes_are_read_without_an_exception(content: bytes, section: int) -> None:
    for payload in (content, encode_described(section, content)):
        read_bare_message(payload, 0)


def test_what_is_cut_short_is_named() -> None:
    message = read(encode_described(0x75, encode(b"body"))[:-1])
    assert message.unreadable == "body: a value ends in the middle"


def test_a_large_decimal_keeps_its_digits() -> None:
    field = decimal_of(16, 0, -4, 10**33 + 1)
    headers = read(headers=application_properties(encode("h") + field, 2)).headers
    assert str(headers["h"]) == "100000000000000000000000000000.0001"
