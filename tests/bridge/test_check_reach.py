"""What no event of a source can have is warned of where a rule asks for it; what a source may have is not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pika import BasicProperties

from connectors.http.entry import HTTP
from connectors.rabbitmq import RabbitMqSource
from connectors.rabbitmq.entry import RABBITMQ
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.servicebus import message as servicebus
from connectors.servicebus.entry import SERVICE_BUS
from tests.bridge.examples import complaints

CONFIG = r"""
sources:
  hr:
    http: { path: /in/hr }
    decode: { format: text, pattern: '(?P<id>\d+) (?P<what>.+)' }
    map: { id: "{{ data.id }}", type: "hr.employee.{{ data.what | lower }}" }
  line: { http: { path: /in/line }, decode: { format: text }, map: { id: "{{ data }}" } }
  shop: { rabbitmq: { url: "amqp://x", queue: { name: q } }, map: { id: "{{ data.id }}", type: shop.order } }
  cloud: { http: { path: /in/cloud, format: cloudevents } }
  bus: { servicebus: { connection: { namespace: a, credential: managed_identity }, queue: { name: q } } }
hubs: { app: {} }
rules:
"""
PUSH = "push: { to: x, with: { a: b } }"


def said(directory: Path, *rules: str, config: str = CONFIG) -> list[str]:
    return complaints(directory, config + "".join(f"  - {{ name: r{i}, {rule} }}\n" for i, rule in enumerate(rules)))


@pytest.mark.parametrize(
    ("rule", "key", "message"),
    [
        # groups that the pattern does not have, wherever a rule reads
        (f"source: hr, match: {{ data: {{ idd: x }} }}, {PUSH}", "match.data.idd", "no group idd (did you mean id?)"),
        (f"source: hr, match: {{ data: [ {{ idd: x }} ] }}, {PUSH}", "match.data[0].idd", "no group idd"),
        (f'source: hr, when: "data.idd == 1", {PUSH}', "when", "no group idd"),
        (f"source: hr, when: \"data['idd'] == 1\", {PUSH}", "when", "no group idd"),
        (f'source: hr, when: "data.idd | default(1) == 1", {PUSH}', "when", "no group idd"),
        ('source: hr, push: { to: "x:{{ data.idd }}", with: { a: b } }', "push.to", "no group idd"),
        ('source: hr, push: { to: { user: "{{ data.idd }}" }, with: { a: b } }', "push.to.user", "no group idd"),
        ('source: hr, push: { to: x, with: { a: "{{ data.idd | upper }}" } }', "push.with.a", "no group idd"),
        ('source: hr, push: { to: x, with: { a: b }, collapse: "{{ data.idd }}" }', "push.collapse", "no group idd"),
        (f'source: hr, dedupe: {{ key: "{{{{ data.idd }}}}", for: 1h }}, {PUSH}', "dedupe.key", "no group idd"),
        (
            f'source: hr, throttle: {{ key: "{{{{ data.idd }}}}", max: 1, per: 1h }}, {PUSH}',
            "throttle.key",
            "no group idd",
        ),
        (f'source: hr, key: "{{{{ data.idd }}}}", {PUSH}', "key", "no group idd"),
        (f'source: hr, schedule: {{ at: "{{{{ data.idd }}}}" }}, {PUSH}', "schedule.at", "no group idd"),
        (
            'source: hr, push: { to: x, live_activity: { update: { a: "{{ data.idd }}" } } }',
            "push.live_activity.update.a",
            "no group idd",
        ),
        (
            'source: hr, push: { to: x, with: { a: "{{ digest.cuont }}" } }',
            "push.with.a",
            "a digest has no cuont (did you mean count?)",
        ),
        (
            'source: hr, push: { to: x, native: { apns: { payload: { aps: { alert: "{{ data.idd }}" } } } } }',
            "push.native.apns.payload.aps.alert",
            "no group idd",
        ),
        (
            'source: hr, push: { to: x, native: { wns: { payload: raw, headers: { X-WNS-Tag: "{{ data.idd }}" } } } }',
            "push.native.wns.headers.X-WNS-Tag",
            "no group idd",
        ),
        ('source: hr, push: { to: x, with: { a: "{{ data.id.x }}" } }', "push.with.a", "is text, which has no field x"),
        (f'source: shop, when: "time.year > 2000", {PUSH}', "when", "time is text, which has no field year"),
        ('push: { to: x, with: { a: "{{ source.name }}" } }', "push.with.a", "source is text, which has no field name"),
        ('push: { to: "a:{{ subject.nr }}", with: { a: b } }', "push.to", "subject is text, which has no field nr"),
        (f'source: line, when: "data.id == 1", {PUSH}', "when", "one text, which has no field id"),
        ('source: [hr, shop], push: { to: x, with: { a: "{{ data.nr }}" } }', "push.with.a", "no group nr"),
        # what a broker does not say
        (f'source: shop, when: "meta.timestmp", {PUSH}', "when", "meta.timestmp (did you mean timestamp?)"),
        (f"source: shop, match: {{ meta: {{ routingkey: x }} }}, {PUSH}", "match.meta.routingkey", "routing_key?"),
        (f'source: bus, when: "meta.enqueued", {PUSH}', "when", "did you mean enqueued_time?"),
        (f"source: hr, when: \"meta['X-GitHub-Event'] == 'push'\", {PUSH}", "when", "meta.headers['X-GitHub-Event']"),
        # types, sources and subjects that no map makes
        (f"source: shop, match: {{ type: shop.ordr }}, {PUSH}", "match.type", "did you mean shop.order?"),
        (f"source: bus, match: {{ type: order.created }}, {PUSH}", "match.type", "type of bus is bus"),
        (
            f"source: hr, match: {{ type: hr.employe.left }}, {PUSH}",
            "match.type",
            "hr.employee.{{ data.what | lower }}",
        ),
        (f"source: hr, match: {{ type: hr.employee.Left }}, {PUSH}", "match.type", "no event has this type"),
        (f"source: hr, match: {{ type: [hr.employee.left, hr.x] }}, {PUSH}", "match.type[1]", "no event has this type"),
        (f"source: hr, match: {{ type: {{ prefix: hr.x }} }}, {PUSH}", "match.type", "no event has this type"),
        (f"source: shop, match: {{ type: {{ suffix: .created }} }}, {PUSH}", "match.type", "no event has this type"),
        (f"source: shop, match: {{ type: {{ glob: 'order.*' }} }}, {PUSH}", "match.type", "no event has this type"),
        (f"source: shop, match: {{ type: {{ ignore_case: SHOP.X }} }}, {PUSH}", "match.type", "no event has this type"),
        (f"source: shop, match: {{ source: /bank }}, {PUSH}", "match.source", "source of shop is /shop"),
        (f"source: shop, match: {{ subject: x }}, {PUSH}", "match.subject", "its map does not say it"),
        (
            f"source: [hr, shop], match: {{ type: shop.order }}, {PUSH}",
            "source[0]",
            "no event of this source has the type",
        ),
        # texts
        *(
            (f"source: shop, push: {{ to: x, with: {{ a: '{text}' }} }}", "push.with.a", cure)
            for text, cure in (
                ("Hi $(name)", "write {{ data.name }}"),
                ("Hi $.name", "write {{ data.name }}"),
                ("Hi $data.name", "write {{ data.name }}"),
                ("Hi {name}", "write {{ data.name }}"),
                ("Hi {data.name}", "write {{ data.name }}"),
                ("Hi #{name}", "write {{ data.name }}"),
                ("Hi %name%", "write {{ data.name }}"),
                ("Hi <%= name %>", "write {{ data.name }}"),
                ("Hi [[name]]", "write {{ data.name }}"),
                ("Hi %(name)s", "write {{ data.name }}"),
                ("{{ data.x }} and $(name)", "write {{ data.name }}"),
            )
        ),
        (
            "source: shop, push: { to: x, native: { apns: { payload: { aps: { alert: $(name) } } } } }",
            "push.native.apns.payload.aps.alert",
            "write {{ data.name }}",
        ),
        # who and how long
        *(
            (f"source: shop, push: {{ to: {word}, with: {{ a: b }} }}", "push.to", "write to: everyone")
            for word in ("all", "ALL", "everybody", "broadcast", "all_users", "'*'")
        ),
        ("source: shop, push: { to: x, with: { a: b }, ttl: 3600 }", "push.ttl", "write the unit: 1h"),
        ("source: shop, push: { to: x, with: { a: b }, ttl: 5400 }", "push.ttl", "write the unit: 1h30m"),
    ],
)
def test_what_can_never_be_is_warned_of_once(rule: str, key: str, message: str, tmp_path: Path) -> None:
    (found,) = said(tmp_path, rule)
    assert f": rules[0].{key}: " in found
    assert message in found
    assert "warning: " in found or "'*'" in rule


@pytest.mark.parametrize(
    "rule",
    [
        'source: hr, push: { to: "x:{{ data.id }}", with: { a: "{{ data.what | title }}" } }',
        f"source: hr, match: {{ data: {{ idd: {{ exists: false }} }} }}, {PUSH}",
        f"source: hr, match: {{ type: hr.employee.left }}, {PUSH}",
        f"source: hr, match: {{ type: {{ prefix: hr. }} }}, {PUSH}",
        f"source: hr, match: {{ type: {{ prefix: hr.employee.left. }} }}, {PUSH}",
        f"source: hr, match: {{ type: {{ suffix: left }} }}, {PUSH}",
        f"source: hr, match: {{ type: {{ glob: 'hr.*.left' }} }}, {PUSH}",
        f"source: hr, match: {{ type: {{ ignore_case: HR.Employee.LEFT }} }}, {PUSH}",
        f"source: hr, match: {{ type: {{ not: hr.x }} }}, {PUSH}",
        f"source: hr, match: {{ subject: {{ exists: false }} }}, {PUSH}",
        f"source: [hr, shop], match: {{ type: [shop.order, hr.employee.left] }}, {PUSH}",
        f"source: cloud, match: {{ type: com.github.push, subject: x, meta: {{ dataschema: x }} }}, {PUSH}",
        f"match: {{ type: whatever.comes }}, {PUSH}",
        f'source: shop, when: "meta.headers.anything and meta.routing_key and data.any.thing", {PUSH}',
        'source: [hr, shop], match: { data: { n: 1 } }, push: { to: x, with: { a: "{{ data.n }}" } }',
        """source: shop, push: { to: x, with: { a: "{{ '$(name)' }}", b: '$.50, $5 or 50% off, {}, {b c}' } }""",
        "source: shop, push: { to: x, with: { a: b }, ttl: 3600s }",
        'source: shop, push: { to: "all:{{ data.x }}", with: { a: b } }',
    ],
)
def test_what_may_be_is_not_warned_of(rule: str, tmp_path: Path) -> None:
    assert said(tmp_path, rule) == []


@pytest.mark.parametrize(
    ("stop", "later", "is_dead"),
    [
        ("source: shop", "source: shop", True),
        ("match: { data: { t: 1 } }", "source: shop, match: { data: { t: 1 } }", True),
        ("source: shop, match: { data: { t: 1 } }", "source: shop, match: { data: { t: 1, u: 2 } }", True),
        ("source: shop, match: { data: { t: [1, 2] } }", "source: shop, match: { data: { t: 1 } }", True),
        ('source: shop, when: "data.x == 1"', 'source: shop, when: "data.x  ==  1"', True),
        ("source: shop, match: { data: { t: { gte: 1 } } }", "source: shop, match: { data: { t: { gte: 1 } } }", True),
        ("source: shop, match: { data: { t: 1 } }", "source: shop", False),
        ("source: shop, match: { data: { t: 1 } }", "source: shop, match: { data: { t: 2 } }", False),
        ("source: shop, match: { data: { t: 1 } }", "source: shop, match: { data: { t: true } }", False),
        ("source: shop", "source: [shop, bus]", False),
        ("source: shop", "match: { data: { t: 1 } }", False),
        ('source: shop, when: "data.x == 1"', "source: shop", False),
    ],
)
def test_a_rule_behind_one_that_stops_is_dead(stop: str, later: str, is_dead: bool, tmp_path: Path) -> None:
    found = said(tmp_path, f"{stop}, stop: true", f"{later}, {PUSH}")
    assert [": rules[1]: warning: never fires: r0 stops" in line for line in found] == [True] * is_dead


def test_the_map_of_a_source_is_held_against_its_own_messages(tmp_path: Path) -> None:
    config = CONFIG.replace('id: "{{ data.id }}", type: "hr.', 'id: "{{ data.nr }}{{ meta.paht }}", type: "hr.')
    assert [line.partition(": ")[2] for line in said(tmp_path, config=config)] == [
        "sources.hr.map.id: warning: the pattern of this source has no group nr (known: id, what)",
        "sources.hr.map.id: warning: no message of this source has meta.paht (did you mean path?)",
    ]


@pytest.mark.parametrize(
    ("map_", "said"),
    [
        ("id: x", "id: warning: is the same for every message"),
        ("id: 5", "id: warning: is the same for every message"),
        ('id: "${env:NAME:-x}"', "id: warning: is the same for every message"),
        ("id: 'a/{data.id}'", "id: warning: is the same for every message"),
        (
            "id: 'a/{data.id}'",
            "id: warning: {data.id} is no placeholder here, and stands for itself (write {{ data.id }}",
        ),
        ("id: '{{ data.id }}', type: 'x.$(kind)'", "type: warning: $(kind) is no placeholder here"),
        ("id: '{{ data.id }}', subject: $.nr", "subject: warning: $.nr is no placeholder here"),
        ("id: '{{ data.id }}', time: data.bookedAt", "time: not a time: "),
        ("id: '{{ data.id }}', time: $.bookedAt", "time: not a time: "),
    ],
)
def test_a_map_that_says_the_same_of_every_message_is_doubted(map_: str, said: str, tmp_path: Path) -> None:
    source = f"sources: {{ s: {{ http: {{ path: /in/s }}, map: {{ {map_} }} }} }}"
    found = [line for line in complaints(tmp_path, source) if f"sources.s.map.{said}" in line]
    assert len(found) == 1


@pytest.mark.parametrize(
    "map_", ["id: '{{ data.id }}', time: ''", "id: '{{ data.id }}', time: 2026-01-15", "id: '{{ data }}/1'"]
)
def test_a_map_that_may_be_meant_is_clean(map_: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, f"sources: {{ s: {{ http: {{ path: /in/s }}, map: {{ {map_} }} }} }}") == []


def test_each_placeholder_of_a_text_is_named_once_at_its_place(tmp_path: Path) -> None:
    text = "Hi $(name), {{ data.x }} {nr} of %total% for $(name), {{ data.y }} {nr}"
    found = said(tmp_path, f"source: shop, push: {{ to: x, with: {{ a: '{text}' }} }}")
    named = [line.partition("warning: ")[2].partition(" is no placeholder")[0] for line in found]
    assert named == ["$(name)", "{nr}", "%total%"]
    columns = [int(line.split(":")[2]) for line in found]
    assert [column - columns[0] for column in columns] == [text.index(one) - text.index("$(name)") for one in named]


def test_the_names_under_meta_are_those_that_messages_have() -> None:
    every = dict.fromkeys(vars(BasicProperties()), "1") | {
        "headers": {"a": 1},
        "timestamp": 1,
        "priority": 1,
        "delivery_mode": 2,
    }
    source = RabbitMqSource("q", RabbitMqSettings.model_validate({"url": "amqp://x", "queue": {"name": "q"}}))
    method = SimpleNamespace(exchange="e", routing_key="k", redelivered=False, delivery_tag=1)
    frame = b"".join(BasicProperties(**cast(Any, every)).encode())
    message = source._message(method, frame, b"", is_lost=lambda: False)
    assert message.properties.keys() == RABBITMQ.meta.keys()
    assert {
        *servicebus._PROPERTIES,
        *servicebus._ANNOTATIONS.values(),
        *servicebus._DEAD_LETTER.values(),
    } - {""} < SERVICE_BUS.meta.keys()
    assert HTTP.meta.keys() == {"path", "content_type", "message_id"}
