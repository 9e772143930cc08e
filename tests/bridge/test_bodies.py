"""Bodies as they really come, from a broker's message to the text of a push: one row a case."""

import base64
import gzip
import json
import random
import struct
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import EventError, Reason
from bridge.wiring import route_of
from connectors.base import Message
from hub.notification import TemplateContent
from tests.bridge.examples import read
from tests.rules.support import NOW

gzipped = partial(gzip.compress, mtime=0)  # all workers have to collect the same tests

XSI = "http://www.w3.org/2001/XMLSchema-instance"
JSON, XML = "{ format: json }", "{ format: xml }"
LATIN = '{"name": "Zürich"}'.encode("latin-1")


def push_text(
    directory: Path, decode: str, message: Message, text: str, *, match: str = "{}", map: str = "id: i"
) -> str:
    """What the one rule of a configuration says of a message, or why it fails. Raises: EventError."""
    source = 's: {{ rabbitmq: {{ url: "amqp://127.0.0.1", queue: {{ name: q }} }}, decode: {}, map: {{ {} }} }}'
    settings = read(
        directory,
        f"bridge: {{ timezone: Europe/Zurich }}\nsources:\n  {source.format(decode, map)}\n",
        f"hubs: {{ app: {{}} }}\nrules:\n  - name: r\n    match: {match}\n"
        f"    push: {{ to: everyone, with: {{ text: {json.dumps(text)} }} }}\n",
    )
    route = route_of("s", settings.sources["s"], settings)
    event = route.to_event(message, route.decode(message), NOW)
    decision = settings.rules.route(event, now=NOW)
    if decision.failures:
        return decision.failures[0].detail
    if decision.errors:
        return "error"
    if not decision.intents:
        return "no match"
    content = decision.intents[0].notification.content
    assert isinstance(content, TemplateContent)
    return content.properties["text"]


def of(body: str | bytes, **changes: Any) -> Message:
    return replace(Message(source="s", body=body if isinstance(body, bytes) else body.encode()), **changes)


def order(content: str) -> str:
    return f'<Order xmlns:i="{XSI}" xmlns:p7="{XSI}">{content}</Order>'


TYPED = "{ format: xml, types: { Amount: decimal, At: datetime, Day: date, Count: int, Paid: bool, '@n': int } }"
LISTS = "{ format: xml, lists: [ Line ] }"
LIST_PATH = "{ format: xml, lists: [ Lines.Line ] }"
IDOC = "<IDOC><E1BUDGET><AMOUNT>1</AMOUNT></E1BUDGET><E1BUDGET><AMOUNT>2</AMOUNT></E1BUDGET></IDOC>"


