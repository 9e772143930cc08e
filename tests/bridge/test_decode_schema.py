"""`decode.schema`: data that are not of the shape that a source promises."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import decoder_for
from bridge.decode.base import DecodeSettings
from bridge.decode.schema import JsonSchema
from bridge.errors import EventError, Reason
from connectors.base import Message

ORDER = {
    "type": "object",
    "required": ["id", "lines"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^o-[0-9]+$"},
        "lines": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/line"}},
        "amount": {"type": "number", "minimum": 0, "multipleOf": 0.01},
        "slow": {"pattern": "^(a+)+$"},
    },
    "$defs": {"line": {"type": ["integer", "boolean", "object", "array"]}},
}


@pytest.fixture
def schema(tmp_path: Path) -> JsonSchema:
    return JsonSchema(written(tmp_path, json.dumps(ORDER)))


def written(directory: Path, text: str) -> Path:
    path = directory / "schema.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"amount": 19.95},
        {"amount": Decimal("19.90")},
        {"amount": 10**40},
        {"lines": [1, True, {"a": [1]}, {"a": [2]}]},
    ],
)
def test_data_of_the_schema_pass(schema: JsonSchema, more: dict[str, Any]) -> None:
    schema.check({"id": "o-1", "lines": []} | more)


@pytest.mark.parametrize(
    "data, said",
    [
        ([], "data is against type of the schema"),
        ({}, "data is against required of the schema: id, lines is missing"),
        ({"id": "canary", "lines": []}, "data.id is against pattern of the schema"),
        ({"id": "o-1", "lines": ["x"]}, "data.lines[0] is against type of the schema"),
        ({"id": "o-1", "lines": [1, 1.0]}, "data.lines is against uniqueItems of the schema"),
        ({"id": "o-1", "lines": [{"a": [1], "b": 2}, {"b": 2, "a": [1]}]}, "data.lines is against uniqueItems"),
        ({"id": "o-1", "lines": [], "amount": 19.951}, "data.amount is against multipleOf of the schema"),
        ({"id": "o-1", "lines": [], "amount": Decimal("-0.01")}, "data.amount is against minimum of the schema"),
        ({"id": "o-1", "lines": [], "canary": 1}, "data is against additionalProperties of the schema"),
        ({"id": "o-1", "lines": [], "slow": "a" * 40 + "!"}, "data.slow is against pattern of the schema"),
    ],
)
def test_other_data_are_refused_with_place_and_keyword_and_no_value(schema: JsonSchema, data: Any, said: str) -> None:
    with pytest.raises(EventError) as raised:
        schema.check(data)
    assert raised.value.reason is Reason.SCHEMA
    assert raised.value.detail.startswith(said)
    assert "canary" not in raised.value.detail


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON Schema: it is an object"),
        ('{"type": "text"}', r"is no JSON Schema: see \$.type"),
        ('{"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}', r"\$ref leads out of the file"),
        ('{"prefixItems": [{"$ref": "#/$defs/none"}]}', r"\$ref #/\$defs/none leads nowhere"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "other.json#/a"}', "leads out of the file"),
    ],
)
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        JsonSchema(written(tmp_path, text))


def test_a_schema_that_never_ends_costs_the_event_alone(tmp_path: Path) -> None:
    with pytest.raises(EventError, match="nested too deep"):
        JsonSchema(written(tmp_path, '{"$ref": "#"}')).check(1)


def test_the_data_of_any_format_are_held_against_it(tmp_path: Path) -> None:
    schema = JsonSchema(written(tmp_path, '{"properties": {"n": {"maximum": 5}}}'))
    decode = decoder_for(DecodeSettings(format="csv", types={"n": "decimal"}, schema=schema))
    assert decode(Message(source="s", body=b"n\n4.5")).data == {"n": Decimal("4.5")}
    with pytest.raises(EventError, match=r"data\.n is against maximum"):
        decode(Message(source="s", body=b"n\n5.5"))
    cloud = decoder_for(DecodeSettings(format="cloudevents", schema=schema))
    opaque = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
    with pytest.raises(EventError, match="cannot be held against a schema"):
        cloud(Message(source="s", body=b"\0", content_type="application/protobuf", headers=opaque))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "lines", "amount", "x"]), inner),
    max_leaves=8,
)


@given(_VALUES)
def test_any_data_pass_or_are_refused_in_our_words(value: Any) -> None:
    found: EventError | None = None
    try:
        _ANY.check(value)
    except EventError as error:
        found = error
    assert found is None or found.reason is Reason.SCHEMA


_ANY = JsonSchema(Path(__file__).parent / "configs" / "order.schema.json")
