"""Messages in sections: kept as they came, batches taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus.amqp import DecodeError
from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.types import Symbol, Timestamp, UInt
from sandbox.servicebus.content import (
    APPLICATION_PROPERTIES,
    DATA,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    VALUE,
    read_batch,
    read_content,
    value_of,
)

HEAD = encode_described(HEADER, encode([True, None, UInt(1000)]))
ANNOTATIONS = encode_described(MESSAGE_ANNOTATIONS, encode({Symbol("x-opt-partition-key"): "p"}))
NAMED = encode_described(PROPERTIES, encode(["id", None, None, "subject"]))
OWN = encode_described(APPLICATION_PROPERTIES, encode({"a": UInt(1)}))
BODY = encode_described(DATA, encode(b"one")) + encode_described(DATA, encode(b"two"))
WHOLE = HEAD + ANNOTATIONS + NAMED + OWN + BODY


def test_sections_are_told_apart() -> None:
    content = read_content(WHOLE)
    assert content.time_to_live == 1000
    assert content.annotations == {"x-opt-partition-key": "p"}
    assert content.properties == {"message-id": "id", "subject": "subject"}
    assert content.application_properties == {"a": 1}
    assert content.body == BODY


def test_what_is_delivered_has_the_bare_message_byte_for_byte() -> None:
    delivered = read_content(WHOLE).encode(delivery_count=2, annotations={Symbol("x-opt-enqueued-time"): Timestamp(5)})
    assert delivered.endswith(NAMED + OWN + BODY)
    again = read_content(delivered)
    assert again.header == [True, None, 1000, None, 2]
    assert again.annotations == {"x-opt-partition-key": "p", "x-opt-enqueued-time": 5}


def test_what_is_kept_comes_back_as_it_was() -> None:
    assert read_content(read_content(WHOLE).encode_as_sent()).encode_as_sent() == WHOLE


def test_a_batch_holds_whole_messages() -> None:
    envelope = NAMED + b"".join(encode_described(DATA, encode(one)) for one in (WHOLE, OWN + BODY))
    first, second = read_batch(envelope)
    assert (first.properties["message-id"], second.properties) == ("id", {})


def test_the_value_of_a_request_is_its_body() -> None:
    assert value_of(read_content(encode_described(VALUE, encode({"k": 1})))) == {"k": 1}
    with pytest.raises(DecodeError):
        value_of(read_content(BODY))


@given(st.one_of(st.binary(), st.binary().map(lambda data: b"\x00\x53" + data), st.just(WHOLE).flatmap(
    lambda whole: st.integers(0, len(whole)).map(lambda size: whole[:size])
)))  # fmt: skip
def test_any_bytes_are_a_message_or_refused_in_our_own_words(data: bytes) -> None:
    for read in (read_content, read_batch):
        try:
            read(data)
        except DecodeError:
            continue