@pytest.mark.parametrize(
    "decode, body, text, said",
    [
        # no value is null
        (TYPED, order('<Amount i:nil="true"/>'), "{{ data.Amount | default('none') }}", "none"),
        (TYPED, order('<Amount p7:nil="1"></Amount>'), "{{ data.Amount | default('none') }}", "none"),
        (XML, order('<Amount i:nil="true"/>'), "{{ data.Amount | default('none') }}", "none"),
        (XML, order('<Amount i:nil="true"/>'), "{{ data.Amount }}", "data.Amount is null"),
        (XML, order('<Amount i:nil="false"/>'), "[{{ data.Amount }}]", "[]"),
        (
            XML,
            order('<Amount i:nil="true" c="CHF"/>'),
            "{{ data.Amount['@c'] }}{{ data.Amount['#text'] | default(0) }}",
            "CHF0",
        ),
        (XML, order("<Amount/>"), "[{{ data.Amount }}]", "[]"),
        (
            TYPED,
            order("<Amount/><At/><Count> </Count><Paid></Paid>"),
            "{{ data.Amount is none and data.Paid is none }}",
            "true",
        ),
        (TYPED, order('<Line n=""/>'), "{{ data.Line['@n'] | default('none') }}", "none"),
        (
            TYPED,
            order("<At>00000000000000</At><Day>00000000</Day>"),
            "{{ data.At | default('-') }}{{ data.Day | default('-') }}",
            "--",
        ),
        (TYPED, order("<At>0001-01-01T00:00:00</At>"), "{{ data.At | default('none') }}", "none"),
        # times in the form they are meant
        (TYPED, order("<At>20240115101112</At>"), "{{ data.At }}", "2024-01-15T09:11:12Z"),
        (TYPED, order("<At>2024-01-15T10:11:12</At>"), "{{ data.At }}", "2024-01-15T09:11:12Z"),
        (TYPED, order("<Day>20240115</Day>"), "{{ data.Day }}", "2024-01-15"),
        (TYPED, order("<Day>2024-01-15T23:30:00Z</Day>"), "{{ data.Day }}", "2024-01-16"),
        (TYPED, order("<Day>99991231</Day>"), "{{ data.Day }}", "9999-12-31"),
        # one and many
        (XML, order("<Line><A>1</A><B>2</B></Line>"), "{{ data.Line | length }}", "1"),
        (XML, order("<Line><A>1</A></Line>" * 2), "{{ data.Line | length }}", "2"),
        (XML, order("<Line><A>1</A><B>2</B></Line>"), "{{ (data.Line | first).A }}{{ (data.Line | last).B }}", "12"),
        (XML, order("<Line><A>1</A><B>2</B></Line>"), "{{ data.Line[0].A }}{{ data.Line[-1].B }}", "12"),
        (XML, order("<Line><A>1</A></Line>"), "{{ data.Line[0:1] | length }}{{ data.Line[1:] | length }}", "10"),
        (XML, order("<Line><A>1</A></Line>"), "{{ data.Line[:3] | join(',', 'A') }}", "1"),
        (XML, order("<Tag>red</Tag>"), "{{ data.Tag | join('+') }}{{ data.Tag | first }}", "redred"),
        (XML, order("<Tag>red</Tag><Tag>blue</Tag>"), "{{ data.Tag | join('+') }}", "red+blue"),
        (XML, order("<Tag i:nil='true'/>"), "{{ data.Tag | join }}", "data.Tag | join: is null"),
        (LISTS, order("<Line><A>1</A></Line>"), "{{ data.Line[0].A }}{{ data.Line | length }}", "11"),
        (LISTS, order("<Line>x</Line>"), "{{ data.Line | length }}", "1"),
        (LISTS, order("<Line>x</Line><Line>y</Line>"), "{{ data.Line | join(', ') }}", "x, y"),
        (LISTS, order("<Other/>"), "{{ data.Line | length }}", "0"),
        (
            LISTS,
            order("<Lines><Line>x</Line></Lines>"),
            "{{ data.Lines.Line | join }}{{ data.Line | default('-') }}",
            "x-",
        ),
        (
            LIST_PATH,
            order("<Lines><Line>x</Line></Lines><Line>y</Line>"),
            "{{ data.Lines.Line }}{{ data.Line }}",
            '["x"]y',
        ),
        (LIST_PATH, order("<Lines/>"), "{{ data.Lines.Line | length }}", "0"),
        (LIST_PATH, order("<Lines><Note/></Lines>"), "{{ data.Lines.Line | length }}", "0"),
        (LIST_PATH, order("<Lines><Line i:nil='true'/></Lines>"), "{{ data.Lines.Line | length }}", "1"),
        (
            "{ format: xml, lists: [ Lines/Line ] }",
            order("<Lines><Line/></Lines>"),
            "{{ data.Lines.Line | length }}",
            "1",
        ),
        (
            XML,
            f"<I>{IDOC}</I>",
            "{{ data.IDOC.E1BUDGET.AMOUNT }}",
            "data.IDOC.E1BUDGET is a list of 2: write data.IDOC.E1BUDGET[0] or data.IDOC.E1BUDGET | first for one of them; "
            "decode.split: data.IDOC.E1BUDGET makes an event of each in JSON; "
            "decode.lists names it in XML if a single one is to be a list too",
        ),
        (
            "{ format: json }",
            '[{"id": 1}, {"id": 2}]',
            "{{ data.id }}",
            "data is a list of 2: write data[0] or data | first for one of them; "
            "decode.split: data makes an event of each in JSON",
        ),
        # a text's groups have types, too
        (
            "{ format: text, pattern: '(?P<at>\\d+) (?P<n>\\S*)', types: { at: datetime, n: decimal } }",
            "20240115101112 19.50",
            "{{ data.at }} {{ data.n * 2 }}",
            "2024-01-15T09:11:12Z 39.00",
        ),
        (
            "{ format: text, pattern: '(?P<at>\\d+);(?P<n>\\S*)', types: { n: decimal } }",
            "1;",
            "{{ data.n | default('none') }}",
            "none",
        ),
    ],
)
def test_a_rule_says_of_a_body_what_was_meant(decode: str, body: str, text: str, said: str, tmp_path: Path) -> None:
    assert push_text(tmp_path, decode, of(body), text) == said


