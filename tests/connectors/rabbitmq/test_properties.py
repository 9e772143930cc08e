"""Properties and headers keep value and type; what cannot be read is named, and never raises."""

import struct
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.rabbitmq.properties import read_properties
from tests.brokers.raw_amqp import entry, short, table, with_headers, with_properties
from tests.connectors.rabbitmq.fields import FIELDS, NAMES, REFUSED_BY_RABBITMQ, UNREADABLE

GOOD = entry("good", b"t\x01")


@pytest.mark.parametrize(("field", "value"), [*FIELDS, *REFUSED_BY_RABBITMQ])
def test_a_header_keeps_its_value_and_type(field: bytes, value: Any) -> None:
    read = read_properties(with_headers(GOOD + entry("h", field) + entry("after", b"V")))
    assert read.headers == {"good": True, "h": value, "after": None}
    assert type(read.headers["h"]) is type(value)
    assert read.unreadable == ""


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_any_name_is_text(name: str | bytes, shown: str) -> None:
    assert read_properties(with_headers(entry(name, b"t\x01"))).headers == {shown: True}


@pytest.mark.parametrize(("field", "problem"), UNREADABLE)
def test_what_cannot_be_read_is_named_and_the_rest_is_read(field: bytes, problem: str) -> None:
    headers = table(GOOD + entry("h", field))
    read = read_properties(struct.pack(">H", 1 << 13 | 1 << 7) + headers + short("m-1"))
    assert read.headers["good"] is True
    assert (read.unreadable, read.values) == (problem, {"message_id": "m-1"})


def test_a_frame_that_is_cut_short_is_named_and_its_beginning_read() -> None:
    frame = with_properties({15: short("text/plain"), 7: short("m-1")})
    read = read_properties(frame[:-2])
    assert read.values == {"content_type": "text/plain"}
    assert read.unreadable == f"the properties end in the middle of a value, after {len(frame) - 2} bytes"


def test_all_properties_are_what_the_client_library_writes() -> None:
    properties: dict[str, Any] = {
        "content_type": "a/b", "content_encoding": "gzip", "delivery_mode": 2, "priority": 255, "correlation_id": "c",
        "reply_to": "r", "expiration": "60000", "message_id": "m", "timestamp": 2**64 - 1, "type": "t", "user_id": "u",
        "app_id": "a", "cluster_id": "k",
    }  # fmt: skip
    frame = b"".join(pika.BasicProperties(headers={"h": 1}, **properties).encode())
    read = read_properties(frame)
    assert (read.values, read.headers, read.unreadable) == (properties, {"h": 1}, "")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(frame: bytes) -> None:
    for bytes_ in (frame, with_headers(frame), with_headers(entry("h", frame))):
        read_properties(bytes_)
