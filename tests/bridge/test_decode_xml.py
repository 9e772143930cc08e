import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.base import MAX_DEPTH, ValueType
from bridge.decode.xml import XmlReader
from bridge.errors import EventError, Reason

plain = XmlReader(root=None, types={})


@pytest.mark.parametrize(
    "body, data",
    [
        ("<a/>", ""),
        ("<a>text</a>", "text"),
        ("<a>\n  text\n</a>", "text"),
        ("<a><b>1</b><c/></a>", {"b": "1", "c": ""}),
        ("<a><b>1</b><b>2</b><b>3</b></a>", {"b": ["1", "2", "3"]}),
        ("<a><b><c>1</c></b><b>2</b></a>", {"b": [{"c": "1"}, "2"]}),
        ('<a x="1" y=""><b z="2">3</b></a>', {"@x": "1", "@y": "", "b": {"@z": "2", "#text": "3"}}),
        ("<a>one <b>two</b> three</a>", {"b": "two", "#text": "one  three"}),
        ('<a xmlns="urn:x" xmlns:p="urn:y"><p:b p:c="1">2</p:b></a>', {"b": {"@c": "1", "#text": "2"}}),
        ('<a xmlns:p="urn:y" b="1" p:b="2"/>', {"@b": ["1", "2"]}),
        ('<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><b i:type="x">1</b><c i:nil="true"/></a>',
         {"b": "1", "c": None}),
        *(
            (f'<a xmlns:m="{odata}"><b m:null="true"/><c m:type="Edm.Int32" m:null="true" /><d m:null="false">1</d></a>',
             {"b": None, "c": None, "d": "1"})
            for odata in ("http://schemas.microsoft.com/ado/2007/08/dataservices/metadata",
                          "http://docs.oasis-open.org/odata/ns/metadata")
        ),
        ('<a xmlns:m="urn:x"><b m:null="true"/></a>', {"b": {"@null": "true"}}),
        ("<a><!-- no --><?pi no?>1<![CDATA[<2>&]]></a>", "1<2>&"),
        ("<a>&lt;&#65;&amp;</a>", "<A&"),
        ('<?xml version="1.0"?>\n<a>1</a>\n<!-- end -->', "1"),
    ],
)  # fmt: skip
def test_a_document_becomes_data(body: str, data: Any) -> None:
    assert plain(body.encode()) == data


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_declared_encoding_is_used(encoding: str) -> None:
    assert plain(f'<?xml version="1.0" encoding="{encoding}"?><a>Zürich</a>'.encode(encoding)) == "Zürich"


@pytest.mark.parametrize("name", ["utf-16", "UCS-2", "ISO-10646-UCS-2", "Unicode", "utf8", "ANSI"])
def test_a_declaration_that_cannot_be_true_is_passed_over(name: str) -> None:
    assert plain(f'<?xml version="1.0" encoding="{name}"?><a>Zürich</a>'.encode()) == "Zürich"


def test_bytes_that_are_not_utf_8_under_an_unknown_encoding_are_refused() -> None:
    with pytest.raises(EventError, match="not XML: invalid encoding at line 1"):
        plain('<?xml version="1.0" encoding="ANSI"?><a>Zürich</a>'.encode("latin-1"))