@pytest.mark.parametrize(
    "body, match, said",
    [
        (order('<Amount i:nil="true"/>'), "{ data: { Amount: null } }", "hit"),
        (order('<Amount i:nil="true"/>'), "{ data: { Amount: '' } }", "no match"),
        (order("<Amount/>"), "{ data: { Amount: '' } }", "hit"),
        (order("<Line><A>1</A></Line>"), "{ data: { Line: { any: { A: '1' } } } }", "hit"),
    ],
)
def test_a_pattern_meets_what_was_meant(body: str, match: str, said: str, tmp_path: Path) -> None:
    assert push_text(tmp_path, XML, of(body), "hit", match=match) == said


# ---- wrappings


def serialized(*records: bytes, name: str = "string", end: bytes = b"") -> bytes:
    """A value as .NET's DataContractSerializer writes it in binary XML (MC-NBFX)."""
    namespace = b"http://schemas.microsoft.com/2003/10/Serialization/"
    head = bytes([0x40, len(name)]) + name.encode() + bytes([0x08, len(namespace)]) + namespace
    return head + b"".join(records) + end


def in_text(content: str, name: str = "string") -> bytes:
    """A value of .NET's serializer as text, which writers other than that of `BrokeredMessage` make of it."""
    return f'<{name} xmlns="http://schemas.microsoft.com/2003/10/Serialization/">{content}</{name}>'.encode()


def chars(text: str, record: int, size: str) -> bytes:
    return bytes([record]) + struct.pack(f"<{size}", len(text.encode())) + text.encode()


HELLO = '{"name": "Zürich"}'
LONG = json.dumps({"name": "Zürich", "filler": "x" * 70_000}, ensure_ascii=False)
MIDDLE = json.dumps({"name": "Zürich", "filler": "x" * 300}, ensure_ascii=False)
NOISY = json.dumps({"name": "Zürich", "filler": base64.b64encode(random.Random(1).randbytes(60_000)).decode()}).encode()
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(HELLO.encode()) + RAW.flush()


@pytest.mark.parametrize(
    "named, real", [("utf-16", "utf-8"), ("utf-8", "utf-16"), ("utf-32", "utf-8"), ("cp1252", "cp1252")]
)
def test_an_xml_body_is_read_by_its_bytes_where_its_content_encoding_names_another_unicode(
    named: str, real: str, tmp_path: Path
) -> None:
    body = "<Order><name>Zürich!</name></Order>".encode(real)
    message = of(body, properties={"content_encoding": named})
    assert push_text(tmp_path, "{ format: xml }", message, "{{ data.name }}") == "Zürich!"


