"""Bodies of Avro, by their schema in a registry: what rules get, and what hostile bodies and schemas cost."""

import io
import json
import struct
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import decoder_for
from bridge.decode.avro import AvroSchema
from bridge.decode.base import DecodeSettings
from bridge.errors import EventError, Reason
from bridge.schemas.registry import RegisteredSchema
from bridge.schemas.settings import RegistrySettings
from connectors.base import Message
from sandbox.schema_registry import framed

REGISTRY = RegistrySettings.model_validate({"url": "http://127.0.0.1:1"})
NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


class Known:
    """Schemas that were looked up."""

    def __init__(self, schemas: Mapping[int, RegisteredSchema]) -> None:
        self._schemas = schemas

    def get(self, id: int) -> RegisteredSchema | None:
        return self._schemas.get(id)

    def why_missing(self, id: int) -> str:
        return f"no schema {id} yet"


def registered(schema: Any, *, references: Mapping[str, Any] | None = None, kind: str = "AVRO") -> RegisteredSchema:
    others = tuple((name, json.dumps(each)) for name, each in (references or {}).items())
    return RegisteredSchema(id=7, kind=kind, text=json.dumps(schema), references=others)


def compiled(schema: Any, **changes: Any) -> AvroSchema:
    return AvroSchema(registered(schema, **changes))


def encoded(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}


def read(schema: Any, value: Any) -> Any:
    return compiled(schema).read(encoded(schema, value))


def settings(format_: str = "avro", schema: RegisteredSchema | None = None, **changes: Any) -> DecodeSettings:
    known = Known({} if schema is None else {7: schema})
    return DecodeSettings(format=format_, registry=REGISTRY, schemas=known, **changes)


def refused(schema: Any, content: bytes) -> EventError:
    with pytest.raises(EventError) as caught:
        compiled(schema).read(content)
    return caught.value


