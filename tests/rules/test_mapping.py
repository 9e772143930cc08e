"""`map`: a message becomes an event."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import MappingError
from rules.mapping import MAP_NAMES, EventMap, Given, parse_time
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
    event = mapped.event(Given(data=data, meta={"message_id": "m-1"}, trace="00-x"), now=NOW)
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
    assert event_map(**texts).event(Given(data={"id": "mapped"}, meta={}, **given), now=NOW).id == identity


def test_without_any_identity_every_message_is_an_event_of_its_own() -> None:
    first, second = (event_map().event(Given(data={}, meta={}), now=NOW).id for _ in range(2))
    assert first != second


def test_what_is_not_mapped_is_taken_as_given() -> None:
    given = Given(data=None, meta={}, source="/s", type="t", subject="x", time=TEN, enqueued_at=NOW)
    event = event_map().event(given, now=NOW)
    assert (event.source, event.type, event.subject, event.time) == ("/s", "t", "x", TEN)


def test_without_any_word_the_source_names_the_event() -> None:
    event = event_map().event(Given(data=None, meta={}, enqueued_at=TEN), now=NOW)
    assert (event.source, event.type, event.subject, event.time) == ("/bank", "bank", "", TEN)
    assert event_map().event(Given(data=None, meta={}), now=NOW).time == NOW


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"id": "{{ data.nope }}"}, "map.id: data.nope is missing"),
        ({"type": "{{ data.none }}"}, "map.type: data.none is null"),
        ({"subject": "{{ data.empty }}"}, "map.subject is empty"),
        ({"time": "{{ data.empty }}x"}, "map.time: not a time; RFC 3339 and epochs are understood"),
    ],
)
def test_a_message_that_lacks_a_property_is_refused_with_its_name(texts: dict[str, str], message: str) -> None:
    with pytest.raises(MappingError) as refusal:
        event_map(**texts).event(Given(data={"none": None, "empty": ""}, meta={}), now=NOW)
    assert str(refusal.value) == message


@pytest.mark.parametrize("attribute", ["id", "source", "type", "subject"])
@pytest.mark.parametrize("length", [1024, 1025, 65_536])
def test_an_attribute_has_a_longest_length(attribute: str, length: int) -> None:
    given = Given(data={"text": "x" * length}, meta={})
    if length <= 1024:
        assert getattr(event_map(**{attribute: "{{ data.text }}"}).event(given, now=NOW), attribute) == "x" * length
        return
    with pytest.raises(MappingError) as refusal:
        event_map(**{attribute: "{{ data.text }}"}).event(given, now=NOW)
    assert str(refusal.value) == f"the {attribute} of {length} characters is too long, 1024 are allowed"


@pytest.mark.parametrize(
    "text, time",
    [
        ("2026-03-02T10:00:00Z", TEN),
        ("2026-03-02t10:00:00z", TEN),
        ("2026-03-02 10:00:00+00:00", TEN),
        ("2026-03-02T11:00:00+01:00", TEN),
        ("2026-03-02T10:00:00.000000Z", TEN),
        ("2026-03-02T11:00:00", TEN),
        (" 2026-03-02T11:00 ", TEN),
        ("20260302T110000", TEN),
        ("2026-07-02T12:00:00", datetime(2026, 7, 2, 10, 0, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 1, 23, 0, tzinfo=UTC)),
        ("20260302", datetime(2026, 3, 1, 23, 0, tzinfo=UTC)),
        ("1772445600", TEN),
        ("1772445600.5", datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("1772445600000", TEN),
        ("1772445600000000", TEN),
        ("1772445600000000000", TEN),
    ],
)
def test_a_time_is_read_as_systems_write_it(text: str, time: datetime) -> None:
    assert parse_time(text, ZoneInfo("Europe/Zurich")) == time


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text(max_size=30) | st.from_regex(r"[0-9TZ:+.-]{1,25}", fullmatch=True))
def test_any_text_is_a_time_in_utc_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is UTC