@pytest.mark.parametrize(
    "body, changes",
    [
        (gzipped(HELLO.encode()), {"properties": {"content_encoding": "gzip"}}),
        (gzipped(HELLO.encode()), {"properties": {"content_encoding": "GZIP"}}),
        (gzipped(HELLO.encode()), {"properties": {"content_encoding": "x-gzip"}}),
        (gzipped(HELLO.encode()), {"headers": {"content-encoding": "gzip"}}),
        (gzipped(HELLO.encode()), {}),
        (gzipped(HELLO[:5].encode()) + gzipped(HELLO[5:].encode()), {}),
        (gzipped(b"") * 999 + gzipped(HELLO.encode()), {}),
        (b"".join(gzipped(part) + bytes(20_000) for part in (NOISY[:30_000], NOISY[30_000:])), {}),
        (gzipped(gzipped(HELLO.encode())), {"properties": {"content_encoding": "gzip, gzip"}}),
        (zlib.compress(HELLO.encode()), {"properties": {"content_encoding": "deflate"}}),
        (RAW_DEFLATE, {"properties": {"content_encoding": "deflate"}}),
        (base64.encodebytes(HELLO.encode()), {"properties": {"content_encoding": "base64"}}),
        *[
            (HELLO.encode(), {"properties": {"content_encoding": name}})
            for name in ["utf-8", "UTF-8", "identity", "", "8bit"]
        ],
        (serialized(chars(HELLO, 0x98, "B"), end=b"\x01"), {}),
        (serialized(chars(HELLO, 0x99, "B")), {}),
        (serialized(chars(MIDDLE, 0x9B, "H")), {}),
        (serialized(chars(MIDDLE, 0x9A, "H"), end=b"\x01"), {}),
        (serialized(chars(LONG, 0x9D, "I")), {}),
        (serialized(chars(HELLO[:4], 0x98, "B"), chars(HELLO[4:], 0x99, "B")), {}),
        (serialized(b"\xb7" + bytes([2 * len(HELLO)]) + HELLO.encode("utf-16-le")), {}),
        (serialized(chars(HELLO, 0x9F, "B"), name="base64Binary"), {}),
        (serialized(chars(MIDDLE, 0xA0, "H"), end=b"\x01", name="base64Binary"), {}),
        (serialized(chars(LONG, 0xA3, "I"), name="base64Binary"), {}),
        (serialized(bytes([0x9F, len(z := gzipped(HELLO.encode()))]) + z, name="base64Binary"), {}),
        (gzipped(serialized(chars(HELLO, 0x99, "B"))), {"properties": {"content_encoding": "gzip"}}),
        (in_text(HELLO.replace("&", "&amp;")), {}),
        (b'<?xml version="1.0"?>\n' + in_text(HELLO.replace('"', "&quot;")), {}),
        (in_text(f"<![CDATA[{HELLO}]]>"), {}),
        (in_text(base64.encodebytes(HELLO.encode()).decode(), name="base64Binary"), {}),
        (HELLO.encode("utf-8-sig"), {}),
        (HELLO.encode("utf-16"), {}),
        (HELLO.encode("utf-16-le"), {}),
        (HELLO.encode("utf-16-be"), {}),
        (HELLO.encode("utf-32"), {}),
        (HELLO.encode("utf-32-be"), {}),
        (LATIN, {"content_type": 'application/json; charset="ISO-8859-1"'}),
        (LATIN, {"properties": {"content_encoding": "iso-8859-1"}}),
        (gzipped(LATIN), {"properties": {"content_encoding": "latin-1, gzip"}, "content_type": "application/json"}),
        (HELLO.encode(), {"properties": {"content_encoding": "cp1252"}}),
        (LATIN, {"content_type": "application/json;charset='latin1'"}),
        (HELLO.encode(), {"content_type": "application/json; charset=iso-8859-1"}),
        (HELLO.encode(), {"content_type": "application/json; charset=no-such"}),
    ],
)
def test_a_body_is_unwrapped_before_it_is_read(body: bytes, changes: dict[str, Any], tmp_path: Path) -> None:
    assert push_text(tmp_path, JSON, of(body, **changes), "{{ data.name }}") == "Zürich"


@pytest.mark.parametrize(
    "records, text",
    [
        ([b"\xa9"], ""),
        ([b"\x81"], "0"),
        ([b"\x83"], "1"),
        ([b"\x82\x01"], "1"),
        ([b"\x87"], "true"),
        ([b"\x89\xff"], "-1"),
    ],
)
def test_short_values_of_the_serializer_have_records_of_their_own(
    records: list[bytes], text: str, tmp_path: Path
) -> None:
    assert push_text(tmp_path, "{ format: text }", of(serialized(*records)), "[{{ data }}]") == f"[{text}]"


DECLARED = '<?xml version="1.0" encoding="{}"?><a><b>Zürich</b></a>'
PLAIN = "<a><b>Zürich</b></a>"


