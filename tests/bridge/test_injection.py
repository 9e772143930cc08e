"""Hostile values in every place that a rule or a map fills: an audience never widens, and what goes out stays whole.

The places are taken from the models: a new one without a case here fails the first test.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import orjson
import pytest
import yaml
from lxml import etree
from pydantic import BaseModel

from bridge.config.models.sources import Map
from bridge.intake.pipeline import Pipeline
from bridge.wiring import routes_of
from connectors.base import Message
from hub.acceptance import Reason
from hub.notification import NativeContent, Notification, TemplateContent
from hub.platforms.table import services
from hub.platforms.traits import PayloadKind
from hub.tags import And, MaxTags, Not, Or, Tag, parse
from rules import models
from rules.models import TEMPLATE, Form
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.accepting import FakeAccepting

HOSTILE = (
    "a || b", "a && b", "!a", "a) || (b", "(a", "everyone", "*", "$UserId:{boss}", "$InstallationId:{victim}",
    "x} || {y",
    "a'b", 'a"b', "a\\", "a\nb", "a\r\nX-Injected: yes", "\0", "\t", "\x1b[31m", "$(title)", "${env:HOME}",
    "${file:/etc/passwd}",
    "{{ data.secret }}", "{% raw %}", "{# #}", "<b>&amp;", "]]>", "<!--", "&#0;",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    '"}, "aps": {"alert": "x"', '", "admin": true, "x": "', "\u202eevil", "\u2066x\u2069", "\ufeff", "\u2028",
    "\u0000\uffff", "😀", "ſ", "İ",
    "\ud800", "9" * 400, "-0", "1e999", "NaN", "null", "true", "", " ", "a" * 100_000, "<" * 100_000, '"' * 100_000,
    "\\" * 100_000, "|| " * 33_000, "{{" * 50_000,
)  # fmt: skip
PLAIN = "7"
"""A value that is good nearly everywhere: a tag, an amount."""
TIMES = dict.fromkeys(("schedule.at", "map.time"), "2026-03-01T12:00:00Z")
"""A good value where a time is wanted."""

X = "{{ data.x }}"


def _payloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """The native payload of each service: as an object, as a text, and its headers."""
    for each in services():
        text = each.sample_template.replace("$(title)", X).replace("$(body)", f"b {X}")
        payload: Any = text if each.payload is PayloadKind.XML else json.loads(text)
        headers = (
            {f"{each.header_prefix}test" if each.header_prefix else each.header_names[0]: X} if each.headers else {}
        )
        plain = {"payload": payload} | (
            {"headers": {f"{each.header_prefix}type": "wns/toast"}} if each.name == "wns" else {}
        )
        yield f"push.native.{each.name}.payload", {"push": {"native": {each.name: plain}}}
        yield f"push.native.{each.name}.payload (text)", {"push": {"native": {each.name: {**plain, "payload": text}}}}
        if headers:
            of_kind = {**plain.get("headers", {}), **headers}
            yield f"push.native.{each.name}.headers", {"push": {"native": {each.name: {**plain, "headers": of_kind}}}}


_LEVELLED = {"to": "topic:debits", "level": X}
CASES: Mapping[str, dict[str, Any]] = {
    **dict(_payloads()),
    "push.to": {"push": {"to": f"team:{X} && !region:{X} || a.{X}.b"}},
    "push.to (whole)": {"push": {"to": X}},
    "push.to.user": {"push": {"to": {"user": X}}},
    "push.to.installation": {"push": {"to": {"installation": X}}},
    "push.with": {"push": {"with": {"title": X, "body": f"{X} and {X}"}}},
    "push.level": {"push": _LEVELLED},
    "push.collapse": {"push": {"collapse": f"c-{X}"}},
    "push.live_activity.start": {
        "push": {
            "live_activity": {
                "start": {"a": X, "b": [X]},
                "aps": {"attributes-type": "A", "attributes": {}, "alert": {}},
            }
        }
    },
    "push.live_activity.update": {"push": {"live_activity": {"update": {"a": X, "b": [f"n {X}"]}}}},
    "push.live_activity.end": {"push": {"live_activity": {"end": {"a": X}}}},
    "push.live_activity.aps": {"push": {"live_activity": {"update": {"a": 1}, "aps": {"alert": {"title": X}}}}},
    "push.live_activity.channel": {"push": {"live_activity": {"update": {"a": 1}, "channel": X}, "to": None}},
    "schedule.at": {"schedule": {"at": X}},
    "dedupe.key": {"dedupe": {"key": f"d-{X}", "for": "1h"}},
    "throttle.key": {"throttle": {"key": X, "max": 5, "per": "1h"}},
    "key": {"key": X, "order": "key"},
    "cancel.key": {"cancel": {"key": X}},
    "defaults.push.collapse": {"defaults": {"push": {"collapse": X}}},
    **{f"map.{name}": {"map": {name: X}} for name in Map.model_fields},
}
"""By place, what a rule has beside what all have, or what the section has; one place may have several cases."""

NOT_FILLED = {"when"}
"""Expressions that are no text."""


def places(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The keys of a model, and of those in it, whose text or values are filled from an event."""
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        forms = {each.words for each in field.metadata if isinstance(each, Form)}
        yield from _places(field.annotation, key, forms)


def _places(kind: Any, key: str, forms: set[str]) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from places(kind, f"{key}.")
    elif get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        yield from _places(inner, key, forms | {each.words for each in metadata if isinstance(each, Form)})
    elif get_origin(kind) in (Union, UnionType, tuple):
        found = [place for inner in get_args(kind) for place in _places(inner, key, forms)]
        yield from dict.fromkeys(found)
    elif isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        value = get_args(kind)[1]
        if value is Any:
            yield key
        else:
            yield from _places(value, key, forms)
    elif forms & {TEMPLATE.words, "expression"}:
        yield key


