"""Subscriptions of browsers as they are registered: one spelling each, and what is none is refused in plain words."""

import json
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import InvalidRequestError
from hub.platforms.webpush.subscription import push_channel_of, subscription_of
from sandbox.subscriptions import base64url, raw_point
from tests.fakes.browsers import AUTH, P256DH, subscription

ENDPOINT = "https://push.example/The-quick_brown.fox~jumps/over:the;lazy=dog,0123456789?a=b&c=%2F$(x)[1]"
FLAT = {"endpoint": ENDPOINT, "p256dh": P256DH, "auth": AUTH}


@pytest.mark.parametrize(
    "text",
    [
        FLAT,
        {"Endpoint": ENDPOINT, "P256DH": P256DH, "Auth": AUTH, "expirationTime": None},
        {"endpoint": ENDPOINT, "expirationTime": None, "keys": {"p256dh": P256DH, "auth": AUTH}},
        FLAT | {"endpoint": ENDPOINT.replace("https://push.example", "https://PUSH.example:443")},
        FLAT | {"p256dh": P256DH.replace("-", "+").replace("_", "/") + "=", "auth": f"{AUTH}=="},
    ],
)
def test_each_spelling_of_a_subscription_is_the_same_push_channel(text: Any) -> None:
    assert push_channel_of(json.dumps(text)) == subscription(ENDPOINT)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://a.example/",
        "https://127.0.0.1:8443/x",
        "https://[2001:db8::1]/x",
        "https://[::1]:8443/",
        "https://a.example/?b",
    ],
)
def test_an_endpoint_may_be_at_any_host_and_keeps_its_spelling(endpoint: str) -> None:
    assert subscription_of(push_channel_of(subscription(endpoint))).endpoint == endpoint


def test_an_origin_without_a_path_has_the_root() -> None:
    assert subscription_of(push_channel_of(subscription("https://a.example?b"))).endpoint == "https://a.example/?b"
    assert subscription_of(push_channel_of(subscription("https://a.example"))).origin == "https://a.example"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/x", "ftp://push.example/x", "file:///etc/passwd", "javascript:alert(1)", "data:text/plain,x",
        "push.example/x", "//push.example/x", "https:/push.example/x", "https:///x", "https://",
        "https://user@push.example/",
        "https://user:word@push.example/", "https://push.example/#x", "https://push.example:0/",
        "https://push.example:65536/",
        "https://push.example:x/", "https://push.example/<a>",
        "https://push.example/a b", "https://push.example/\n", "https://push.example/\r\nHost: x",
        "https://push.exämple/", "https://push.example/ä", "https://push_example/", "https://push.example\\@evil.example/",
        "https://[::1/", "https://a.example/" + "x" * 2048, " https://push.example/", "https://push.example/\x00",
        'https://push.example/"', "gopher://push.example", "https://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
def test_an_odd_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^pushChannel: endpoint ha"):
        push_channel_of(subscription(endpoint))


OFF_CURVE = base64url(b"\x04" + b"\x01" * 64)
COMPRESSED = base64url(b"\x02" + b"\x01" * 32)
TOO_LARGE = base64url(b"\x04" + b"\xff" * 64)
INFINITY = base64url(b"\x00")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p256dh": OFF_CURVE}, "no point of the curve P-256"),
        ({"p256dh": TOO_LARGE}, "no point of the curve P-256"),
        ({"p256dh": base64url(b"\x04" + b"\0" * 64)}, "no point of the curve P-256"),
        ({"p256dh": COMPRESSED}, "this has 33"),
        ({"p256dh": INFINITY}, "this has 1"),
        ({"p256dh": base64url(raw_point(ec.generate_private_key(ec.SECP384R1()).public_key()))}, "this has 97"),
        ({"p256dh": base64url(b"\x05" + b"\x01" * 64)}, "uncompressed"),
        ({"p256dh": "*"}, "p256dh is not base64url"),
        ({"p256dh": "AAAAA"}, "p256dh is not base64url"),
        ({"p256dh": "ä"}, "p256dh is not base64url"),
        ({"auth": base64url(b"x" * 15)}, "this has 15"),
        ({"auth": base64url(b"x" * 17)}, "this has 17"),
        ({"auth": "x x"}, "auth is not base64url"),
        ({"auth": None}, "has the texts"),
        ({"auth": ["x"]}, "has the texts"),
        ({"p256dh": 7}, "has the texts"),
        ({"endpoint": ""}, "has the texts"),
        ({"endpoint": {"x": 1}}, "has the texts"),
    ],
)
def test_wrong_keys_are_refused_in_words_that_say_the_cure(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        push_channel_of(json.dumps(FLAT | changes))


@given(st.binary(min_size=64, max_size=64))
def test_a_point_is_taken_when_it_is_on_the_curve_and_at_no_other_time(coordinates: bytes) -> None:
    point = b"\x04" + coordinates
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        is_on_curve = True
    except ValueError:
        is_on_curve = False
    try:
        push_channel_of(json.dumps(FLAT | {"p256dh": base64url(point)}))
        is_taken = True
    except InvalidRequestError:
        is_taken = False
    assert is_taken is is_on_curve


def test_points_that_browsers_make_are_taken() -> None:
    for _ in range(50):
        point = raw_point(ec.generate_private_key(ec.SECP256R1()).public_key())
        made = subscription_of(push_channel_of(json.dumps(FLAT | {"p256dh": base64url(point)})))
        assert made.p256dh == point


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | JSON.map(lambda value: json.dumps(value)) | st.fixed_dictionaries(
    {name: JSON | st.just(FLAT[name]) for name in FLAT}
).map(json.dumps))  # fmt: skip
def test_any_text_is_a_subscription_or_is_refused_in_our_words(text: str) -> None:
    try:
        made = push_channel_of(text)
    except InvalidRequestError as error:
        refusal = str(error)
    else:
        assert push_channel_of(made) == made
        assert subscription_of(made).endpoint == orjson.loads(made)["endpoint"]
        return
    assert refusal.startswith("pushChannel: ")


@given(st.text(max_size=60))
def test_any_endpoint_is_taken_as_one_that_leads_where_it_says_or_is_refused(rest: str) -> None:
    try:
        made = subscription_of(push_channel_of(subscription(f"https://{rest}")))
    except InvalidRequestError:
        return
    assert made.endpoint.startswith(f"{made.origin}/")
    assert made.endpoint.isascii()
