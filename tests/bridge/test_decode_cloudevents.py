import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import Decoded, DecodeSettings, decoder_for
from bridge.errors import EventError, Reason
from connectors.base import Message

STRUCTURED = "application/cloudevents+json; charset=UTF-8"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LAST_HOP = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
MINIMAL = {"specversion": "1.0", "id": "A234-1234-1234", "source": "/mycontext", "type": "com.example.someevent"}
BLOB = {
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
    "subject": "/blobServices/default/containers/reports/blobs/q1.pdf",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-03-02T18:41:00.9584103Z",
    "data": {"api": "PutBlob"},
    "dataVersion": "1",
    "metadataVersion": "1",
}

decode = decoder_for(DecodeSettings(format="cloudevents", pattern="(?P<word>.*)", types={"Amount": "int"}))


def structured(event: Any, headers: Mapping[str, Any] | None = None) -> Decoded:
    return decode(Message(source="s", body=json.dumps(event).encode(), content_type=STRUCTURED, headers=headers or {}))


def binary(attributes: Mapping[str, Any], body: bytes = b"", content_type: str | None = None) -> Decoded:
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    return decode(Message(source="s", body=body, content_type=content_type, headers=headers))


def test_a_structured_event_is_taken_apart() -> None:
    decoded = structured(
        MINIMAL
        | {"subject": "123", "time": "2018-04-05T17:31:00Z", "comexampleextension1": "value", "othervalue": 5}
        | {"datacontenttype": "application/json", "unset": None, "traceparent": TRACE, "data": {"a": [1, None]}}
    )
    assert decoded == Decoded(
        id="A234-1234-1234",
        source="/mycontext",
        type="com.example.someevent",
        subject="123",
        time=datetime(2018, 4, 5, 17, 31, tzinfo=UTC),
        data={"a": [1, None]},
        attributes={
            "comexampleextension1": "value",
            "othervalue": 5,
            "datacontenttype": "application/json",
            "traceparent": TRACE,
        },
        trace=TRACE,
    )


def test_a_binary_event_is_taken_apart() -> None:
    attributes = MINIMAL | {"time": "2018-04-05T03:56:24+02:00", "dataschema": "urn:s", "traceparent": TRACE}
    decoded = binary(attributes, b'{"a": 1}', "application/json; charset=utf-8")
    assert decoded == Decoded(
        id="A234-1234-1234",
        source="/mycontext",
        type="com.example.someevent",
        time=datetime(2018, 4, 5, 1, 56, 24, tzinfo=UTC),
        data={"a": 1},
        attributes={
            "dataschema": "urn:s",
            "traceparent": TRACE,
            "datacontenttype": "application/json; charset=utf-8",
        },
        trace=TRACE,
    )


@pytest.mark.parametrize("prefix", ["ce-", "CE-", "cloudEvents:", "cloudEvents_"])
def test_binary_attributes_are_found_under_the_prefix_of_their_binding(prefix: str) -> None:
    headers = {f"{prefix}{name}": value for name, value in MINIMAL.items()} | {"user-agent": "x"}
    decoded = decode(Message(source="s", body=b"1", headers=headers))
    assert (decoded.id, decoded.data, decoded.attributes) == ("A234-1234-1234", 1, {})


@pytest.mark.parametrize(
    "header, subject",
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%e2%82%ac%41", "€A"),
        ("100%25", "100%"),
        ("%2541", "%41"),
        (r'"say \"hi\" \\ %41"', r'say "hi" \ A'),
        ('"', '"'),
    ],
)
def test_header_values_are_unquoted_and_percent_decoded_once(header: str, subject: str) -> None:
    assert binary(MINIMAL | {"subject": header}).subject == subject


@pytest.mark.parametrize("header", ["%C0%A0", "%ff", "%ED%A0%80"])
def test_a_header_that_is_not_utf_8_once_decoded_is_refused(header: str) -> None:
    with pytest.raises(EventError, match="percent-encoding is not UTF-8"):
        binary(MINIMAL | {"subject": header})


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_subject_survives_binary_mode(subject: str) -> None:
    assert binary(MINIMAL | {"subject": quote(subject, safe="/")}).subject == subject


