"""What is read of a delivery is what pika reads of it, and what is no whole delivery is left to pika."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import spec
from pika.frame import Body, Header, Heartbeat, Method

from connectors.rabbitmq.deliveries import read_delivery

short = st.text(max_size=60).filter(lambda text: len(text.encode()) < 256)


def method(*, channel: int = 1, tag: str = "ctag", number: int = 7, key: str = "orders", again: bool = False) -> bytes:
    frame: bytes = Method(channel, spec.Basic.Deliver(tag, number, again, "shop", key)).marshal()
    return frame


def content(*pieces: bytes, channel: int = 1, size: int | None = None) -> bytes:
    header = Header(channel, sum(map(len, pieces)) if size is None else size, spec.BasicProperties(message_id="m-1"))
    return b"".join([header.marshal(), *(Body(channel, piece).marshal() for piece in pieces)])


@given(before=st.binary(max_size=9), behind=st.binary(max_size=9), tag=short, key=short, body=st.binary(max_size=300))
def test_a_delivery_is_read_wherever_it_stands(before: bytes, behind: bytes, tag: str, key: str, body: bytes) -> None:
    pieces = (body,) if body else ()
    frames = method(channel=3, tag=tag, number=2**60, key=key, again=True) + content(*pieces, channel=3)
    read = read_delivery(before + frames + behind, len(before))
    assert read is not None
    assert (read.channel, read.consumer_tag, read.delivery_tag, read.redelivered) == (3, tag, 2**60, True)
    assert (read.exchange, read.routing_key, read.body) == (b"shop", key.encode(), body)
    assert read.properties == b"".join(spec.BasicProperties(message_id="m-1").encode())
    assert read.end == len(before + frames)


def test_a_delivery_that_is_torn_at_any_byte_is_not_whole() -> None:
    whole = method() + content(b"{}")
    assert read_delivery(whole, 0) is not None
    assert [end for end in range(len(whole)) if read_delivery(whole[:end], 0) is not None] == []


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(Heartbeat().marshal(), id="a heartbeat"),
        pytest.param(Method(1, spec.Basic.Return(312, "NO_ROUTE", "", "q")).marshal() + content(b"{}"), id="a return"),
        pytest.param(content(b"{}"), id="content of a method that was read before"),
        pytest.param(method() + content(b"{", b"}"), id="a body in two frames"),
        pytest.param(method() + content(b"{}", size=1), id="a body longer than its header says"),
        pytest.param(method() + content(b"{}", channel=2), id="content of another channel"),
        pytest.param(method() + Heartbeat().marshal() + content(b"{}"), id="a heartbeat in between"),
        pytest.param((method() + content(b"{}"))[:-1] + b"\0", id="a body without its end"),
        pytest.param(method()[:-1] + b"\0" + content(b"{}"), id="a method without its end"),
        pytest.param(method().replace(b"\x06orders", b"\x05orders") + content(b"{}"), id="arguments of another length"),
        pytest.param(
            method().replace(b"ctag", b"\xff\xff\xff\xff") + content(b"{}"), id="a consumer tag that is no text"
        ),
    ],
)
def test_anything_else_is_left_to_pika(frames: bytes) -> None:
    assert read_delivery(frames, 0) is None
