"""Numbers and headers from a body or a broker to the property a phone gets: the whole way of one message."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge.wiring import route_of
from connectors.base import Message
from hub.notification import NativeContent, TemplateContent
from rules.decision import Decision
from tests.bridge.examples import read, section

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
JSON: dict[str, Any] = {"format": "json"}
XML: dict[str, Any] = {"format": "xml", "types": {"Amount": "decimal", "Share": "float", "Count": "int"}}


def decided(
    directory: Path, decode: Mapping[str, Any], body: str, push: Mapping[str, Any], **given: Any
) -> tuple[str, Decision]:
    """The event's id, and what the only rule says of a message."""
    rule = {"name": "r", "when": given.pop("when", "true"), "push": {"to": "everyone", **push}}
    source = {"rabbitmq": {"url": "amqp://127.0.0.1", "queue": {"name": "q"}}, "decode": dict(decode)}
    settings = read(
        directory,
        section("sources", {"s": {**source, "map": {"id": given.pop("id", "1")}}}),
        section("rules", [rule]),
        "hubs: { app: {} }",
    )
    route = route_of("s", settings.sources["s"], settings)
    message = Message(source="s", body=body.encode(), **given)
    event = route.to_event(message, route.decode(message), NOW)
    return event.id, settings.rules.route(event, now=NOW)


def filled(directory: Path, decode: Mapping[str, Any], body: str, text: str, **given: Any) -> str:
    _, decision = decided(directory, decode, body, {"with": {"a": text}}, **given)
    ((content,), failures) = ([intent.notification.content for intent in decision.intents], decision.failures)
    assert failures == ()
    assert isinstance(content, TemplateContent)
    return content.properties["a"]


@pytest.mark.parametrize(
    "decode, body, text, expected",
    [
        (JSON, '{"price": 19.95}', "{{ data.price * 3 }}", "59.85"),
        (JSON, '{"n": 0.00001}', "{{ data.n }}", "0.00001"),
        (JSON, '{"n": 1e16}', "{{ data.n }}", "10000000000000000"),
        (JSON, '{"n": 9007199254740993.25}', "{{ data.n }}", "9007199254740993.25"),
        (JSON, '{"n": 12345678901234567890123}', "{{ data.n + 1 }}", "12345678901234567890124"),
        (JSON, '{"n": [1e-7, {"m": 1e22}]}', "{{ data.n }}", '[0.0000001,{"m":10000000000000000000000}]'),
        (JSON, '{"n": -0.0}', "{{ data.n }}", "0.0"),
        (JSON, '{"a": 0.1, "b": 0.2}', "{{ data.a + data.b }}", "0.3"),
        (JSON, '{"t": "19.95"}', "{{ data.t | number * 2 }}", "39.90"),
        (XML, "<o><Amount>19.90</Amount></o>", "{{ data.Amount }}", "19.90"),
        (XML, "<o><Share>1e-7</Share></o>", "{{ data.Share }}", "0.0000001"),
        (XML, "<o><Amount>19.95</Amount><Share>0.05</Share></o>", "{{ data.Amount + data.Share }}", "20.00"),
        (XML, "<o><Amount>10.50</Amount><Count>3</Count></o>", "{{ data.Amount * data.Count }}", "31.50"),
    ],
)
def test_a_number_reaches_the_phone_as(
    decode: dict[str, Any], body: str, text: str, expected: str, tmp_path: Path
) -> None:
    assert filled(tmp_path, decode, body, text) == expected


@pytest.mark.parametrize(
    "decode, body",
    [
        (JSON, '{"Amount": 19.95}'),
        (JSON, '{"Amount": 1995e-2}'),
        (XML, "<o><Amount>19.950</Amount></o>"),
        ({"format": "xml", "types": {"Amount": "float"}}, "<o><Amount>19.95</Amount></o>"),
    ],
)
@pytest.mark.parametrize(
    "when",
    [
        "data.Amount == 19.95",
        "19.95 == data.Amount",
        "data.Amount <= 19.95",
        "data.Amount in [19.95]",
        "data.Amount | round(2) == 19.95",
        "data.Amount | abs <= 19.95",
        "data.Amount == meta.headers.limit",
        "data.Amount - meta.headers.limit == 0",
        "[data.Amount] == [19.95]",
        "not data.Amount != 19.95",
    ],
)
def test_one_amount_means_the_same_whatever_brought_it(
    decode: dict[str, Any], body: str, when: str, tmp_path: Path
) -> None:
    for limit in (19.95, Decimal("19.95")):
        _, decision = decided(tmp_path, decode, body, {"with": {"a": "b"}}, when=when, headers={"limit": limit})
        assert (decision.matched, decision.errors) == (("r",), ())


@pytest.mark.parametrize("number", ["1e16", "10000000000000000", "10000000000000000.0"])
def test_the_id_of_an_event_is_a_plain_number(number: str, tmp_path: Path) -> None:
    id_, _ = decided(tmp_path, JSON, f'{{"n": {number}}}', {"with": {"a": "b"}}, id="{{ data.n }}")
    assert id_ == "10000000000000000"


def test_a_native_payload_has_the_number(tmp_path: Path) -> None:
    push = {"native": {"apns": {"payload": {"aps": {"badge": "{{ data.n }}"}, "p": "{{ data.p * 3 }}", "c": 0.00001}}}}
    _, decision = decided(tmp_path, JSON, '{"n": 1e16, "p": 19.95}', push)
    ((content,),) = ([intent.notification.content for intent in decision.intents],)
    assert isinstance(content, NativeContent)
    assert content.payload == b'{"aps":{"badge":10000000000000000},"c":0.00001,"p":59.85}'


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({"x-github-delivery": "72d3"}, "72d3"),  # an HTTP server's spelling
        ({"X-GitHub-Delivery": "72d3"}, "72d3"),
        ({"x-github-delivery": "other", "X-GitHub-Delivery": "72d3"}, "72d3"),  # AMQP tells them apart
    ],
)
def test_a_header_is_found_whatever_its_case(headers: dict[str, Any], expected: str, tmp_path: Path) -> None:
    text = "{{ meta.headers['X-GitHub-Delivery'] }}"
    assert filled(tmp_path, JSON, "{}", text, headers=headers) == expected
    id_, _ = decided(tmp_path, JSON, "{}", {"with": {"a": "b"}}, id=text, headers=headers)
    assert id_ == expected