@pytest.mark.parametrize(
    "content_type, body, data",
    [
        (None, b'{"a": 1}', {"a": 1}),
        ("application/json", b"", None),
        ("application/vnd.acme+json", b"[1]", [1]),
        ("text/json", b"1", 1),
        ("application/xml", b"<o><Amount>3</Amount></o>", {"Amount": 3}),
        ("application/soap+xml; charset=utf-8", b"<o>3</o>", "3"),
        ("text/xml", b"<o>3</o>", "3"),
        ("text/plain; charset=iso-8859-1", "Zürich".encode("latin-1"), {"word": "Zürich"}),
    ],
)
def test_data_is_read_by_its_content_type_in_both_modes(content_type: str | None, body: bytes, data: Any) -> None:
    assert binary(MINIMAL, body, content_type).data == data
    declared = {} if content_type is None else {"datacontenttype": content_type}
    assert structured(MINIMAL | declared | {"data_base64": base64.b64encode(body).decode()}).data == data


@pytest.mark.parametrize(
    "content_type, data, expected",
    [
        (None, "text", "text"),
        ("application/json", '{"a": 1}', '{"a": 1}'),
        ("application/xml", '<?xml version="1.0"?><o><Amount>3</Amount></o>', {"Amount": 3}),
        ("application/xml", '<?xml version="1.0" encoding="ISO-8859-1"?><o>Zürich</o>', "Zürich"),
        ("text/plain; charset=iso-8859-1", "Zürich", {"word": "Zürich"}),
        ("application/xml", {"already": "JSON"}, {"already": "JSON"}),
    ],
)
def test_structured_data_that_is_text_is_read_by_its_content_type(
    content_type: str | None, data: Any, expected: Any
) -> None:
    assert structured(MINIMAL | {"datacontenttype": content_type, "data": data}).data == expected


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("mode", [structured, binary])
def test_a_required_attribute_that_is_missing_or_empty_is_named(mode: Any, missing: str) -> None:
    with pytest.raises(EventError, match=f"attribute {missing} "):
        mode({name: value for name, value in MINIMAL.items() if name != missing})
    with pytest.raises(EventError, match=f"attribute {missing} "):
        mode(MINIMAL | {missing: ""})


