"""`map`: a message becomes an event."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.decode.mapping import MAP_NAMES, DecodedMessage, EventMap
from rules.errors import MappingError
from rules.render import compile_text
from tests.rules.support import NOW

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def event_map(**texts: str) -> EventMap:
    compiled: dict[str, Any] = {name: compile_text(text, MAP_NAMES) for name, text in texts.items()}
    return EventMap(origin="bank", timezone=ZoneInfo("Europe/Zurich"), **compiled)


def test_a_map_fills_an_event_from_anything() -> None:
    mapped = event_map(
        id="{{ meta.message_id }}",
        source="/core",
        type="bank.{{ data.kind | lower }}",
        subject="account/{{ data.account }}",
        time="{{ data.at }}",
    )
    data = {"kind": "DEBIT", "account": 7, "at": "2026-03-02T11:00:00"}
    event = mapped.event(DecodedMessage(data=data, meta={"message_id": "m-1"}, trace="00-x"), now=NOW)
    assert (event.id, event.origin, event.source, event.type) == ("m-1", "bank", "/core", "bank.debit")
    assert (event.subject, event.time, event.trace) == ("account/7", TEN, "00-x")
    assert (event.data, event.meta) == (data, {"message_id": "m-1"})


@pytest.mark.parametrize(
    "texts, given, identity",
    [
        ({"id": "{{ data.id }}"}, {"id": "ce", "message_id": "m", "position": "p"}, "mapped"),
        ({}, {"id": "ce", "message_id": "m", "position": "p"}, "ce"),
        ({}, {"message_id": "m", "position": "p"}, "m"),
        ({}, {"position": "p"}, "p"),
    ],
)
def test_identity_is_the_first_there_is(texts: dict[str, str], given: dict[str, Any], identity: str) -> None:
    assert event_map(**texts).event(DecodedMessage(data={"id": "mapped"}, meta={}, **given), now=NOW).id == identity


def test_without_any_identity_every_message_is_an_event_of_its_own() -> None:
    first, second = (event_map().event(DecodedMessage(data={}, meta={}), now=NOW).id for _ in range(2))
    assert first != second


def test_what_is_not_mapped_is_taken_as_given() -> None:
    given = DecodedMessage(data=None, meta={}, source="/s", type="t", subject="x", time=TEN, enqueued_at=NOW)
    event = event_map().event(given, now=NOW)
    assert (event.source, event.type, event.subject, event.time) == ("/s", "t", "x", TEN)


def test_without_any_word_the_source_names_the_event() -> None:
    event = event_map().event(DecodedMessage(data=None, meta={}, enqueued_at=TEN), now=NOW)
    assert (event.source, event.type, event.subject, event.time) == ("/bank", "bank", "", TEN)
    assert event_map().event(DecodedMessage(data=None, meta={}), now=NOW).time == NOW


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"id": "{{ data.nope }}"}, "map.id: data.nope is missing"),
        ({"type": "{{ data.none }}"}, "map.type: data.none is null"),
        ({"type": "{{ data.empty }}"}, "map.type is empty"),
        ({"subject": "{{ data.nope }}"}, "map.subject: data.nope is missing"),
        ({"person": "{{ data.nope }}"}, "map.person: data.nope is missing"),
        ({"time": "{{ data.nope }}"}, "map.time: data.nope is missing"),
        (
            {"time": "{{ data.empty }}17724456000"},
            "map.time: not a time: a number of 11 digits is neither a date nor an epoch between 1990 and 2100",
        ),
    ],
)
def test_a_message_that_lacks_a_property_is_refused_with_its_name(texts: dict[str, str], message: str) -> None:
    with pytest.raises(MappingError) as refusal:
        event_map(**texts).event(DecodedMessage(data={"none": None, "empty": ""}, meta={}), now=NOW)
    assert str(refusal.value) == message


@pytest.mark.parametrize("attribute", ["id", "source", "type", "subject", "person"])
@pytest.mark.parametrize("length", [1024, 1025, 65_536])
def test_an_attribute_has_a_longest_length(attribute: str, length: int) -> None:
    given = DecodedMessage(data={"text": "x" * length}, meta={})
    if length <= 1024:
        assert getattr(event_map(**{attribute: "{{ data.text }}"}).event(given, now=NOW), attribute) == "x" * length
        return
    with pytest.raises(MappingError) as refusal:
        event_map(**{attribute: "{{ data.text }}"}).event(given, now=NOW)
    assert str(refusal.value) == f"the {attribute} of {length} characters is too long, 1024 are allowed"


@pytest.mark.parametrize("attribute", ["id", "person"])
def test_an_id_has_no_more_bytes_than_an_index_of_the_store_takes(attribute: str) -> None:
    mapped = event_map(**{attribute: "{{ data.text }}"})
    longest = "\U0001f600" * 512
    assert getattr(mapped.event(DecodedMessage(data={"text": longest}, meta={}), now=NOW), attribute) == longest
    with pytest.raises(MappingError, match=f"the {attribute} of 2049 bytes is too long, 2048 are allowed"):
        mapped.event(DecodedMessage(data={"text": longest + "x"}, meta={}), now=NOW)


@pytest.mark.parametrize(
    "value, time",
    [
        ("20240115101112", datetime(2024, 1, 15, 9, 11, 12, tzinfo=UTC)),
        ("20240115101112+0100", datetime(2024, 1, 15, 9, 11, 12, tzinfo=UTC)),
        ("2026-03-02T11:00:00", TEN),
        ("1772445600", TEN),
        (1772445600, TEN),
        (1772445600.0, TEN),
        (Decimal("1772445600000"), TEN),
        (20260302110000, TEN),
        *[(nothing, NOW) for nothing in [None, "", "  ", "00000000", "00000000000000", 0]],
    ],
)
def test_a_time_is_read_in_its_form_and_none_at_all_is_that_of_arrival(value: Any, time: datetime) -> None:
    given = DecodedMessage(data={"at": value}, meta={}, enqueued_at=NOW)
    assert event_map(time="{{ data.at }}").event(given, now=NOW).time == time


def test_a_time_may_be_put_together() -> None:
    """As SAP has it: a date (DATS) and a time of day (TIMS)."""
    given = DecodedMessage(data={"date": "20260302", "time": "110000"}, meta={})
    assert event_map(time="{{ data.date }}{{ data.time }}").event(given, now=NOW).time == TEN


@pytest.mark.parametrize("attribute", ["subject", "person"])
@pytest.mark.parametrize("value", [None, ""])
def test_no_subject_and_no_person_is_no_mistake(value: Any, attribute: str) -> None:
    event = event_map(**{attribute: "{{ data.name }}"}).event(DecodedMessage(data={"name": value}, meta={}), now=NOW)
    assert getattr(event, attribute) == ""


@pytest.mark.parametrize(("value", "kind"), [(["4711", "4712"], "a list"), ([], "a list"), ({"id": 1}, "an object")])
def test_a_person_is_one_id_so_that_an_erasure_finds_it(value: Any, kind: str) -> None:
    with pytest.raises(MappingError) as refusal:
        event_map(person="{{ data.name }}").event(DecodedMessage(data={"name": value}, meta={}), now=NOW)
    assert str(refusal.value) == f"map.person: is {kind}, and a person is one id"


def test_a_message_that_is_refused_says_whom_it_is_about_all_the_same() -> None:
    mapped = event_map(id="{{ data.nope }}", person="{{ data.customer }}")
    with pytest.raises(MappingError) as refusal:
        mapped.event(DecodedMessage(data={"customer": 4711}, meta={}), now=NOW)
    assert refusal.value.person == "4711"
    whole = event_map(person="{{ data.customer }}").event(DecodedMessage(data={"customer": 4711}, meta={}), now=NOW)
    assert whole.person == "4711"