@pytest.mark.parametrize(
    "decode, body, content_type",
    [
        (XML, DECLARED.format("utf-16").encode(), None),
        (XML, DECLARED.format("utf-16").encode("utf-8-sig"), None),
        (XML, DECLARED.format("UTF-16LE").encode(), "text/xml"),
        (XML, DECLARED.format("utf-16").encode(), "application/xml; charset=utf-8"),
        (XML, DECLARED.format("utf-16").encode("utf-16"), None),
        (XML, DECLARED.format("utf-16").encode("utf-16-le"), None),
        (XML, DECLARED.format("utf-8").encode("utf-16-be"), None),
        (XML, DECLARED.format("utf-8").encode("utf-16"), None),
        (XML, PLAIN.encode("utf-16-le"), None),
        (XML, PLAIN.encode("utf-32"), None),
        (XML, serialized(chars(DECLARED.format("utf-16"), 0x99, "B")), None),
        (XML, DECLARED.format("windows-1252").encode("cp1252"), None),
        ("{ format: xml, encoding: latin-1 }", PLAIN.encode("latin-1"), None),
        ("{ format: xml, encoding: latin-1 }", PLAIN.encode(), None),
        ("{ format: xml, encoding: latin-1 }", DECLARED.format("utf-8").encode("latin-1"), None),
        ("{ format: xml, encoding: latin-1 }", DECLARED.format("utf-16").encode("latin-1"), None),
        ("{ format: xml, encoding: cp1141 }", PLAIN.encode("cp273"), None),
        ("{ format: xml, encoding: cp1252 }", PLAIN.encode("cp1252"), "text/xml; charset=utf-8"),
    ],
)
def test_xml_is_read_by_its_real_encoding(decode: str, body: bytes, content_type: str | None, tmp_path: Path) -> None:
    assert push_text(tmp_path, decode, of(body, content_type=content_type), "{{ data.b }}") == "Zürich"


@pytest.mark.parametrize(
    "encoding, body, content_type",
    [
        ("latin-1", "5 € für Zürich".replace("€", "EUR").encode("latin-1"), None),
        ("cp1252", "5 EUR für Zürich".encode("cp1252"), "text/plain"),
        ("cp1141", "5 EUR für Zürich".encode("cp273"), None),
        ("IBM-1141", "5 EUR für Zürich".encode("cp273"), None),
        ("utf-16", "5 EUR für Zürich".encode("utf-16-le"), None),
        ("latin-1", "5 EUR für Zürich".encode("latin-1"), "text/plain; charset=utf-8"),
        ("latin-1", "5 EUR für Zürich".encode("latin-1"), "text/plain; charset=no-such"),
        ("cp1252", "5 EUR für Zürich".encode(), "text/plain; charset=utf-8"),
        ("cp1252", "5 EUR für Zürich".encode("utf-8-sig"), None),
    ],
)
def test_decode_encoding_names_what_nothing_else_does(
    encoding: str, body: bytes, content_type: str | None, tmp_path: Path
) -> None:
    decode = f"{{ format: text, encoding: {encoding} }}"
    assert push_text(tmp_path, decode, of(body, content_type=content_type), "{{ data }}") == "5 EUR für Zürich"
    as_json = "{ format: json, encoding: cp1141 }"
    assert push_text(tmp_path, as_json, of('{"a": "ü €"}'.replace("€", "¤").encode("cp273")), "{{ data.a }}") == "ü €"