def test_each_place_that_is_filled_has_a_case() -> None:
    found = {*places(models.Rule), *(f"defaults.{each}" for each in places(models.Defaults))} - NOT_FILLED
    found |= {f"map.{name}" for name in Map.model_fields}
    has_no_headers = {f"push.native.{each.name}.headers" for each in services() if not each.headers}
    covered = {case.partition(" ")[0] for case in CASES}
    assert found - has_no_headers == covered


@cache
def way(case: str) -> tuple[Pipeline, FakeAccepting, FakeIntakeObserver]:
    given = CASES[case]
    push = {"to": "everyone", "with": {"title": "t"}} | given.get("push", {})
    if "native" in push or "live_activity" in push:
        del push["with"]
    push = {key: value for key, value in push.items() if value is not None}
    rule = {"name": "r", "push": push, **{key: given[key] for key in given if key not in ("push", "map", "defaults")}}
    source = {"http": {"path": "/in/s"}, "map": {"id": "{{ data.id }}", **given.get("map", {})}}
    registration = {
        "path": "/register",
        "auth": {"oidc": {"issuer": "https://login.example", "audience": "a"}},
        "topics": {"debits": {"levels": [1, 5, 100]}},
    }
    whole = {
        "sources": {"s": source},
        "hubs": {"app": {"registration": registration if case == "push.level" else None}},
        "rules": [rule],
        "defaults": given.get("defaults", {}),
    }
    with TemporaryDirectory() as directory:
        settings = read(Path(directory), yaml.safe_dump(whole))
    hub, told = FakeAccepting(), FakeIntakeObserver()
    return Pipeline(routes_of(settings), settings.rules, hub, observer=told), hub, told


def outcome(case: str, value: str, number: int) -> tuple[list[Notification], list[Any]]:
    """The notifications and the dead letters of an event with the value."""
    pipeline, hub, told = way(case)
    body = json.dumps({"id": f"e{number}", "x": value}).encode()
    asyncio.run(pipeline.handle([Message(source="s", body=body, is_alone=False)]))
    assert told.crashes == []
    arrival = hub.arrivals[-1]
    return list(arrival.notifications), list(arrival.dead_letters)


def shape(notification: Notification) -> Any:
    """Everything of a notification that a value has no part in."""
    match notification.content:
        case TemplateContent(properties=properties):
            orjson.loads(orjson.dumps(dict(properties)))
            content: Any = sorted(properties)
        case NativeContent(payload=payload, headers=headers):
            text = payload if isinstance(payload, str) else payload.decode()
            content = _of_xml(text) if text.lstrip().startswith("<") else _of_json(orjson.loads(text)), sorted(headers)
            assert not any(ord(char) < 0x20 or ord(char) == 0x7F for char in "".join(headers.values()))
        case other:
            content = type(other)
    return _of_audience(notification.audience), content, notification.platforms, notification.priority, notification.hub


def _of_audience(audience: Any) -> Any:
    match audience:
        case Tag(name=name):
            assert parse(name, max_tags=MaxTags()) == audience
            return "tag", name.startswith("$")
        case Not() | And() | Or():
            assert parse(str(audience), max_tags=MaxTags()) == audience
            inner = [getattr(audience, name) for name in audience.__dataclass_fields__]
            flat = [one for each in inner for one in (each if isinstance(each, tuple) else (each,))]
            return type(audience).__name__, *map(_of_audience, flat)
    return type(audience).__name__


def _of_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: _of_json(entry) for key, entry in value.items()}
        case list():
            return [_of_json(item) for item in value]
    return "value"


def _of_xml(text: str) -> Any:
    def of(element: Any) -> Any:
        return element.tag, sorted(element.attrib), [of(each) for each in element]

    return of(etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, huge_tree=True)))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_hostile_value_is_data_or_costs_its_rule_alone(case: str) -> None:
    plain, letters = outcome(case, TIMES.get(case, PLAIN), -1)
    assert not letters, "the harmless value is good here"
    wanted = [shape(each) for each in plain]
    assert wanted or case == "cancel.key"
    for number, value in enumerate(HOSTILE):
        began = time.process_time()
        notifications, letters = outcome(case, value, number)
        assert time.process_time() - began < 5, f"{value[:20]!r} took long"  # all of a worker's garbage may be in it
        for letter in letters:
            assert letter.reason in {reason.value for reason in Reason} - {Reason.CRASH.value}
            assert letter.detail.isprintable()
            assert len(letter.detail) < 2_000
        if not letters and (notifications or case != "push.level"):  # of so little no phone hears
            assert [shape(each) for each in notifications] == wanted, f"{value[:40]!r}"


def test_a_service_tag_is_never_made_of_a_value() -> None:
    for number, value in enumerate(HOSTILE):
        for notification in outcome("push.to (whole)", value, number)[0]:
            assert isinstance(notification.audience, Tag)
            assert not notification.audience.name.startswith("$")


def test_a_value_that_is_no_text_is_no_audience() -> None:
    pipeline, hub, _ = way("push.to (whole)")
    for number, value in enumerate([["a", "b"], {"a": 1}, None]):
        message = Message(source="s", body=json.dumps({"id": f"n{number}", "x": value}).encode(), is_alone=False)
        asyncio.run(pipeline.handle([message]))
        assert not hub.arrivals[-1].notifications