@pytest.mark.parametrize("before, behind", [("\n", ""), (" \r\n\t", "\n"), ("", "\0"), ("", "\n\0\0")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_white_space_before_and_zero_bytes_behind_a_document_are_passed_over(
    before: str, behind: str, encoding: str
) -> None:
    document = f'{before}<?xml version="1.0" encoding="{encoding}"?><a>Zürich</a>{behind}'
    assert plain(document.encode(encoding)) == "Zürich"


@pytest.mark.parametrize(
    "type, text, value",
    [
        ("decimal", " 12.50 ", Decimal("12.50")),
        ("decimal", "-.5", Decimal("-0.5")),
        ("decimal", "1.5E+3", Decimal("1.5E+3")),
        ("decimal", "1000.00-", Decimal("-1000.00")),
        ("int", "+007", 7),
        ("int", "7-", -7),
        ("float", "1e3", 1000.0),
        ("float", "1.5-", -1.5),
        ("bool", "true", True),
        ("bool", "True", True),
        ("bool", "FALSE", False),
        ("bool", "0", False),
        ("datetime", "2026-03-02T21:50:00+01:00", "2026-03-02T20:50:00Z"),
        ("datetime", "2026-03-02t20:50:00.250z", "2026-03-02T20:50:00.250000Z"),
    ],
)
def test_a_typed_element_is_read_as_its_type(type: ValueType, text: str, value: Any) -> None:
    read = XmlReader(root=None, types={"Amount": type})(f"<a><Amount>{text}</Amount><b>1</b></a>".encode())
    assert read == {"Amount": value, "b": "1"}
    assert read["Amount"].__class__ is value.__class__


@pytest.mark.parametrize(
    "type, text",
    [
        *[
            ("decimal", text)
            for text in ["1e309", "1e-309", "NaN", "Infinity", "1_0", "٣", "1,5", "-1-", "-", "9" * 65]
        ],
        *[("int", text) for text in ["1.0", "1e3", "0x1", "1_000", "--1", "9" * 5000]],
        *[("float", text) for text in ["INF", "nan", "1e999"]],
        *[("bool", text) for text in ["Y", "yes", "ＴＲＵＥ"]],
        *[("datetime", text) for text in ["20261302", "soon", "0001-01-01T00:00:00+23:59"]],
        *[("date", text) for text in ["20260230", "soon"]],
    ],
)
def test_a_text_that_is_not_of_its_type_is_refused_by_name(type: ValueType, text: str) -> None:
    with pytest.raises(
        EventError, match=rf"^decode: Amount is not of the type {type}( \((not a time: |it has a|true, false, ).*\))?$"
    ):
        XmlReader(root=None, types={"Amount": type})(f"<a><Amount>{text}</Amount></a>".encode())


@pytest.mark.parametrize(
    ("text", "is_said"), [("100,50", True), ("1.234,5", True), ("1,234", False), ("12,345", False), ("1,2,3", False)]
)
def test_a_decimal_comma_is_named_where_it_can_be_nothing_else(text: str, is_said: bool) -> None:
    with pytest.raises(EventError) as refused:
        XmlReader(root=None, types={"Amount": "decimal"})(f"<a><Amount>{text}</Amount></a>".encode())
    assert ("it has a decimal comma, which decimal_comma reads" in str(refused.value)) is is_said
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("type", "text", "cure"),
    [
        ("int", "12.0", "it has a fraction or an exponent, which decimal reads"),
        ("bool", "X", "true, false, 1 and 0 are read"),
    ],
)
def test_what_a_type_reads_or_the_type_that_reads_it_is_named(type: ValueType, text: str, cure: str) -> None:
    with pytest.raises(EventError, match=rf"Amount is not of the type {type} \({cure}\)$"):
        XmlReader(root=None, types={"Amount": type})(f"<a><Amount>{text}</Amount></a>".encode())


def test_types_apply_by_name_everywhere_and_by_path_in_one_place() -> None:
    read = XmlReader(root=None, types={"P": "int", "@n": "int", "Lines/P": "decimal", "Lines/P/@n": "bool"})
    body = b'<Order n="1"><P n="2">3</P><Lines><P n="1">3</P><P>4</P></Lines></Order>'
    assert read(body) == {
        "@n": 1,
        "P": {"@n": 2, "#text": 3},
        "Lines": {"P": [{"@n": True, "#text": Decimal(3)}, Decimal(4)]},
    }


def test_another_root_element_is_refused() -> None:
    read = XmlReader(root="ApprovalRequest", types={})
    assert read(b'<p:ApprovalRequest xmlns:p="urn:x">1</p:ApprovalRequest>') == "1"
    with pytest.raises(EventError, match="the root element is Approval, not ApprovalRequest"):
        read(b"<Approval>1</Approval>")
    with pytest.raises(EventError, match=f"the root element is {'a' * 60}…, not ApprovalRequest"):
        read(f"<{'a' * 5000}/>".encode())


@pytest.mark.parametrize(
    "body, complaint",
    [
        (b"", "not XML: document empty at line 1"),
        (b"no", "not XML: .* at line 1"),
        (b"<a>\n<b>\n</a>", "not XML: tag name mismatch at line 3"),
        (b"<a/><b/>", "not XML"),
        (b"<a>&nope;</a>", "not XML: undeclared entity"),
        (b"<a>\xff</a>", "not XML: invalid encoding"),
    ],
)
def test_a_broken_document_is_refused_with_the_line(body: bytes, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        plain(body)
    assert raised.value.reason is Reason.DECODE


def test_a_broken_document_leaves_nothing_behind_for_the_next() -> None:
    read = XmlReader(root=None, types={"b": "int"})
    for broken in (b"<a><b>1</b><c>", b"<a><b>x</b></a>", b"<!DOCTYPE a><a/>"):
        with pytest.raises(EventError):
            read(broken)
        assert read(b"<a><b>2</b></a>") == {"b": 2}


def test_nesting_is_bounded() -> None:
    plain(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(EventError, match="deeper than 64 levels"):
            plain(b"<a>" * depth + b"</a>" * depth)


LAUGHS = (
    '<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY l0 "lol">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    + ']><a x="&l11;">&l11;</a>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_billion_laughs_are_refused_before_they_are_told(encoding: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(EventError, match="document type declaration"):
            plain(LAUGHS.format(encoding=encoding).encode(encoding))
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "{uri}">]>',
        '<!DOCTYPE a SYSTEM "{uri}">',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "{uri}"> %p;]>',
    ],
)
def test_a_document_cannot_reach_a_file(doctype: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with pytest.raises(EventError, match="document type declaration"):
        plain((doctype.replace("{uri}", secret.as_uri()) + "<a>&x;</a>").encode())


xml_text = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), xml_text, min_size=1))
def test_what_was_escaped_is_read_back_but_for_white_space_around(members: dict[str, str]) -> None:
    body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in members.items())
    assert plain(f"<root>{body}</root>".encode()) == {name: text.strip() for name, text in members.items()}