@pytest.mark.parametrize(
    "decode, body, changes, reason, detail",
    [
        (
            "{ format: text }",
            "Zürich".encode("latin-1"),
            {},
            Reason.DECODE,
            "not utf-8 at byte 1 (0xfc); if the body is in another "
            "encoding, decode.encoding names it, such as latin-1 or cp1252",
        ),
        (
            JSON,
            LATIN,
            {},
            Reason.DECODE,
            "not UTF-8 at byte 11 (0xfc); if the body is in another encoding, decode.encoding names it",
        ),
        (
            XML,
            "<a>Zürich</a>".encode("latin-1"),
            {},
            Reason.DECODE,
            "not XML: invalid encoding at line 1; decode.encoding names",
        ),
        (JSON, b"PK\x03\x04\x9c", {}, Reason.DECODE, "begins like a ZIP archive"),
        (
            JSON,
            b"(\xb5/\xfd..",
            {"properties": {"content_encoding": "zstd"}},
            Reason.DECODE,
            "content encoding zstd: the body is not zstd, is cut off or damaged",
        ),
        (
            JSON,
            b"x",
            {"properties": {"content_encoding": "lz4"}},
            Reason.DECODE,
            "content encoding lz4 is not supported: send gzip",
        ),
        (JSON, b"{}", {"properties": {"content_encoding": "gzip"}}, Reason.DECODE, "the body is not gzip"),
        (JSON, gzipped(b"") * 1001, {}, Reason.DECODE, "gzip: the body has more than 1000 members"),
        (JSON, gzipped(b"{}" * 50)[:-9], {}, Reason.DECODE, "the body is cut off"),
        (
            JSON,
            zlib.compress(b"{}")[:-1] + b"x",
            {"properties": {"content_encoding": "deflate"}},
            Reason.DECODE,
            "deflate",
        ),
        (JSON, b"*", {"properties": {"content_encoding": "base64"}}, Reason.DECODE, "not base64"),
        (JSON, b"x", {"properties": {"content_encoding": "gzip," * 9}}, Reason.DECODE, "10 content encodings"),
        (JSON, gzipped(b" " * 3_000_000), {}, Reason.TOO_LARGE, "the unpacked body has more than 1048576 bytes"),
        (
            JSON,
            gzipped(b" " * 600_000) * 2,
            {},
            Reason.TOO_LARGE,
            "the unpacked body has more than 1048576 bytes",
        ),
        (
            JSON,
            zlib.compress(b" " * 3_000_000),
            {"properties": {"content_encoding": "deflate"}},
            Reason.TOO_LARGE,
            "unpacked",
        ),
        (JSON, serialized(b"\x99\x05ab"), {}, Reason.DECODE, "cut off"),
        (JSON, serialized(), {}, Reason.DECODE, "cut off"),
        (JSON, in_text("<x/>"), {}, Reason.DECODE, "not JSON"),
        (JSON, in_text("*", name="base64Binary"), {}, Reason.DECODE, "serializer that is not base64"),
        (JSON, in_text("{}")[:-3], {}, Reason.DECODE, "not XML"),
        (JSON, serialized(b"\x99\x01x", end=b"more"), {}, Reason.DECODE, "more behind its end"),
        (JSON, serialized(b"\x95" + bytes(16)), {}, Reason.DECODE, "neither text nor bytes"),
        (
            JSON,
            serialized(b"\x99\x01x", name="Order"),
            {},
            Reason.DECODE,
            "a .NET object of the type Order in binary XML",
        ),
    ],
)
def test_a_body_that_cannot_be_unwrapped_is_refused_by_what_was_seen(
    decode: str, body: bytes, changes: dict[str, Any], reason: Reason, detail: str, tmp_path: Path
) -> None:
    with pytest.raises(EventError) as refusal:
        push_text(tmp_path, decode, of(body, **changes), "x")
    assert refusal.value.reason is reason
    assert detail in refusal.value.detail


# ---- CloudEvents

CLOUD = "{ format: cloudevents, types: { Amount: int } }"
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
STRUCTURED = "application/cloudevents+json"
AMQP = {f"cloudEvents:{name}": value for name, value in ATTRIBUTES.items()}


def structured(**members: Any) -> Message:
    return of(json.dumps(ATTRIBUTES | members), content_type=STRUCTURED)


