"""Change events of Debezium, in bodies as its server and Kafka Connect write them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import decoder_for
from bridge.decode.base import Decoded, DecodeSettings
from bridge.errors import EventError, Reason
from connectors.base import Message

REQUESTS = Path(__file__).parents[2] / "docs" / "cookbook" / "debezium" / "requests"
decode = decoder_for(DecodeSettings(format="debezium"))


def recorded(name: str) -> bytes:
    return (REQUESTS / f"{name}.json").read_bytes()


def decoded(body: Any, **changes: Any) -> Decoded:
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(Message(source="db", body=written, **changes))


def changed(**members: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(recorded("update"))
    return event | members


def test_an_update_has_both_rows_and_the_columns_that_differ() -> None:
    event = decoded(recorded("update"))
    after = {"id": 7, "customer_id": "c9", "state": "shipped"}
    assert event.data == {
        "op": "updated",
        "database": "shop",
        "schema": "public",
        "table": "orders",
        "before": {"id": 7, "customer_id": "c9", "state": "paid"},
        "after": after,
        "row": after,
        "changed": ["state"],
    }
    assert (event.source, event.type, event.subject) == ("/postgresql/shop", "row.updated", "public.orders")
    assert event.time == datetime(2026, 3, 2, 20, 50, 0, 123000, tzinfo=UTC)


def test_the_schema_of_the_value_and_a_second_delivery_make_no_other_event() -> None:
    assert decoded(recorded("update-with-schema")).id == decoded(recorded("update")).id


@pytest.mark.parametrize(
    "other",
    [
        {"op": "c"},
        {"after": {"id": 7, "customer_id": "c9", "state": "lost"}},
        {"source": {"lsn": 1}},
        {"before": None},
        {"after": {"id": 12345678901234567890123}},
    ],
)
def test_another_change_is_another_event(other: dict[str, Any]) -> None:
    assert decoded(changed(**other)).id != decoded(recorded("update")).id


def test_a_deleted_row_is_the_one_before() -> None:
    event = decoded(recorded("delete"))
    assert (event.type, event.data["row"]["state"], event.data["changed"]) == ("row.deleted", "shipped", [])


@pytest.mark.parametrize(
    "body, type",
    [
        (recorded("heartbeat"), "heartbeat"),
        ({"status": "BEGIN", "id": "571", "ts_ms": 1}, "transaction"),
        (
            {"source": {}, "ts_ms": 1, "databaseName": "shop", "ddl": "ALTER TABLE x", "tableChanges": []},
            "schema.changed",
        ),
        (changed(op="t", before=None, after=None), "row.truncated"),
        (changed(op="m", message={"prefix": "a", "content": "eA=="}), "row.message"),
    ],
)
def test_what_is_no_change_of_a_row_is_an_event_too(body: Any, type: str) -> None:
    assert decoded(body).type == type


def test_a_tombstone_of_kafka_is_an_event_without_data() -> None:
    event = decoded(b"", has_body=False)
    assert (event.type, event.data, event.id) == ("row.tombstone", None, None)


@pytest.mark.parametrize(
    "body, complaint",
    [
        (b"[]", "no change event of Debezium"),
        (b"", "not JSON"),
        ({"payload": None, "schema": None}, "no change event of Debezium"),
        ({"id": 7, "state": "paid"}, "there is no op; decode.format: json"),
        ({}, "there is no op"),
        (changed(op="x"), "none of c, u, d, r, t and m"),
        (changed(op=["c"]), "none of c, u, d, r, t and m"),
        (changed(source=None), "without a source"),
    ],
)
def test_another_body_is_refused_in_words(body: Any, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        decoded(body)
    assert raised.value.reason is Reason.DECODE


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: _VALUES | st.sampled_from(["c", "u", "r"])
            for name in ("op", "source", "before", "after", "payload", "schema", "ts_ms", "ddl", "message")
        },
    )
)
def test_any_envelope_is_read_or_refused_in_our_words(envelope: dict[str, Any]) -> None:
    for body in (
        envelope,
        envelope | {"op": "u", "source": {"ts_ms": envelope.get("ts_ms"), "db": envelope.get("ddl")}},
    ):
        try:
            decoded(json.dumps(body).encode())
        except EventError:
            continue
