"""Signed webhooks: the vendors' published examples, what is refused, and that no secret is shown."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import ACK
from connectors.http import HttpSettings
from connectors.http.signature import HmacAuth, SignatureError, check_of
from tests.connectors.test_http import NOW, exchange, posted_to

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
    b".803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
AT = int(NOW.timestamp())


def hexed(secret: str, signed: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), signed, algorithm).hexdigest()


def stripe(body: bytes, secret: str, *, at: int = AT) -> str:
    return f"t={at},v1={hexed(secret, b'%d.' % at + body)}"


def check(settings: dict[str, Any], headers: Mapping[str, str], body: bytes, *, now: float = AT) -> None:
    check_of(HmacAuth.model_validate(settings), headers, now=now)(body)


def test_the_example_that_github_publishes_is_taken() -> None:
    """GitHub, "Validating webhook deliveries", section "Testing the webhook payload validation"."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    settings = {"preset": "github", "secrets": "It's a Secret to Everybody"}
    check(settings, {"x-hub-signature-256": signature}, b"Hello, World!")


def test_the_example_that_slack_publishes_is_taken() -> None:
    """Slack, "Verifying requests from Slack"."""
    headers = {"x-slack-signature": SLACK_SIGNATURE, "x-slack-request-timestamp": "1531420618"}
    check({"preset": "slack", "secrets": SLACK_SECRET}, headers, SLACK_BODY, now=1531420618 + 300)