@pytest.mark.parametrize(
    "declaration, charset",
    [
        ("", "iso-8859-1"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "iso-8859-1"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "utf-8"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "utf-16"),
        ('<?xml version="1.0"?>', "shift_jis"),
    ],
)
def test_a_charset_of_the_content_type_wins_over_the_declaration(declaration: str, charset: str) -> None:
    name = "猫" if charset == "shift_jis" else "Zürich"
    assert plain(f"{declaration}<a>{name}</a>".encode(charset), f"text/xml; charset={charset}") == name


@pytest.mark.parametrize("charset", ["windows-1252", "iso-8859-15"])
def test_a_charset_that_clients_add_to_any_body_yields_to_the_document_s_own(charset: str) -> None:
    document = f'<?xml version="1.0" encoding="{charset}"?><a>Zürich</a>'.encode(charset)
    assert plain(document, "text/xml; charset=utf-8") == "Zürich"


def test_mainframe_xml_names_the_setting_that_reads_it() -> None:
    with pytest.raises(EventError, match=r"unsupported encoding at line 1; decode\.encoding names the encoding"):
        plain('<?xml version="1.0" encoding="IBM037"?><a/>'.encode("cp037"))


def test_bytes_that_are_not_of_the_declared_charset_are_refused_with_their_place() -> None:
    with pytest.raises(EventError, match="not utf-8 at byte 4"):
        plain("<a>Zürich</a>".encode("latin-1"), "text/xml; charset=utf-8")