@pytest.mark.parametrize(
    "message, text, said",
    [
        (of("{}", headers=AMQP | {"cloudEvents:time": 1705313472000}), "{{ time }}", "2024-01-15T10:11:12Z"),
        (of("{}", headers=AMQP | {"cloudEvents:time": 1705313472}), "{{ time }}", "2024-01-15T10:11:12Z"),
        (
            of("{}", headers=AMQP | {"cloudEvents:time": "2024-01-15T10:11:12+00:00"}),
            "{{ time }}",
            "2024-01-15T10:11:12Z",
        ),
        (of("{}", headers=AMQP | {"cloudEvents:time": ""}), "{{ time }}", "2026-03-02T12:00:00Z"),
        (of("{}", headers={f"cloudEvents_{name}": value for name, value in ATTRIBUTES.items()}), "{{ type }}", "t"),
        (
            of("{}", headers=AMQP | {"cloudEvents:flag": True, "cloudEvents:count": 7}),
            "{{ meta.flag }} {{ meta.count }}",
            "true 7",
        ),
        (structured(time="2024-01-15t10:11:12z"), "{{ time }}", "2024-01-15T10:11:12Z"),
        (structured(time="2016-12-31T23:59:60Z"), "{{ time }}", "2017-01-01T00:00:00Z"),
        (structured(subject="", time=None, extension=""), "{{ subject }}{{ time }}", "2026-03-02T12:00:00Z"),
        (structured(Upper=1, nested={"a": 1.5}), "{{ meta.Upper }} {{ meta.nested.a }}", "1 1.5"),
        (structured(data_base64="aGVsbG8gd29ybGQK"), "{{ type }} {{ subject }}", "t "),
        (
            structured(data_base64="aGVsbG8gd29ybGQK"),
            "{{ data }}",
            "data is binary data without a content type, which is not read",
        ),
        (structured(data_base64="aGVsbG8=", datacontenttype="text/plain"), "{{ data }}", "hello"),
        (structured(data_base64="eyJhIjogMX0="), "{{ data.a }}", "1"),
        (structured(data="a: 1", datacontenttype="application/yaml"), "{{ data }}", "a: 1"),
        (structured(data={"a": 1}, datacontenttype="application/x-thrift"), "{{ data.a }}", "1"),
        *[
            (message, text, said)
            for kind in ["octet-stream", "vnd.apache.thrift.binary", "protobuf", "avro", "yaml", "x-msgpack", "pdf"]
            for message in [
                structured(data_base64="AP8=", datacontenttype=f"application/{kind}"),
                of(
                    b"\x00\xff",
                    content_type=f"application/{kind}",
                    headers={f"ce-{n}": v for n, v in ATTRIBUTES.items()},
                ),
            ]
            for text, said in [
                ("{{ type }} {{ source }}", "t /s"),
                ("{{ data.a }}", f"data is binary data of the type application/{kind}, which is not read"),
                (
                    "{{ data.a | default('-') }}",
                    f"data.a | default('-'): data is binary data of the type application/{kind}, which is not read",
                ),
                (
                    "{{ data | length }}",
                    f"data | length: is binary data of the type application/{kind}, which is not read",
                ),
            ]
        ],
        (of(json.dumps(ATTRIBUTES), content_type="application/json"), "{{ type }}", "t"),
        (of(json.dumps(ATTRIBUTES)), "{{ type }}", "t"),
        (of(gzipped(json.dumps(ATTRIBUTES).encode()), content_type=STRUCTURED), "{{ type }}", "t"),
        (of(json.dumps(ATTRIBUTES).encode("utf-16"), content_type=STRUCTURED), "{{ type }}", "t"),
    ],
)
def test_a_cloudevent_is_taken_as_it_really_comes(message: Message, text: str, said: str, tmp_path: Path) -> None:
    assert push_text(tmp_path, CLOUD, message, text, map="") == said


@pytest.mark.parametrize("match", ["{ data: { a: 1 } }", "{ data: { a: { exists: false } } }"])
def test_a_pattern_of_opaque_data_is_an_error_of_its_rule(match: str, tmp_path: Path) -> None:
    message = structured(data_base64="AP8=", datacontenttype="application/protobuf")
    assert push_text(tmp_path, CLOUD, message, "x", match=match, map="") == "error"
    assert push_text(tmp_path, CLOUD, message, "x", match="{ type: t }", map="") == "x"


def eventgrid(**members: Any) -> Message:
    event = {
        "id": "1",
        "topic": "/subscriptions/s",
        "eventType": "T",
        "subject": "x",
        "eventTime": "2024-01-15T10:11:12.3456789Z",
    }
    return of(
        json.dumps(event | members),
        content_type="application/json; charset=utf-8",
        headers={"aeg-event-type": "Notification"},
    )


@pytest.mark.parametrize(
    "message, said",
    [
        (eventgrid(), "T x 2024-01-15T10:11:12.345678Z"),
        (
            eventgrid(eventType="Microsoft.EventGrid.SubscriptionDeletedEvent", subject=""),
            "Microsoft.EventGrid.SubscriptionDeletedEvent  2024-01-15T10:11:12.345678Z",
        ),
        (eventgrid(subject=None, eventTime=None, dataVersion="", metadataVersion="1"), "T  2026-03-02T12:00:00Z"),
        (eventgrid(eventTime="2024-01-15T10:11:12"), "T x 2024-01-15T10:11:12Z"),
        (eventgrid(eventTime="2024-01-15T10:11:12.345678+00:00", data=True), "T x 2024-01-15T10:11:12.345678Z"),
    ],
)
def test_an_event_of_event_grid_is_taken_as_it_really_comes(message: Message, said: str, tmp_path: Path) -> None:
    assert push_text(tmp_path, CLOUD, message, "{{ type }} {{ subject }} {{ time }}", map="") == said