def test_the_example_that_standard_webhooks_publishes_is_taken() -> None:
    """The specification of Standard Webhooks, whose libraries test with it."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,eA== v1,eA== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    settings = {"preset": "standard_webhooks", "secrets": ["old", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
    check(settings, headers, b'{"test": 2432232314}', now=1614265330)
    for changed in ({"webhook-id": "msg_other"}, {"webhook-id": ""}, {"webhook-timestamp": "1614265331"}):
        with pytest.raises(SignatureError):
            check(settings, headers | changed, b'{"test": 2432232314}', now=1614265330)


def test_stripe_signs_the_time_and_may_show_signatures_of_two_secrets_and_of_other_schemes() -> None:
    body = b'{"id": "evt_1"}'
    header = f"t={AT},v1={hexed('old', b'x')},v1={hexed('whsec_new', b'%d.' % AT + body)},v0={hexed('t', b'x')}"
    check({"preset": "stripe", "secrets": "whsec_new"}, {"stripe-signature": header}, body)


def test_shopify_writes_base64() -> None:
    digest = hmac.new(b"hush", b'{"order": 1}', hashlib.sha256).digest()
    headers = {"x-shopify-hmac-sha256": base64.b64encode(digest).decode()}
    check({"preset": "shopify", "secrets": "hush"}, headers, b'{"order": 1}')


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_scheme_may_be_spelled_out(algorithm: str) -> None:
    settings = {"header": "X-Signature", "algorithm": algorithm, "prefix": "sig=", "secrets": "s"}
    check(settings, {"x-signature": f"sig={hexed('s', b'body', algorithm).upper()}"}, b"body")


def test_a_spelled_out_scheme_may_sign_a_time() -> None:
    settings = {"header": "X-Signature", "timestamp_header": "X-Time", "secrets": "s"}
    headers = {"x-signature": hexed("s", b"%d.body" % AT), "x-time": str(AT)}
    check(settings, headers, b"body")
    with pytest.raises(SignatureError, match="more than 300 s"):
        check(settings, headers, b"body", now=AT + 301)


@pytest.mark.parametrize("secret", ["old", "new", "wrong"])
def test_signatures_are_compared_in_constant_time_and_under_each_secret(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def noting(expected: bytes, shown: bytes) -> bool:
        compared.append((expected, shown))
        return real(expected, shown)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    headers = {"x-hub-signature-256": f"sha256={hexed(secret, b'body')}"}
    with nullcontext() if secret != "wrong" else pytest.raises(SignatureError):
        check({"preset": "github", "secrets": ["old", "new"]}, headers, b"body")
    shown = bytes.fromhex(hexed(secret, b"body"))
    assert compared == [(bytes.fromhex(hexed(each, b"body")), shown) for each in ("old", "new")]


@pytest.mark.parametrize("secret", ["old", "new"])
def test_while_secrets_change_either_is_good(secret: str) -> None:
    check(
        {"preset": "github", "secrets": ["old", "new", ""]},
        {"x-hub-signature-256": f"sha256={hexed(secret, b'b')}"},
        b"b",
    )


@pytest.mark.parametrize(
    "headers, body, now, complaint",
    [
        ({}, b"b", AT, "not signed: there is no header stripe-signature"),
        ({"stripe-signature": "nonsense"}, b"b", AT, "no signature of the form v1=HEX"),
        ({"stripe-signature": "v1=zz"}, b"b", AT, "no signature of the form v1=HEX"),
        ({"stripe-signature": "v1=é"}, b"b", AT, "no signature of the form v1=HEX"),
        ({"stripe-signature": "v1=" + "0" * 5000}, b"b", AT, "more than 4096 characters"),
        ({"stripe-signature": "v1=00"}, b"b", AT, "t= in the header stripe-signature is missing"),
        ({"stripe-signature": "t=soon,v1=00"}, b"b", AT, "no time in seconds"),
        ({"stripe-signature": "t=-1,v1=00"}, b"b", AT, "no time in seconds"),
        ({"stripe-signature": "t=٣,v1=00"}, b"b", AT, "no time in seconds"),
        ({"stripe-signature": stripe(b"b", "s")}, b"b", AT + 301, "an old request, or a wrong clock"),
        ({"stripe-signature": stripe(b"b", "s")}, b"b", AT - 301, "an old request, or a wrong clock"),
        ({"stripe-signature": stripe(b"b", "s")}, b"b ", AT, "not that of this body"),
        ({"stripe-signature": stripe(b"b", "other")}, b"b", AT, "not that of this body"),
        ({"stripe-signature": stripe(b"b", "s").replace(f"t={AT}", f"t={AT + 1}")}, b"b", AT, "not that of this body"),
    ],
)
def test_what_is_not_signed_as_asked_is_refused_in_words(
    headers: dict[str, str], body: bytes, now: float, complaint: str
) -> None:
    with pytest.raises(SignatureError, match=complaint):
        check({"preset": "stripe", "secrets": "s"}, headers, body, now=now)


@given(st.text(max_size=200), st.sampled_from(["github", "stripe", "slack", "shopify", "standard_webhooks"]))
def test_any_header_is_refused_in_our_words(value: str, preset: str) -> None:
    settings = HmacAuth.model_validate({"preset": preset, "secrets": "c2VjcmV0"})
    headers = {settings.scheme.header: value, "x-slack-request-timestamp": value, "webhook-id": value}
    with pytest.raises(SignatureError):
        check_of(settings, headers, now=AT)(b"body")


@pytest.mark.parametrize(
    "settings, complaint",
    [
        ({}, "secrets"),
        ({"secrets": "s"}, r"write preset \(github, shopify, slack, standard_webhooks, stripe\), or header"),
        ({"secrets": "s", "preset": "github", "header": "X-A"}, "preset github says what header is"),
        ({"secrets": "s", "preset": "github", "max_age": 5}, "max_age needs a time that is signed"),
        ({"secrets": "s", "header": "X A"}, "not the name of a header"),
        ({"secrets": "s", "header": "X-A", "algorithm": "md5"}, "algorithm"),
        ({"secrets": [], "preset": "github"}, "secrets"),
        ({"secrets": "", "preset": "github"}, "secrets"),
        ({"secrets": "s", "preset": "gitlab"}, "preset"),
        ({"secrets": "whsec_no base64!", "preset": "standard_webhooks"}, "what follows whsec_ is not base64"),
    ],
)
def test_a_scheme_that_cannot_be_is_named(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        HmacAuth.model_validate(settings)


def test_secrets_are_not_shown() -> None:
    shown = repr(HttpSettings(path="/in", auth={"hmac": {"preset": "github", "secrets": ["canary"]}}))  # type: ignore[arg-type]
    assert "canary" not in shown


async def test_a_signed_request_is_taken_and_its_signature_is_not_kept() -> None:
    async with posted_to(auth={"hmac": {"preset": "github", "secrets": "s"}}) as (source, client):
        headers = {"X-Hub-Signature-256": f"sha256={hexed('s', b'{}')}", "X-GitHub-Event": "ping"}
        response, (message,) = await exchange(source, client.post("/in", content=b"{}", headers=headers), ACK)
    assert response.status_code == 202
    assert "x-hub-signature-256" not in message.headers
    assert message.headers["x-github-event"] == "ping"


@pytest.mark.parametrize("signature, body", [("", b"{}"), ("sha256=00", b"{}"), ("sha256=00", b"x" * 300_000)])
async def test_a_request_with_no_good_signature_is_refused(signature: str, body: bytes) -> None:
    async with posted_to(auth={"hmac": {"preset": "github", "secrets": "canary"}}) as (source, client):
        response = await client.post("/in", content=body, headers={"X-Hub-Signature-256": signature})
        assert (await source.backlog()).messages == 0
    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Signature realm="web"')
    assert "canary" not in response.text


async def test_an_unsigned_body_is_not_read() -> None:
    """Else who has no secret could make the process hold as many bodies as requests are allowed."""

    async def endless() -> Any:
        raise AssertionError("the body was asked for")
        yield b""

    async with posted_to(auth={"hmac": {"preset": "github", "secrets": "s"}}) as (_, client):
        response = await client.post("/in", content=endless())
    assert response.status_code == 401


async def test_a_body_over_the_limit_is_refused_before_it_is_hashed() -> None:
    async with posted_to(max_body=10, auth={"hmac": {"preset": "github", "secrets": "s"}}) as (_, client):
        response = await client.post("/in", content=b"x" * 11, headers={"X-Hub-Signature-256": "sha256=00"})
    assert response.status_code == 413


async def test_slack_is_told_its_challenge_if_it_is_slack() -> None:
    body = json.dumps({"token": "t", "challenge": "3eZbrw1aB", "type": "url_verification"}).encode()
    headers = {
        "X-Slack-Signature": f"v0={hexed('s', b'v0:%d:' % AT + body)}",
        "X-Slack-Request-Timestamp": str(AT),
    }
    async with posted_to(auth={"hmac": {"preset": "slack", "secrets": "s"}}) as (_, client):
        response = await client.post("/in", content=body, headers=headers)
        forged = await client.post("/in", content=body.replace(b"3eZ", b"4eZ"), headers=headers)
    assert (response.status_code, response.json()) == (200, {"challenge": "3eZbrw1aB"})
    assert forged.status_code == 401


def test_the_clock_of_the_vectors_is_that_of_the_source() -> None:
    assert datetime.fromtimestamp(AT, UTC) == NOW
