"""The codec of AMQP 1.0: what was written is read again, and nothing but our own error is raised for the rest."""

import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus.amqp import DecodeError
from sandbox.servicebus.amqp.decoding import decode, skip
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.framing import HEARTBEAT, FrameReader, frame
from sandbox.servicebus.amqp.performatives import Attach, Begin, Flow, Open, Transfer, read_performative
from sandbox.servicebus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)


def _integers(kind: type[int], low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high).map(kind)


KEYS = st.one_of(
    st.text(),
    st.text(st.characters(max_codepoint=127)).map(Symbol),
    st.binary(max_size=300),
    st.uuids(),
    st.booleans(),
    _integers(UInt, 0, 2**32 - 1),
    _integers(int, -(2**63), 2**63 - 1),
)
SIMPLE = st.one_of(
    KEYS,
    st.none(),
    _integers(UByte, 0, 255),
    _integers(UShort, 0, 2**16 - 1),
    _integers(ULong, 0, 2**64 - 1),
    _integers(Byte, -128, 127),
    _integers(Short, -(2**15), 2**15 - 1),
    _integers(Int, -(2**31), 2**31 - 1),
    _integers(Timestamp, -(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.floats(width=32, allow_nan=False).map(Float),
    st.characters().map(Char),
    st.sampled_from([4, 8, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(Decimal),
    st.lists(st.uuids()).map(lambda items: Array(0x98, items)),
    st.lists(_integers(int, -(2**63), 2**63 - 1)).map(lambda items: Array(0x81, items)),
    st.lists(st.text()).map(lambda items: Array(0xB1, items)),
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(KEYS, inner),
        st.builds(Described, _integers(ULong, 0, 300), inner),
    ),
    max_leaves=20,
)


def _typed(value: Any) -> Any:
    """A value with all its types, as 1, True and UInt(1) are equal in Python."""
    match value:
        case list():
            return [_typed(item) for item in value]
        case dict():
            return [(_typed(key), _typed(item)) for key, item in value.items()]
        case Array():
            return (Array, value.code, value.items)
        case Described():
            return (Described, _typed(value.descriptor), _typed(value.value))
    return (type(value), value)


@given(VALUES)
def test_what_was_encoded_is_decoded_with_its_type(value: Any) -> None:
    data = encode(value)
    decoded, end = decode(data)
    assert end == len(data) == skip(data, 0)
    assert _typed(decoded) == _typed(value)


@given(st.binary())
def test_any_bytes_are_a_value_or_refused_in_our_own_words(data: bytes) -> None:
    try:
        _, end = decode(data)
    except DecodeError:
        return
    assert end <= len(data)


@given(VALUES, st.data())
def test_a_value_that_is_cut_off_is_refused(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode(encoded[:cut])
    with pytest.raises(DecodeError):
        skip(encoded[:cut], 0)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("40", None),
        ("41", True),
        ("5601", True),
        ("5600", False),
        ("43", UInt(0)),
        ("520a", UInt(10)),
        ("700000000a", UInt(10)),
        ("44", ULong(0)),
        ("8000000000000000ff", ULong(255)),
        ("55ff", -1),
        ("45", []),
        ("c0020140", [None]),
        ("d0000000050000000140", [None]),
        ("d10000000900000002a1016141", {"a": True}),
        ("e0030255017f", Array(0x55, [1, 127])),
        ("98" + "00" * 15 + "01", UUID(int=1)),
        ("00531e40", Described(ULong(0x1E), None)),
    ],
)
def test_every_form_of_a_type_is_read(encoded: str, value: Any) -> None:
    assert _typed(decode(bytes.fromhex(encoded))[0]) == _typed(value)


@pytest.mark.parametrize("value", [UByte(256), UInt(-1), UInt(2**32), 2**63, Int(2**31)])
def test_a_number_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        encode(value)


def test_a_type_that_amqp_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="AMQP has no type for complex"):
        encode(1j)


@pytest.mark.parametrize(
    "performative",
    [
        Open(container_id="c", max_frame_size=UInt(512)),
        Begin(None, UInt(0), UInt(10), UInt(10)),
        Attach(name="l", handle=UInt(1), role=True, properties={Symbol("k"): "v"}),
        Flow(UInt(1), UInt(2), UInt(3), UInt(4), drain=True),
        Transfer(handle=UInt(1), delivery_id=UInt(0), delivery_tag=b"tag", more=False),
    ],
)
def test_a_performative_is_read_as_it_was_written_with_its_payload(performative: Any) -> None:
    assert read_performative(performative.encode() + b"payload") == (performative, b"payload")


def test_all_fields_of_a_performative_are_written() -> None:
    described, _ = decode(Open(container_id="c").encode())
    assert described.value == ["c", *[None] * 9]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (encode(1), "not a performative"),
        (encode(Described(ULong(0x99), [])), "no performative has the descriptor 153"),
        (encode(Described(ULong(0x17), [None, None])), "End has 1 fields, not 2"),
        (encode(Described(ULong(0x10), [7])), "container_id of Open cannot be of type int"),
        (encode(Described(ULong(0x12), ["name"])), "Attach is incomplete"),
    ],
)
def test_what_is_no_performative_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        read_performative(body)


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 20)))
def test_frames_are_found_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(7, body) for body in bodies)
    reader, found = FrameReader(), []
    while stream:
        size = cuts.pop() if cuts else len(stream)
        reader.feed(stream[:size])
        stream = stream[size:]
        while (received := reader.frame()) is not None:
            found.append(received.body)
            assert received.channel == 7
    assert found == bodies


def test_a_heartbeat_is_a_frame_without_a_body() -> None:
    reader = FrameReader()
    reader.feed(HEARTBEAT)
    received = reader.frame()
    assert received is not None
    assert received.body == b""


@pytest.mark.parametrize("header", [struct.pack(">IBBH", 7, 2, 0, 0), struct.pack(">IBBH", 2**31, 2, 0, 0)])
def test_a_frame_of_an_impossible_size_is_refused(header: bytes) -> None:
    reader = FrameReader()
    reader.feed(header)
    with pytest.raises(DecodeError):
        reader.frame()
