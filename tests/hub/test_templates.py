"""Templates: what every expression yields, where expressions may stand, and what is refused when registering."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.content.templates import CompiledTemplate, compile_template
from hub.errors import TemplateError
from hub.installation import Template
from hub.notification import Platform

PROPERTIES = {
    "m": "abcdef",
    "Title": "Héllo",
    "n": "5",
    "word": "x",
    "neg": "-1.5e3",
    "padded": "05",
    "url": "a b&c/é",
    "quote": 'say "hi"\n',
    "empty": "",
    "emoji": "😀😀😀😀",
    "markup": "<b>&\"'",
    "looks_like": "$(n)",
    "json": '{"a":1}',
}


def compiled(body: str, platform: Platform = Platform.APNS, **rest: Any) -> CompiledTemplate:
    return compile_template(Template(body=body, **rest), platform)


def json_with(value: str) -> str:
    return orjson.dumps({"aps": {"alert": value}}).decode()


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        # plain properties
        ("$(m)", "abcdef"),
        ("$(M)", "abcdef"),
        ("$(title)", "Héllo"),
        ("$( m )", "abcdef"),
        ("$(missing)", ""),
        ("$(empty)", ""),
        ("$(quote)", 'say "hi"\n'),
        ("$(looks_like)", "$(n)"),
        ("$(json)", '{"a":1}'),
        # the first characters
        ("$(m, 3)", "abc"),
        ("$(m,3)", "abc"),
        ("$(m , 3 )", "abc"),
        ("$(m, 0)", ""),
        ("$(m, 6)", "abcdef"),
        ("$(m, 999999999)", "abcdef"),
        ("$(emoji, 2)", "😀😀"),
        # clipped
        (".(m, 5)", "ab..."),
        (".(m, 6)", "abcdef"),
        (".(m, 10)", "abcdef"),
        (".(m, 3)", "..."),
        (".(m, 2)", ".."),
        (".(m, 0)", ""),
        (".(emoji, 3)", "..."),
        (".(missing, 3)", ""),
        # percent-encoded
        ("%(url)", "a%20b%26c%2F%C3%A9"),
        ("%(missing)", ""),
        # numbers
        ("#(n)", 5),
        ("#(neg)", -1500.0),
        ("#(word)", "x"),
        ("#(padded)", "05"),
        ("#(missing)", ""),
        ("#(missing:{7})", 7),
        # defaults
        ("$(missing:{none})", "none"),
        ("$(m:{none})", "abcdef"),
        ("$(empty:{none})", ""),
        ("$(missing:{})", ""),
        (r"$(missing:{a\}b})", "a}b"),
        (r"$(missing:{C:\dir})", r"C:\dir"),
        ("$(missing :{none} , 2)", "no"),
        (".(missing:{a long text}, 6)", "a l..."),
        ("%(missing:{a b})", "a%20b"),
        # joined
        ("{'Hello ' + $(m)}", "Hello abcdef"),
        ('{"Hello " + $(m)}', "Hello abcdef"),
        ("{'it''s ' + $(m, 2)}", "it's ab"),
        ('{"a ""b"" " + $(n)}', 'a "b" 5'),
        ("{ $(m, 1) + '-' + .(m, 4) + \"-\" + %(url) }", "a-a...-a%20b%26c%2F%C3%A9"),
        ("{$(m)}", "abcdef"),
        ("{'a'}", "a"),
        ("{'' + $(m)}", "abcdef"),
        ("{'}' + $(m)}", "}abcdef"),
        ("{'+' + $(n)}", "+5"),
        ("$(m) + $(n)", "abcdef5"),
        ("$(m)+' '+$(n)", "abcdef 5"),
        # literals
        ("Hello $(m)", "Hello $(m)"),
        (" $(m)", " $(m)"),
        ("", ""),
        ("'a' + $(m)", "'a' + $(m)"),
        ("\t{x}", "\t{x}"),
        ("price: $5", "price: $5"),
    ],
)
def test_an_expression_yields_its_value_in_json(expression: str, result: object) -> None:
    rendered = compiled(json_with(expression)).render(PROPERTIES, {})
    assert orjson.loads(rendered.payload) == {"aps": {"alert": result}}


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("$5 off", "expected ( right after $"),
        ("$", "found '$'"),
        ("%", "found '%'"),
        (".5", "found '.5'"),
        ("...", "expected ( right after ."),
        ("#news", "expected ( right after #"),
        ("#tag", "expected ( right after #"),
        ("$body", "reserved"),
        ("{$body}", "reserved"),
        ("$ (m)", "expected ( right after $"),
        ("$(m", "expected )"),
        ("$()", "a property is 1 to 120"),
        ("$(bad-name)", "a property is 1 to 120"),
        ("$(a.b)", "a property is 1 to 120"),
        ("$(é)", "a property is 1 to 120"),
        (f"$({'x' * 121})", "a property is 1 to 120"),
        ("$(m, -1)", "expected $(property)"),
        ("$(m, x)", "expected $(property)"),
        ("$(m, ٣)", "expected $(property)"),
        ("$(m,)", "expected $(property)"),
        (".(m)", "needs a length"),
        ("%(m, 3)", "takes no length"),
        ("%(m,3)", "takes no length"),
        ("#(m, 3)", "takes no length"),
        ("{name}", "expected $(property) or a 'text'"),
        ('{"a":1}', "expected + before"),
        ("{'a' + $(m)", "does not end with }"),
        ("{'a'} ", "does not end with }"),
        ("{''}", "found \"''\""),
        ("{}", "found the end"),
        ("{ }", "found the end"),
        ("{'a' $(m)}", "expected + before"),
        ("{'a' + }", "found the end"),
        ("{'abc}", "not closed"),
        ("{$(m)) }", "expected + before"),
        ("{#(n) + 'x'}", "stands alone"),
        ("{#(n)}", "stands alone"),
        ("#(n) + #(n)", "stands alone"),
        ("$(m) + #(n)", "stands alone"),
        ("$(m) tail", "expected + before"),
        ("$(m) ", "expected + before"),
        ("$(m:{x)", "expected $(property)"),
    ],
)
def test_text_that_begins_like_an_expression_and_is_none_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as error:
        compiled(json_with(expression))
    assert complaint in str(error.value)
    assert error.value.where == "aps.alert"


@pytest.mark.slow
@given(st.text(alphabet="$.%#{}('\") +:,nm1\\", max_size=25))
def test_any_text_is_a_value_or_is_refused_with_its_place(text: str) -> None:
    try:
        template = compiled(json_with(text))
    except TemplateError as error:
        refused_at = error.where
    else:
        refused_at = "aps.alert"
        orjson.loads(template.render(PROPERTIES, {}).payload)
    assert refused_at == "aps.alert"


@pytest.mark.slow
@given(st.text())
def test_any_value_leaves_json_and_xml_well_formed(value: str) -> None:
    json = compiled('{"a":"$(v)","b":["{\'x\' + $(v)}"]}').render({"v": value}, {}).payload
    assert orjson.loads(json) == {"a": value, "b": ["x" + value]}
    xml = compiled('<toast launch="$(v)"><text>$(v)</text></toast>', Platform.WNS).render({"v": value}, {}).payload
    root = etree.fromstring(xml)
    writable = "".join(character if _is_xml_character(character) else "\ufffd" for character in value)
    assert root.get("launch") == writable
    assert (root[0].text or "") == writable


def _is_xml_character(character: str) -> bool:
    return character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff")


def test_what_is_no_expression_keeps_its_bytes() -> None:
    body = (
        '{ "é" : "\\u00e9" , "n":1.50, "big": 123456789012345678901234567890, "a" : [ "$(m)" , "lit" ] ,"$(m)":true }'
    )
    assert compiled(body).render(PROPERTIES, {}).payload == body.replace('"$(m)" ,', '"abcdef" ,').encode()


def test_values_stand_at_any_depth_and_the_complaint_names_the_place() -> None:
    assert compiled('{"a":{"b":["x",{"c":"$(m)"}]}}').render(PROPERTIES, {}).payload == (
        b'{"a":{"b":["x",{"c":"abcdef"}]}}'
    )
    with pytest.raises(TemplateError) as error:
        compiled('{"a":{"b":["x,{",{"c":1,"d":"$5"}]}}')
    assert error.value.where == "a.b[1].d"


@pytest.mark.parametrize("body", ["", "[]", '"$(m)"', '{"a":', "text", '{"a":"\\ud800"}', "[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(body: str) -> None:
    with pytest.raises(TemplateError):
        compiled(body)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ("<toast><text>$(m)</text></toast>", "<toast><text>abcdef</text></toast>"),
        ("<toast><text>#(n)</text></toast>", "<toast><text>5</text></toast>"),
        ("<toast><text>Hello $(m)</text></toast>", "<toast><text>Hello $(m)</text></toast>"),
        ("<toast><text> $(m)</text></toast>", "<toast><text> $(m)</text></toast>"),
        ("<toast><text>$(markup)</text></toast>", "<toast><text>&lt;b&gt;&amp;&quot;&apos;</text></toast>"),
        ("<toast a = '$(markup)'/>", "<toast a = '&lt;b&gt;&amp;&quot;&apos;'/>"),
        ("<toast a='>' b=\"{'x' + $(m)}\"/>", "<toast a='>' b=\"xabcdef\"/>"),
        ("<toast><text>{&quot;a&quot; + $(n)}</text></toast>", "<toast><text>a5</text></toast>"),
        ("<toast a='&#36;(n)'/>", "<toast a='5'/>"),
        ("<toast><text><![CDATA[$(markup)]]></text></toast>", "<toast><text>&lt;b&gt;&amp;&quot;&apos;</text></toast>"),
        ("<toast><text>$(m)<b/></text>$(m)</toast>", "<toast><text>$(m)<b/></text>$(m)</toast>"),
        ("<toast><b/>$(m)</toast>", "<toast><b/>$(m)</toast>"),
        (
            "<toast><!-- $(m) --><?pi $(m)?><a >$(m)</a ></toast>",
            "<toast><!-- $(m) --><?pi $(m)?><a >abcdef</a ></toast>",
        ),
        (
            "<?xml version='1.0'?>\n<toast>\n  <text/>\n</toast>\n",
            "<?xml version='1.0'?>\n<toast>\n  <text/>\n</toast>\n",
        ),
        (
            '<w:toast xmlns:w="urn:w"><w:text>$(n)</w:text></w:toast>',
            '<w:toast xmlns:w="urn:w"><w:text>5</w:text></w:toast>',
        ),
    ],
)
def test_xml_is_filled_in_leaves_and_attributes_and_nowhere_else(body: str, payload: str) -> None:
    assert compiled(body, Platform.WNS).render(PROPERTIES, {}).payload.decode() == payload


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<toast>", "no XML"),
        ("<toast>&nbsp;</toast>", "no XML"),
        ('<!DOCTYPE toast [<!ENTITY e "x">]><toast>&e;</toast>', "document type"),
        ("<?xml version='1.0' encoding='iso-8859-1'?><toast/>", "UTF-8"),
        ('{"a":"$(m)"}', "are XML"),
        ("<other/>", "X-WNS-Type"),
        ("<toast a='$5'/>", "found '\\$5'"),
        ("<toast><text>$(a-b)</text></toast>", "a property is"),
    ],
)
def test_a_wns_body_that_cannot_be_sent_is_refused(body: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        compiled(body, Platform.WNS)


@pytest.mark.parametrize(("root", "wns_type"), [("toast", "wns/toast"), ("tile", "wns/tile"), ("badge", "wns/badge")])
def test_the_wns_type_is_derived_from_the_root_element(root: str, wns_type: str) -> None:
    assert compiled(f"<{root}/>", Platform.WNS).render({}, {}).headers == {"X-WNS-Type": wns_type}


@pytest.mark.parametrize(
    ("body", "payload"),
    [('{"a":"$(m)"}', b'{"a":"abcdef"}'), ("$(markup)", b"<b>&\"'"), ("plain", b"plain"), ("<x>$(n)</x>", b"<x>5</x>")],
)
def test_a_raw_wns_template_may_be_json_text_or_xml(body: str, payload: bytes) -> None:
    template = compiled(body, Platform.WNS, headers={"x-wns-type": "wns/raw"})
    assert template.render(PROPERTIES, {}).payload == payload
    assert template.render(PROPERTIES, {}).headers == {"x-wns-type": "wns/raw"}


def test_headers_and_expiry_are_filled_too() -> None:
    headers = {"X-WNS-Type": "$(type)", "X-WNS-Tag": "news"}
    wns = compiled("<badge/>", Platform.WNS, headers=headers).render({"type": "wns/badge"}, {})
    assert wns.headers == {"X-WNS-Type": "wns/badge", "X-WNS-Tag": "news"}
    apns = compiled("{}", headers={"apns-collapse-id": "{$(m) + '!'}"}, expiry="$(until:{0})")
    assert apns.render({"m": "a\r\nx: y"}, {}).headers == {"apns-collapse-id": "a x: y!"}
    assert apns.render({}, {}).expiry == "0"
    assert apns.render({"until": "2030-01-01"}, {}).expiry == "2030-01-01"
    assert apns.names == {"m", "until"}


def test_headers_without_expressions_are_one_shared_object() -> None:
    template = compiled('{"a":"$(m)"}', headers={"apns-priority": "5"})
    assert template.render({"m": "1"}, {}).headers is template.render({"m": "2"}, {}).headers


@pytest.mark.parametrize(
    ("platform", "body", "rest", "where"),
    [
        (Platform.APNS, "{}", {"headers": {"authorization": "x"}}, "header authorization"),
        (Platform.APNS, "{}", {"headers": {"apns-a b": "x"}}, "header apns-a b"),
        (Platform.APNS, "{}", {"headers": {"apns-topic": "a\r\nb"}}, "header apns-topic"),
        (Platform.APNS, "{}", {"headers": {"apns-topic": "$5"}}, "header apns-topic"),
        (Platform.APNS, "{}", {"expiry": "soon"}, "expiry"),
        (Platform.APNS, "{}", {"expiry": "$(a-b)"}, "expiry"),
        (Platform.WNS, "<toast/>", {"headers": {"Authorization": "x"}}, "header Authorization"),
        (Platform.WNS, "<toast/>", {"expiry": "0"}, "expiry"),
        (Platform.FCM, '{"data":{}}', {"headers": {"apns-topic": "x"}}, "header apns-topic"),
        (Platform.FCM, '{"message":{"token":"t"}}', {}, "body"),
        (Platform.FCM, '{"message":{"topic":"all"}}', {}, "body"),
        (Platform.FCM, '{"message":{"t\\u006fpic":"all"}}', {}, "body"),
        (Platform.FCM, '{"message":{"condition":"!(a)"}}', {}, "body"),
        (Platform.FCM, '{"to":"t","data":{}}', {}, "body"),
        (Platform.FCM, '{"notification":{"sound":"x"}}', {}, "body"),
        (Platform.FCM, "{}", {}, "body"),
        (Platform.FCM, '{"message":"$(m)"}', {}, "body"),
        (Platform.FCM, "nothing", {}, "body"),
        (Platform.APNS, '{"aps":{"alert":"%s"}}' % ("x" * 16_384), {}, "body"),
        (Platform.APNS, '{"aps":{"alert":[' + ",".join(['"$(t)"'] * 501) + "]}}", {}, "body"),
        (Platform.WNS, "<toast>%s</toast>" % ("<text>$(t)</text>" * 501), {}, "body"),
        (Platform.APNS, '{"aps":{"alert":"{' + "+".join(["$(t)"] * 501) + '}"}}', {}, "body"),
    ],
)
def test_a_template_that_its_service_would_refuse_is_refused(
    platform: Platform, body: str, rest: dict[str, Any], where: str
) -> None:
    with pytest.raises(TemplateError) as error:
        compiled(body, platform, **rest)
    assert error.value.where == where


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ('{"message":{"notification":{"title":"$(m)"}}}', b'{"message":{"notification":{"title":"abcdef"}}}'),
        ('{"notification":{"title":"$(m)"}}', b'{"message":{"notification":{"title":"abcdef"}}}'),
        ('{"data":{"k":"$(m)"}}', b'{"message":{"data":{"k":"abcdef"}}}'),
    ],
)
def test_an_fcm_body_gets_the_message_object_it_lacks(body: str, payload: bytes) -> None:
    assert compiled(body, Platform.FCM).render(PROPERTIES, {}).payload == payload


def test_a_property_comes_from_the_message_then_the_push_variables_then_the_default() -> None:
    template = compiled('{"a":"{\'Hi \' + $(name:{you})}"}')
    assert template.render({}, {"Name": "Ann"}).payload == b'{"a":"Hi Ann"}'
    assert template.render({"NAME": "Bob"}, {"name": "Ann"}).payload == b'{"a":"Hi Bob"}'
    assert template.render({}, {}).payload == b'{"a":"Hi you"}'
    assert template.names == {"name"}
