"""What holds for every format: bounds, traces, and that hostile bytes end in an EventError and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import DecodeSettings, decoder_for
from bridge.decode.readers import formats
from bridge.errors import EventError, Reason
from connectors.base import Message

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

FORMATS = tuple(formats())
DECODERS = {
    name: decoder_for(DecodeSettings(format=name, pattern=r"(?P<a>.*?)=(?P<b>.*)" if name == "text" else None))
    for name in FORMATS
}

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "data_base64",
    "traceparent",
    "topic",
    "eventType",
    "eventTime",
    "no_such",
)
CONTENT_TYPES = (
    None,
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/cloudevents+avro",
    "application/json",
    "application/xml",
    "text/plain; charset=utf-16",
    "text/plain; charset=\0",
    "image/png",
)

attribute_names = st.sampled_from(ATTRIBUTES)
attribute_values = (
    st.sampled_from(["1.0", "", "x", "2026-03-02T20:50:00Z", None, 7, True, "%C0", "text/xml"]) | json_like
)
content_types = st.sampled_from(CONTENT_TYPES)


def reason_for_refusing(format: str, message: Message) -> Reason | None:
    """None when the message decodes; any exception but EventError fails the test."""
    try:
        DECODERS[format](message)
    except EventError as error:
        return error.reason
    return None


@pytest.mark.parametrize("format", FORMATS)
@given(body=st.binary(), content_type=content_types | st.text())
def test_any_bytes_decode_or_are_refused_in_our_own_words(format: str, body: bytes, content_type: str | None) -> None:
    reason = reason_for_refusing(format, Message(source="s", body=body, content_type=content_type))
    assert reason in (None, Reason.DECODE)


@pytest.mark.slow
@given(
    event=st.dictionaries(attribute_names, attribute_values),
    headers=st.dictionaries(attribute_names.map(lambda name: f"ce-{name}"), attribute_values),
    content_type=content_types,
    eventgrid=st.booleans(),
)
def test_any_attributes_make_an_event_or_are_refused_in_our_own_words(
    event: dict[str, object], headers: dict[str, object], content_type: str | None, eventgrid: bool
) -> None:
    if eventgrid:
        headers = {"aeg-event-type": "Notification"}
    message = Message(source="s", body=json.dumps(event).encode(), content_type=content_type, headers=headers)
    assert reason_for_refusing("cloudevents", message) in (None, Reason.DECODE)


@pytest.mark.parametrize("format", FORMATS)
def test_a_body_over_the_limit_is_too_large_before_anything_reads_it(format: str) -> None:
    decode = decoder_for(DecodeSettings(format=format, max_body=10))
    with pytest.raises(EventError, match="has 11 bytes, the limit is 10") as raised:
        decode(Message(source="s", body=b"x" * 11))
    assert raised.value.reason is Reason.TOO_LARGE


def test_the_limit_is_one_mebibyte_unless_set() -> None:
    decode = decoder_for(DecodeSettings(format="text"))
    assert len(decode(Message(source="s", body=b"x" * 1024 * 1024)).data) == 1024 * 1024
    with pytest.raises(EventError):
        decode(Message(source="s", body=b"x" * (1024 * 1024 + 1)))


@pytest.mark.parametrize(
    "traceparent, trace",
    [
        (TRACE, TRACE),
        (None, ""),
        (7, ""),
        ("", ""),
        (TRACE + "\n", ""),
        (TRACE.upper(), ""),
        ("ff" + TRACE[2:], ""),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", ""),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", ""),
    ],
)
def test_only_a_valid_traceparent_header_becomes_the_trace(traceparent: object, trace: str) -> None:
    message = Message(source="s", body=b"{}", headers={"traceparent": traceparent})
    assert decoder_for(DecodeSettings())(message).trace == trace


@given(secret=st.text(alphabet="QXZ", min_size=8, max_size=200))
@pytest.mark.parametrize(
    "format, body",
    [
        ("json", '{"iban": "%s'),
        ("json", '{"iban": %s}'),
        ("xml", "<a>%s</b>"),
        ("xml", "<a>%s&%s;</a>"),
        ("xml", "<Amount>%s</Amount>"),
        ("text", "%s"),
        ("cloudevents", '{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "%s"}'),
        ("cloudevents", '{"specversion": "%s"}'),
        ("cloudevents", '{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "%s\xe4"}'),
    ],
)
def test_a_refusal_does_not_repeat_the_values_refused(format: str, body: str, secret: str) -> None:
    decode = decoder_for(DecodeSettings(format=format, pattern="no", types={"Amount": "decimal"}))
    message = Message(
        source="s", body=body.replace("%s", secret).encode(), content_type="application/cloudevents+json; charset=utf-8"
    )
    with pytest.raises(EventError) as raised:
        decode(message)
    assert secret not in str(raised.value)