@pytest.mark.parametrize(
    "event, complaint",
    [
        ([], "a batch of CloudEvents"),
        ("x", "JSON object"),
        (MINIMAL | {"specversion": "0.3"}, "specversion is not 1.0: 0.3, only 1.0 is read"),
        (MINIMAL | {"id": 5}, "id is a number and no text: its sender writes it in quotes"),
        (MINIMAL | {"id": None}, "id is missing"),
        (MINIMAL | {"source": ""}, "source is empty"),
        (MINIMAL | {"type": True}, "type is not text"),
        (MINIMAL | {"subject": 5}, "subject is a number and no text: its sender writes it in quotes"),
        (MINIMAL | {"subject": 5.5}, "subject is a number and no text"),
        (MINIMAL | {"subject": []}, "subject is not text"),
        (MINIMAL | {"time": "yesterday"}, "time is not an RFC 3339 time"),
        (MINIMAL | {"time": "2018-04-05T17:31:00"}, "time is not an RFC 3339 time"),
        (MINIMAL | {"time": 5}, "time is not text"),
        (MINIMAL | {"time": "20180405T173100Z"}, "time is not an RFC 3339 time"),
        (MINIMAL | {"specversion": 1.0}, r'specversion is not 1.0: a number and no text \("1.0"\)'),
        (MINIMAL | {"specversion": "a secret"}, "specversion is not 1.0: it is missing or no version"),
        (MINIMAL | {"datacontenttype": 5}, "datacontenttype is not text"),
        (MINIMAL | {"data_base64": "?"}, "data_base64 is not base64"),
        (MINIMAL | {"data_base64": 5}, "data_base64 is not base64"),
        (MINIMAL | {"data": 1, "data_base64": "AAAA"}, "both data and data_base64"),
    ],
)
def test_an_event_against_the_specification_is_refused(event: Any, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        structured(event)
    assert raised.value.reason is Reason.DECODE


@pytest.mark.parametrize("encoded", ["+/8hIQ==", "-_8hIQ", "+/8h\r\nIQ==\r\n", " +/8hIQ= "])
def test_base64_in_lines_for_urls_or_without_padding_is_what_it_says(encoded: str) -> None:
    event = MINIMAL | {"datacontenttype": "text/plain; charset=latin-1", "data_base64": encoded}
    assert structured(event).data == {"word": "ûÿ!!"}


def test_a_single_event_is_one_under_the_type_of_a_batch() -> None:
    body = json.dumps(MINIMAL).encode()
    assert decode(Message(source="s", body=body, content_type="application/cloudevents-batch+json")).id == MINIMAL["id"]


@pytest.mark.parametrize(
    "content_type, complaint",
    [
        ("application/cloudevents-batch+json", "a batch of CloudEvents in one message.*send each event as a message"),
        ("Application/CloudEvents-Batch+JSON; charset=utf-8", "a batch of CloudEvents in one message"),
        ("application/cloudevents+json", "a batch of CloudEvents in one message"),
        ("application/json", "a batch of CloudEvents in one message"),
        (None, "a batch of CloudEvents in one message"),
        ("application/cloudevents+avro", r"'application/cloudevents\+avro' is not read: send application/cloudevents"),
    ],
)
def test_a_message_that_is_no_single_event_is_refused(content_type: str | None, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint):
        decode(Message(source="s", body=json.dumps([MINIMAL]).encode(), content_type=content_type))


def test_the_trace_of_the_event_wins_over_that_of_the_last_hop() -> None:
    hop = {"traceparent": LAST_HOP}
    assert structured(MINIMAL | {"traceparent": TRACE}, hop).trace == TRACE
    assert structured(MINIMAL, hop).trace == LAST_HOP
    assert structured(MINIMAL | {"traceparent": "broken"}, hop).trace == LAST_HOP


def eventgrid(event: Any) -> Decoded:
    headers = {"aeg-event-type": "Notification"}
    return decode(
        Message(source="s", body=json.dumps(event).encode(), content_type="application/json", headers=headers)
    )


def test_an_event_of_the_event_grid_schema_gets_cloudevents_names() -> None:
    assert eventgrid(BLOB) == Decoded(
        id="831e1650-001e-001b-66ab-eeb76e069631",
        source=BLOB["topic"],  # type: ignore[arg-type] # a str in a dict of mixed values
        type="Microsoft.Storage.BlobCreated",
        subject="/blobServices/default/containers/reports/blobs/q1.pdf",
        time=datetime(2026, 3, 2, 18, 41, 0, 958410, tzinfo=UTC),
        data={"api": "PutBlob"},
        attributes={"dataversion": "1"},
    )


@pytest.mark.parametrize(
    "name, value",
    [(name, value) for name in ("id", "topic", "eventType") for value in (None, "", 5)]
    + [("subject", 5), ("eventTime", 5), ("eventTime", "x"), ("eventTime", [])],
)
def test_an_event_grid_event_with_a_part_missing_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(EventError, match=name):
        eventgrid(BLOB | {name: value})


@pytest.mark.parametrize(
    "event, complaint", [([BLOB, BLOB], "JSON object"), ([], "JSON object"), (BLOB | {"eventTime": "x"}, "RFC 3339")]
)
def test_an_event_grid_event_of_another_shape_is_refused(event: Any, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint):
        eventgrid(event)


def test_an_event_grid_event_is_known_in_an_array_of_one_and_without_its_header() -> None:
    """Event Hubs gets arrays of one, and a program that passes events on drops the header."""
    assert eventgrid([BLOB]) == eventgrid(BLOB)
    assert decode(Message(source="s", body=json.dumps([BLOB]).encode())) == eventgrid(BLOB)


def test_an_event_grid_event_in_the_data_of_a_cloudevent_is_its_data() -> None:
    body = json.dumps(MINIMAL | {"data": BLOB}).encode()
    assert decode(Message(source="s", body=body, content_type="application/json")).data == BLOB
