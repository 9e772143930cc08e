"""`push.native`: payloads as they go to a service, with values that stay values."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.notification import NativeContent, Platform
from rules.errors import RenderError
from rules.native import Native, compile_native
from rules.problems import Problems
from tests.rules.support import document, event, shown

MISPLACED = (
    "1:21: native.payload: a placeholder may stand in a text or an attribute's value only, and there is no DOCTYPE"
)


def compiled(platform: Platform, text: str, directory: Path) -> tuple[Native | None, list[str]]:
    root, _ = document(f"native: {text}", directory)
    problems = Problems()
    return compile_native(platform, root.find(("native",)), problems), shown(problems, directory)


def content(platform: Platform, text: str, data: Any, directory: Path) -> NativeContent:
    native, problems = compiled(platform, text, directory)
    assert problems == []
    assert native is not None
    return native.content(event(data))


@pytest.mark.parametrize(
    "platform, text, payload",
    [
        (Platform.APNS, "{ payload: { aps: { alert: 'Hi {{ data.s }}' } } }", b'{"aps":{"alert":"Hi a\\"b<&"}}'),
        (Platform.APNS, "{ payload: { aps: { badge: '{{ data.n }}' } } }", b'{"aps":{"badge":7}}'),
        (Platform.APNS, "{ payload: { a: '{{ data.list }}', b: [ 'x{{ data.n }}' ] } }", b'{"a":[1,2],"b":["x7"]}'),
        (Platform.APNS, "{ payload: { a: '{{ data.none }}', b: true, c: 1.5 } }", b'{"a":null,"b":true,"c":1.5}'),
        (Platform.APNS, "{ payload: { a: '{{ data.f }}' } }", b'{"a":0.1}'),
        (Platform.APNS, "{ payload: { a: '{{ data.long }}' } }", b'{"a":123456789012345678901}'),
        (Platform.APNS, """{ payload: '{"aps":{"alert":"{{ data.s }}"}}' }""", b'{"aps":{"alert":"a\\"b<&"}}'),
        (Platform.APNS, "{ payload: { aps: { content-available: 1 } } }", b'{"aps":{"content-available":1}}'),
        (
            Platform.FCM,
            "{ payload: { message: { data: { k: '{{ data.n }}!' } } } }",
            b'{"message":{"data":{"k":"7!"}}}',
        ),
        (Platform.WNS, "{ payload: '<t a=\"{{ data.s }}\">{{ data.n }}</t>' }", b'<t a="a&quot;b&lt;&amp;">7</t>'),
        (Platform.WNS, "{ payload: 'raw {{ data.s }}' }", b'raw a"b<&'),
        (Platform.WNS, """{ payload: '{"a": "{{ data.s }}"}' }""", b'{"a":"a\\"b<&"}'),
    ],
)
def test_a_payload_is_filled_and_values_are_escaped(
    platform: Platform, text: str, payload: bytes, tmp_path: Path
) -> None:
    data = {"s": 'a"b<&', "n": 7, "list": [1, 2], "none": None, "f": 0.1, "long": 123456789012345678901}
    assert content(platform, text, data, tmp_path).payload == payload


def test_headers_are_filled(tmp_path: Path) -> None:
    text = "{ payload: { a: 1 }, headers: { apns-push-type: background, apns-collapse-id: 'c-{{ data.n }}' } }"
    native = content(Platform.APNS, text, {"n": 7}, tmp_path)
    assert native.headers == {"apns-push-type": "background", "apns-collapse-id": "c-7"}


@pytest.mark.parametrize("value", ["x\r\napns-topic: other", "x\n", "\x00", "\x7f"])
def test_a_value_cannot_add_a_header(value: str, tmp_path: Path) -> None:
    text = "{ payload: { a: 1 }, headers: { apns-collapse-id: '{{ data.x }}' } }"
    with pytest.raises(RenderError, match="control character"):
        content(Platform.APNS, text, {"x": value}, tmp_path)


@settings(deadline=None)  # a busy machine is no failure
@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
@example(value='\t<a>\r\n"&')
def test_json_and_xml_keep_their_shape_and_hold_the_value(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.getbasetemp()
    apns = content(Platform.APNS, "{ payload: { aps: { alert: 'a{{ data.x }}' } } }", {"x": value}, directory)
    assert orjson.loads(apns.payload) == {"aps": {"alert": f"a{value}"}}
    if not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value):
        wns = content(Platform.WNS, "{ payload: '<t a=\"{{ data.x }}\">{{ data.x }}</t>' }", {"x": value}, directory)
        root = etree.fromstring(wns.payload)
        assert (root.tag, len(root), dict(root.items()), root.text or "") == ("t", 0, {"a": value}, value)


def test_a_character_that_xml_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="XML does not allow"):
        content(Platform.WNS, "{ payload: '<t>{{ data.x }}</t>' }", {"x": "a\x00b"}, tmp_path)


@pytest.mark.parametrize(
    "value, problem", [([2**64], "cannot be written as JSON"), (float("nan"), "is not a finite number")]
)
def test_a_value_that_json_cannot_hold_is_named(value: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=rf"^data\.x {problem}"):
        content(Platform.APNS, "{ payload: { aps: { badge: '{{ data.x }}' } } }", {"x": value}, tmp_path)


def test_a_payload_may_not_grow_without_end(tmp_path: Path) -> None:
    text = "{ payload: { a: '{{ data.x }}', b: '{{ data.x }}' } }"
    with pytest.raises(RenderError, match="too large"):
        content(Platform.APNS, text, {"x": "x" * 40_000}, tmp_path)


@pytest.mark.parametrize(
    "platform, text, problem",
    [
        (Platform.APNS, "{ headers: {} }", "1:1: native: payload is missing"),
        (
            Platform.APNS,
            "{ payload: text }",
            "1:20: native.payload: not JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        (Platform.APNS, "{ payload: [1] }", "1:20: native.payload: expected an object, or a text that is one in JSON"),
        (
            Platform.APNS,
            """{ payload: '{"badge": {{ data.n }} }' }""",
            "1:21: native.payload: not JSON: Expecting property name enclosed in double quotes: line 1 column 12 (char 11)",
        ),
        (
            Platform.FCM,
            "{ payload: { notification: {} } }",
            "1:20: native.payload: expected the key message, which holds all the others"
            " (FCM HTTP v1, projects.messages.send)",
        ),
        (
            Platform.FCM,
            "{ payload: { message: {} }, headers: { a: b } }",
            "1:37: native.headers: this platform has no headers for a payload"
            " (hints for FCM stand in message.android, .apns and .webpush)",
        ),
        (
            Platform.APNS,
            "{ payload: { a: 1 }, headers: { apns_topic: b } }",
            "1:41: native.headers.apns_topic: expected a header beginning with apns-",
        ),
        *(
            (
                Platform.WNS,
                f"{{ payload: '{text}' }}",
                MISPLACED,
            )
            for text in (
                '<t xmlns="{{ data.x }}"/>',
                "<t><!-- {{ data.x }} --></t>",
                "<t><![CDATA[{{ data.x }}]]></t>",
                "<?x {{ data.x }}?><t>{{ data.x }}</t>",
                '<t {{ data.x }}="1"/>',
            )
        ),
        (Platform.APNS, "{ payload: { a: 99999999999999999999 } }", "1:20: native.payload: cannot be written as JSON"),
        *(
            (Platform.APNS, f"{{ payload: '{text}' }}", f"1:21: native.payload: {problem}")
            for text, problem in (
                ('{"a": NaN}', "not JSON: NaN is not part of it"),
                ('{"a": 1e400}', "not JSON: a number out of range"),
                ('{"a": "\\ud800"}', "cannot be written as JSON"),
                ('{"a": 123456789012345678901234567890}', "cannot be written as JSON"),
                ('{"a": ' * 300 + "1" + "}" * 300, "cannot be written as JSON"),
                ('{"a": ' * 5000 + "1" + "}" * 5000, "nested too deep"),
            )
        ),
        (
            Platform.APNS,
            "{ payload: { '{{ data.x }}': 1 } }",
            "1:22: native.payload.{{ data.x }}: a key has no placeholders",
        ),
        (
            Platform.APNS,
            "{ payload: { aps: { alert: '{{ dta }}' } } }",
            "1:39: native.payload.aps.alert: there is no name 'dta' (did you mean data?)",
        ),
        (
            Platform.WNS,
            "{ payload: '<{{ data.x }}/>' }",
            MISPLACED,
        ),
        (
            Platform.WNS,
            "{ payload: '<!DOCTYPE t [<!ENTITY e \"x\">]><t>&e;</t>' }",
            MISPLACED,
        ),
        (Platform.APNS, "{ payload: {}, heders: {} }", "1:24: native.heders: unknown key (did you mean headers?)"),
    ],
)
def test_a_payload_that_cannot_be_is_reported(platform: Platform, text: str, problem: str, tmp_path: Path) -> None:
    assert compiled(platform, text, tmp_path)[1] == [f"rules.yaml:{problem}"]


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("data: { n: '{{ data.n }}', b: '{{ data.b }}' }", {"data": {"n": "7", "b": "true"}}),
        ("data: { d: '{{ data.d }}' }", {"data": {"d": "19.95"}}),
        ("data: { n: 7, b: true, f: 1.50 }", {"data": {"n": "7", "b": "true", "f": "1.50"}}),
        ("data: { s: '{{ data.list }}' }", {"data": {"s": "[1,2]"}}),
        ("notification: { title: '{{ data.n }}', body: 2026 }", {"notification": {"title": "7", "body": "2026"}}),
        (
            "android: { collapseKey: '{{ data.n }}', data: { n: '{{ data.n }}' }, notification: { title: '{{ data.n }}',"
            " notification_count: '{{ data.n }}', title_loc_args: ['{{ data.n }}'], sticky: true } }",
            {
                "android": {
                    "collapseKey": "7",
                    "data": {"n": "7"},
                    "notification": {"title": "7", "notification_count": 7, "title_loc_args": ["7"], "sticky": True},
                }
            },
        ),
        (
            "apns: { headers: { apns-priority: 5 }, payload: { aps: { badge: '{{ data.n }}' }, title: '{{ data.n }}' } }",
            {"apns": {"headers": {"apns-priority": "5"}, "payload": {"aps": {"badge": 7}, "title": 7}}},
        ),
        (
            "webpush: { headers: { TTL: '{{ data.n }}' }, data: { n: 1 }, notification: { title: 1, n: '{{ data.n }}' } }",
            {"webpush": {"headers": {"TTL": "7"}, "data": {"n": "1"}, "notification": {"title": 1, "n": 7}}},
        ),
    ],
)
def test_what_fcm_wants_as_text_is_text(text: str, payload: Any, tmp_path: Path) -> None:
    data = {"n": 7, "b": True, "d": Decimal("19.95"), "list": [1, 2]}
    sent = content(Platform.FCM, f"{{ payload: {{ message: {{ {text} }} }} }}", data, tmp_path)
    assert orjson.loads(sent.payload) == {"message": payload}


def test_json_text_is_read_the_same(tmp_path: Path) -> None:
    text = """{ payload: '{"message": {"data": {"n": "{{ data.n }}", "b": true, "i": 5}}}' }"""
    sent = content(Platform.FCM, text, {"n": 7}, tmp_path)
    assert orjson.loads(sent.payload) == {"message": {"data": {"n": "7", "b": "true", "i": "5"}}}


def test_null_is_no_text_of_fcm(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"^data\.n is null"):
        content(Platform.FCM, "{ payload: { message: { data: { n: '{{ data.n }}' } } } }", {"n": None}, tmp_path)