def test_a_record_is_an_object_with_what_is_in_it() -> None:
    schema = record(
        id="long",
        name=["null", "string"],
        level={"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]},
        tags={"type": "array", "items": "string"},
        limits={"type": "map", "values": "int"},
        card=record(last4="string") | {"name": "Card"},
    )
    value = {"id": 1 << 60, "name": None, "level": "HIGH", "tags": ["a"], "limits": {"d": 5}, "card": {"last4": "4711"}}
    assert read(schema, value) == value


@pytest.mark.parametrize(
    "kind, value, data",
    [
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("-19.90"), Decimal("-19.90")),
        (
            {"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 12, "scale": 3},
            Decimal("1234.500"),
            Decimal("1234.500"),
        ),
        ({"type": "int", "logicalType": "date"}, date(2026, 2, 28), "2026-02-28"),
        ({"type": "int", "logicalType": "time-millis"}, time(1, 2, 3), "01:02:03"),
        ({"type": "long", "logicalType": "time-micros"}, time(1, 2, 3, 4), "01:02:03.000004"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "2026-01-02T03:04:05Z",
        ),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            datetime(1969, 12, 31, 23, 59, 59, 5, tzinfo=UTC),
            "1969-12-31T23:59:59.000005Z",
        ),
        ({"type": "long", "logicalType": "timestamp-nanos"}, 1_000_000_000, "1970-01-01T00:00:01Z"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
        ({"type": "long", "logicalType": "timestamp-millis"}, (1 << 63) - 1, None),
        ({"type": "int", "logicalType": "date"}, 2_147_483_647, None),
        ({"type": "string", "logicalType": "uuid"}, str(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
        ("bytes", b"\x00\xff", "AP8="),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", "YWI="),
        ("double", float("nan"), None),
        ("float", float("inf"), None),
        ("double", 0.25, 0.25),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 5}, b"\x01", "AQ=="),
        ({"type": "string", "logicalType": "of a vendor"}, "x", "x"),
    ],
)
def test_a_leaf_has_the_form_that_rules_can_use(kind: Any, value: Any, data: Any) -> None:
    schema = record(v=kind)
    assert compiled(schema).read(encoded(_plain(schema), {"v": _raw(kind, value)})) == {"v": data}
    if not isinstance(kind, dict) or "name" not in kind:
        schema = record(o=["null", kind])
        assert compiled(schema).read(encoded(_plain(schema), {"o": _raw(kind, value)})) == {"o": data}


def _plain(schema: Any) -> Any:
    """The schema without logical types, by which values are written as what they are on the wire."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _plain(each) for name, each in schema.items() if name not in ("logicalType", "precision", "scale")}


def _raw(kind: Any, value: Any) -> Any:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    match value:
        case Decimal():
            unscaled = int(value.scaleb(kind["scale"]))
            return unscaled.to_bytes(kind.get("size", 4), "big", signed=True)
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            micros = (aware - epoch) // (datetime.resolution)
            return micros // 1000 if kind["logicalType"].endswith("millis") else micros
        case date():
            return (value - epoch.date()).days
        case time():
            micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
            return micros // 1000 if kind["logicalType"].endswith("millis") else micros
    return value


@pytest.mark.parametrize("schema", ["string", ["null", "string"], {"type": "string"}])
def test_a_schema_need_not_be_a_record(schema: Any) -> None:
    assert read(schema, "x") == "x"


def test_what_a_schema_refers_to_is_found_also_from_a_union() -> None:
    money = {"type": "record", "name": "acme.Money", "fields": [{"name": "amount", "type": "long"}]}
    order = {"type": "record", "name": "acme.Order", "fields": [{"name": "total", "type": "Money"}]}
    references = {"acme.Money": money, "acme.Order": order}
    assert compiled(["null", "acme.Order"], references=references).read(b"\x02\x0a") == {"total": {"amount": 5}}


def test_a_schema_may_be_recursive_and_its_data_as_deep_as_data_of_json() -> None:
    schema = compiled(NODE)
    assert schema.read(b"\x02\x02\x00") == {"next": {"next": {"next": None}}}
    schema.read(b"\x02" * 63 + b"\x00")
    assert "deeper than 64 levels" in refused(NODE, b"\x02" * 64 + b"\x00").detail
    assert "deeper than 64 levels" in refused(NODE, b"\x02" * 1_000_000 + b"\x00").detail  # the library would end us


@pytest.mark.parametrize(
    "items",
    ["null", {"type": "record", "name": "E", "fields": []}, {"type": "fixed", "name": "F", "size": 0}],
)
def test_a_count_that_costs_no_bytes_makes_no_million_values(items: Any) -> None:
    many = b"\xfe\xff\xff\xff\xff\xff\x7f"  # 2 ** 47
    error = refused({"type": "array", "items": items}, many)
    assert (error.reason, error.detail) == (Reason.TOO_LARGE, "Avro with too many records and lists")


def test_a_large_body_of_small_records_is_refused_as_one_of_json_is() -> None:
    """A record of 60 records in each byte: a megabyte would be 60 million objects."""
    item: Any = "boolean"
    for number in range(60):
        item = {"type": "record", "name": f"R{number}", "fields": [{"name": "v", "type": item}]}
    schema = {"type": "array", "items": item}
    body = b"\xfe\x01" + b"\x00" * 127 + b"\x00"
    assert len(compiled(schema).read(body)) == 127
    count = 100_000
    zigzag = bytes([count << 1 & 127 | 128, count << 1 >> 7 & 127 | 128, count << 1 >> 14])
    assert refused(schema, zigzag + b"\x00" * count + b"\x00").reason is Reason.TOO_LARGE


@pytest.mark.parametrize("branches, is_read", [(19, True), (2000, False)])
def test_a_union_of_thousands_is_not_gone_through_for_each_of_many_values(branches: int, is_read: bool) -> None:
    kinds = [{"type": "enum", "name": f"E{number}", "symbols": ["a"]} for number in range(branches)]
    schema = {"type": "array", "items": kinds}
    count = 5000  # of two bytes each
    body = b"\x90\x4e" + b"\x00\x00" * count + b"\x00"
    if is_read:
        assert compiled(schema).read(body) == ["a"] * count
    else:
        assert refused(schema, body).reason is Reason.TOO_LARGE
    assert compiled(schema).read(b"\x04" + b"\x00\x00" * 2 + b"\x00") == ["a", "a"]


@pytest.mark.parametrize(
    "schema, said",
    [
        ({"type": "record", "name": "R", "fields": [{"name": "x", "type": "Unknown"}]}, "no Avro schema: Unknown"),
        ({"type": "array"}, "no Avro schema"),
        (7, "no Avro schema"),
        ("nothing", "no Avro schema: nothing"),
    ],
)
def test_what_is_no_schema_is_named(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compiled(schema)


def test_a_hostile_schema_is_refused_before_it_costs_anything() -> None:
    # each has the one before twice: 2 ** 60 values without a byte
    twice = [record(a=f"R{number - 1}", b=f"R{number - 1}") | {"name": f"R{number}"} for number in range(1, 60)]
    bomb = [record(v="null") | {"name": "R0"}, *twice]
    with pytest.raises(ValueError, match="more than 10000 records in it"):
        compiled(bomb)
    deep: Any = "int"
    for number in range(70):
        deep = {"type": "record", "name": f"D{number}", "fields": [{"name": "v", "type": deep}]}
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        compiled(deep)
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ValueError, match="nested too deep"):
        compiled(deep)
    chain = [record(v=f"C{number - 1}" if number else "int") | {"name": f"C{number}"} for number in range(9000)]
    with pytest.raises(ValueError, match=r"nested deeper|recursion"):
        compiled(chain)
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        compiled({"type": "enum", "name": "E", "symbols": ["S"], "doc": "x" * 2_000_000})


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x02\x04a", b"\xff" * 20, b"\x02\x02a\x00", b"\x02\x02\xff"])
def test_a_body_that_is_not_of_its_schema_is_a_dead_letter_without_its_values(content: bytes) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}, {"name": "s", "type": "string"}]}
    error = refused(schema, content)
    assert error.reason is Reason.DECODE
    assert error.detail.startswith("not of its Avro schema")


def test_a_schema_cannot_make_a_gigabyte_of_one_digit() -> None:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9}
    assert "not of its Avro schema" in refused(schema, b"\x02\x05").detail
    near = {"type": "bytes", "logicalType": "decimal", "precision": 400, "scale": 308}
    assert compiled(near).read(b"\x02\x05") == Decimal("5E-308")


def test_a_decimal_has_as_many_digits_as_a_number_can_mean() -> None:
    schema = record(v={"type": "bytes", "logicalType": "decimal", "precision": 2_000_000})
    content = encoded(record(v="bytes"), {"v": b"\x7f" * 500_000})
    assert refused(schema, content).reason is Reason.DECODE


_LEAVES = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])


@given(content=st.binary(max_size=200), kind=_LEAVES)
def test_no_bytes_do_more_than_be_refused(content: bytes, kind: str) -> None:
    schema = compiled(
        {
            "type": "record",
            "name": "Tree",
            "fields": [
                {"name": "v", "type": ["null", kind] if kind != "null" else "null"},
                {"name": "below", "type": {"type": "array", "items": "Tree"}},
                {"name": "named", "type": {"type": "map", "values": ["null", "Tree"]}},
            ],
        }
    )
    with suppress(EventError):
        schema.read(content)


# The frame


def test_a_body_names_its_schema_and_a_key_names_its_own() -> None:
    schema = record(id="int")
    decode = decoder_for(settings(schema=registered(schema), key="avro"))
    key = framed(7, encoded(schema, {"id": 4}))
    message = Message(
        source="s", body=framed(7, encoded(schema, {"id": 5})), properties={"key": key}, headers={"a": "b"}
    )
    assert (decode(message).data, decode(message).attributes) == ({"id": 5}, {"key": {"id": 4}})
    tombstone = Message(source="s", body=b"", has_body=False, properties={"key": key})
    assert (decode(tombstone).data, decode(tombstone).attributes) == (None, {"key": {"id": 4}})


@pytest.mark.parametrize(
    "body, reason, said",
    [
        (b"", Reason.DECODE, "no schema's id before the content: it begins with 0 bytes"),
        (b'{"id": 5}', Reason.DECODE, "begins with 0x7b, and not with 0"),
        (b"\0\0\0", Reason.DECODE, "no schema's id"),
        (framed(8, b"x"), Reason.SCHEMA, "no schema 8 yet"),
    ],
)
def test_a_body_without_the_frame_is_named(body: bytes, reason: Reason, said: str) -> None:
    with pytest.raises(EventError) as caught:
        decoder_for(settings(schema=registered("int")))(Message(source="s", body=body))
    assert caught.value.reason is reason
    assert said in caught.value.detail


def test_a_key_that_cannot_be_read_is_named_as_one() -> None:
    message = Message(source="s", body=framed(7, b"\x0a"), properties={"key": "k1"})
    with pytest.raises(EventError, match="the key: no schema's id"):
        decoder_for(settings(schema=registered("int"), key="avro"))(message)


@pytest.mark.parametrize("kind, format_", [("PROTOBUF", "avro"), ("JSON", "avro"), ("AVRO", "json")])
def test_a_schema_of_another_kind_is_named(kind: str, format_: str) -> None:
    decode = decoder_for(settings(format_, registered("int", kind=kind)))
    with pytest.raises(EventError, match=f"schema 7 is of the kind {kind}, and decode.format: {format_} wants"):
        decode(Message(source="s", body=framed(7, b"\x00")))


# JSON in the same frame


ADDRESS = {"$id": "address.json", "type": "object", "required": ["city"]}
PERSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"age": {"type": "integer"}, "home": {"$ref": "address.json"}},
}


@pytest.mark.parametrize("person", [PERSON, {**PERSON, "$id": "https://acme.example/person.json"}])
def test_json_is_held_against_its_schema_and_what_that_refers_to(person: Any) -> None:
    schema = registered(person, references={"address.json": ADDRESS}, kind="JSON")
    decode = decoder_for(settings("json", schema))
    good = b'{"age": 5, "home": {"city": "Bern"}}'
    assert decode(Message(source="s", body=framed(7, good))).data == {"age": 5, "home": {"city": "Bern"}}
    for body, said in ((b'{"age": "x"}', "data.age is against type"), (b'{"home": {}}', "city is missing")):
        with pytest.raises(EventError, match=said) as caught:
            decode(Message(source="s", body=framed(7, body)))
        assert caught.value.reason is Reason.SCHEMA


@pytest.mark.parametrize("schema", [7, {"type": "nothing"}, {"$ref": "other.json"}, {"$ref": "#/nowhere"}])
def test_what_is_no_json_schema_is_named(schema: Any) -> None:
    with pytest.raises(EventError, match=r"schema 7: it.*(JSON Schema|\$ref)") as caught:
        decoder_for(settings("json", registered(schema, kind="JSON")))(Message(source="s", body=framed(7, b"1")))
    assert caught.value.reason is Reason.SCHEMA


def test_a_schema_that_refers_to_itself_a_billion_times_over_costs_no_time() -> None:
    levels: dict[str, Any] = {"a0": {"type": "integer"}}
    for number in range(1, 31):
        below = {"$ref": f"#/$defs/a{number - 1}"}
        levels[f"a{number}"] = {"allOf": [below, below]}
    hostile = registered({"$defs": levels, "$ref": "#/$defs/a30"}, kind="JSON")
    with pytest.raises(EventError, match="looks at the data more than") as caught:
        decoder_for(settings("json", hostile))(Message(source="s", body=framed(7, b"1")))
    assert caught.value.reason is Reason.SCHEMA
    good = registered({"$defs": levels, "$ref": "#/$defs/a9"}, kind="JSON")
    assert decoder_for(settings("json", good))(Message(source="s", body=framed(7, b"1"))).data == 1


def test_a_change_event_of_debezium_may_be_avro() -> None:
    row = record(id="int") | {"name": "Value"}
    schema = {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {"name": "before", "type": ["null", row]},
            {"name": "after", "type": ["null", "Value"]},
            {"name": "source", "type": record(db="string", table="string") | {"name": "Source"}},
            {"name": "op", "type": "string"},
        ],
    }
    value = {"before": None, "after": {"id": 5}, "source": {"db": "shop", "table": "orders"}, "op": "c"}
    decode = decoder_for(settings("debezium", registered(schema)))
    decoded = decode(Message(source="s", body=framed(7, encoded(schema, value))))
    assert (decoded.type, decoded.subject, decoded.data["row"]) == ("row.created", "shop.orders", {"id": 5})


def test_the_frame_is_big_endian() -> None:
    assert framed(258, b"x") == b"\0" + struct.pack(">I", 258) + b"x"
