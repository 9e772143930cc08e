"""Whatever a message holds: it comes to an end, crashes nothing, and is data in all that goes out."""

import asyncio
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import EventOutcome
from bridge.wiring import routes_of
from connectors.base import Message
from hub.notification import NativeContent, Notification, Platform, TemplateContent
from hub.tags import MaxTags, TagExpression, parse
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.accepting import FakeAccepting

CONFIGURATION = """
sources:
  json: { http: { path: /in/json }, map: { id: "{{ data.id | default('i') }}", type: "{{ data.type | default('t') }}" } }
  xml: { http: { path: /in/xml }, decode: { format: xml, types: { a: decimal, "@d": datetime } }, map: { id: i } }
  text: { http: { path: /in/text }, decode: { format: text, pattern: "(?P<a>[^ ]*) ?(?P<b>.*)" }, map: { id: i } }
  cloud: { http: { path: /in/cloud, format: cloudevents } }
hubs: { app: {} }
rules:
  - name: pattern
    match: { data: { a: { any: { gte: 5 }, all: { not: [x, null] } } } }
    push: { to: "k:{{ data.b }}", with: { t: "{{ data }}" } }
  - { name: user, push: { to: { user: "{{ data.a }}" }, with: { t: "{{ data.b }}" } } }
  - name: tags
    push: { to: "a || {{ data.a }}.{{ data.b }} && !{{ type }}", with: { t: "{{ data.c | join | urlencode }}" } }
  - name: when
    when: "data.a + data.b == data.c or data.a in data.c or data.a > data.b"
    push: { to: everyone, with: { t: "{{ data.a | number | round(2) }}" } }
  - name: json
    push:
      to: everyone
      native:
        apns:
          payload: { aps: { badge: "{{ data.a }}", alert: "x {{ data.b }}" } }
          headers: { apns-collapse-id: "{{ data.b }}" }
  - name: xml
    push:
      to: { installation: "{{ data.c | default('c') }}" }
      native:
        wns: { payload: "<t a='{{ data.a }}'>{{ data.b }}</t>" }
"""

hostile = st.sampled_from(
    ["a || b", "a)", "$UserId:{x}", "everyone", "<b>&", "]]>", "'", "\r\nx: y", "\0", "{{ data }}", "9" * 30, "‮", "😀"]
)
plain = st.sampled_from(["a", "c9", 7, 10**25, 5e-324, 1.7e308, None])
values = st.recursive(
    plain | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "c", "id", "type"]), hostile | plain | values, max_size=5)
escaped = st.sampled_from(["1", "<a/>", "<![CDATA[<]]>", "&lt;", "&#0;", "&#x1F600;", "</b>", "||", "9" * 80])


@cache
def way() -> tuple[Pipeline, FakeAccepting, FakeIntakeObserver]:
    with TemporaryDirectory() as directory:
        settings = read(Path(directory), CONFIGURATION)
    hub, told = FakeAccepting(), FakeIntakeObserver()
    return Pipeline(routes_of(settings), settings.rules, hub, observer=told), hub, told


def notifications_of(message: Message) -> list[Notification]:
    """What goes out for a message, which came to its end in our own words."""
    pipeline, hub, told = way()
    before = len(told.stored)
    asyncio.run(pipeline.handle([replace(message, is_alone=False)]))  # alone it would be refused, and not kept
    assert told.crashes == []
    (passage,) = told.stored[before:]
    arrival = hub.arrivals[-1]
    for letter in arrival.dead_letters:
        assert letter.body == message.body
        assert letter.reason != "crash"
        assert letter.detail.isprintable()
    assert bool(arrival.dead_letters) >= (passage.outcome is EventOutcome.DEAD_LETTER)
    return list(arrival.notifications)


def assert_is_data(notification: Notification) -> None:
    """Operators, keys, elements and header lines are those of the configuration."""
    audience = notification.audience
    if isinstance(audience, TagExpression):
        assert parse(str(audience), max_tags=MaxTags()) == audience
        assert (str(audience).count("||"), str(audience).count("&&")) == (
            (1, 1) if notification.rule == "tags" else (0, 0)
        )
    match notification.content:
        case TemplateContent(properties=properties):
            assert orjson.loads(orjson.dumps(dict(properties))).keys() == {"t"}
        case NativeContent(platform=Platform.APNS, payload=payload, headers=headers):
            assert orjson.loads(payload)["aps"].keys() == {"badge", "alert"}
            assert not re.search(r"[\x00-\x1f]", "".join(headers.values()))
        case NativeContent(payload=payload):
            root = etree.fromstring(payload)
            assert (root.tag, len(root), root.attrib.keys()) == ("t", 0, ["a"])


def assert_all_is_data(source: str, body: str, content_type: str | None = None) -> None:
    for notification in notifications_of(Message(source=source, body=body.encode(), content_type=content_type)):
        assert_is_data(notification)


@pytest.mark.slow
@given(data=objects)
def test_any_json_is_data_in_all_that_goes_out(data: dict[str, Any]) -> None:
    assert_all_is_data("json", json.dumps(data))


@given(data=objects)
def test_any_data_of_a_cloudevent_is_data_in_all_that_goes_out(data: dict[str, Any]) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": str(data.get("type") or "t"), "data": data}
    assert_all_is_data("cloud", json.dumps(event), "application/cloudevents+json")


@given(members=st.dictionaries(st.sampled_from("abc"), escaped | st.text(max_size=10), max_size=3))
def test_any_xml_is_data_in_all_that_goes_out(members: dict[str, str]) -> None:
    assert_all_is_data("xml", f"<r>{''.join(f'<{name}>{text}</{name}>' for name, text in members.items())}</r>")


@given(text=st.text(max_size=30))
def test_any_text_is_data_in_all_that_goes_out(text: str) -> None:
    assert_all_is_data("text", text)


@pytest.mark.parametrize("source", ["json", "xml", "text", "cloud"])
@given(
    body=st.binary(max_size=40), content_type=st.none() | st.sampled_from(["text/xml; charset=x", "x/y;charset=utf-16"])
)
def test_any_bytes_come_to_an_end(source: str, body: bytes, content_type: str | None) -> None:
    for notification in notifications_of(Message(source=source, body=body, content_type=content_type)):
        assert_is_data(notification)
