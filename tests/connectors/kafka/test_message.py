"""A record of Kafka as a message."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import LogPartition, Message
from connectors.kafka.message import headers_of, message_from


@dataclass(kw_only=True)
class Record:
    topic: str = "orders"
    partition: int = 3
    offset: int = 1042
    timestamp: int = 1_772_445_600_000
    key: bytes | None = b"c-9"
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes | None], ...] = ()


def message(**fields: Any) -> Message:
    return message_from(
        Record(**fields),
        source="orders",
        partition=LogPartition("orders/bridge", "orders", 3),
        receipt=None,
        is_lost=lambda: False,
        delivery_count=1,
    )


def test_where_a_record_is_identifies_it_and_its_time_tells_a_topic_that_was_made_again() -> None:
    one = message()
    assert one.id is None
    assert one.position == "orders/3/1042/1772445600000"
    assert one.offset == (LogPartition("orders/bridge", "orders", 3), 1042)
    assert one.enqueued_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert one.properties == {
        "topic": "orders",
        "partition": 3,
        "offset": 1042,
        "timestamp": "2026-03-02T10:00:00+00:00",
        "tombstone": False,
        "key": "c-9",
    }


@pytest.mark.parametrize(
    ("key", "shown", "meta"),
    [(b"", "", ""), (b"\xff\x00", "\\xff\x00", b"\xff\x00"), (b"Gr\xc3\xbc\xc3\x9fe", "Grüße", "Grüße")],
)
def test_a_key_is_text_where_it_can_be(key: bytes, shown: str, meta: object) -> None:
    one = message(key=key)
    assert (one.key, one.properties["key"]) == (shown, meta)


def test_a_record_without_key_and_value_is_a_tombstone_and_no_empty_body() -> None:
    one = message(key=None, value=None)
    assert (one.body, one.has_body, one.key, one.properties["tombstone"]) == (b"", False, None, True)
    assert "key" not in one.properties
    assert message(value=b"").has_body


@pytest.mark.parametrize("timestamp", [-1, 2**62])
def test_a_time_that_is_none_is_left_out(timestamp: int) -> None:
    one = message(timestamp=timestamp)
    assert (one.enqueued_at, one.properties["timestamp"]) == (None, None)


def test_headers_keep_their_values_and_a_repeated_name_has_them_all() -> None:
    given = [("a", b"1"), ("b", b"\xff"), ("c", None), ("a", b"2"), ("a", None)]
    assert headers_of(given) == {"a": ["1", "2", None], "b": b"\xff", "c": None}


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "contentType", "content_type"])
def test_the_content_type_is_a_header(name: str) -> None:
    assert message(headers=((name, b"application/xml"),)).content_type == "application/xml"
