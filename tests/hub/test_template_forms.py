"""Each form of the expression language in JSON, XML and headers, filled with hostile values, beside what it should yield.

What an expression should yield is made together with its text, and knows nothing of how the hub reads one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.content.templates import compile_template
from hub.installation import Template
from hub.notification import Platform

pytestmark = pytest.mark.slow

Values = Mapping[str, str]
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NAMES = ("a", "B_1", "title")
_HOSTILE = (
    '"}, "aps": {"alert": "x"}',
    "</text></toast><toast>",
    "]]>",
    "<![CDATA[",
    "&lt;&#0;&amp;",
    "$(a)",
    "{'x' + $(title)}",
    "\\",
    '\\"',
    "\r\nX-WNS-Type: wns/raw",
    "\x00\x1b\x7f\x85\u2028\u2029\ufeff\ufffe",
    "'\"",
    "%00%0a",
    "007",
    "-1.5e3",
    "1e999",
    "NaN",
    "٣",
    "👩‍👩‍👧 é \U0001f600",
)
values = st.one_of(st.sampled_from(_HOSTILE), st.text(max_size=30), st.integers().map(str))
properties = st.dictionaries(st.sampled_from(_NAMES), values, max_size=3)


@dataclass(frozen=True)
class Form:
    """An expression and what it yields as text; `is_number` where JSON writes a number that is one."""

    text: str
    yields: Callable[[Values], str]
    is_number: bool = False


@st.composite
def functions(draw: st.DrawFn, sigils: str = "$.%") -> Form:
    sigil, name = draw(st.sampled_from(sigils)), draw(st.sampled_from(_NAMES))
    default = draw(st.none() | st.text(max_size=12).filter(lambda text: "\\" not in text and "}" not in text))
    length = (
        draw(st.integers(0, 12)) if sigil == "." else draw(st.none() | st.integers(0, 12)) if sigil == "$" else None
    )
    space = draw(st.sampled_from(["", " ", "  "]))
    spelled = draw(st.sampled_from([name, name.upper(), name.lower()]))
    text = f"{sigil}({space}{spelled}{space}"
    text += "" if default is None else f":{{{default}}}{space}"
    text += ")" if length is None else f",{space}{length}{space})"

    def yields(given: Values) -> str:
        value = given.get(name, default or "")
        if sigil == "%":
            return "".join(c if c.isascii() and (c.isalnum() or c in "-._~") else _percent(c) for c in value)
        if length is None or len(value) <= length:
            return value
        return (value[: max(0, length - 3)] + "..."[:length]) if sigil == "." else value[:length]

    return Form(text, yields)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


@st.composite
def literals(draw: st.DrawFn) -> Form:
    quote, text = draw(st.sampled_from("'\"")), draw(st.text(min_size=1, max_size=10))
    return Form(f"{quote}{text.replace(quote, quote * 2)}{quote}", lambda given: text)


@st.composite
def composites(draw: st.DrawFn) -> Form:
    terms = draw(st.lists(functions() | literals(), min_size=1, max_size=4))
    plus = draw(st.sampled_from(["+", " + ", "  +"]))
    text = plus.join(term.text for term in terms)
    return Form(f"{{{text}}}", lambda given: "".join(term.yields(given) for term in terms))


numbers = functions("#").map(lambda form: Form(form.text, form.yields, is_number=True))
forms = st.one_of(functions(), composites(), numbers)
# A body may hold no half of a character, XML none of its forbidden ones, and a header no control: a client's mistake.
in_xml = forms.filter(lambda form: not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\r\t\n\ufffe\uffff]", form.text))
in_header = forms.filter(lambda form: not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", form.text))


def filled(body: str, platform: Platform, given: Values, **more: Any) -> Any:
    return compile_template(Template(body=body, **more), platform).render(given, {})


@given(forms, properties)
@settings(deadline=None)
def test_in_json_a_form_yields_its_text_or_its_number(form: Form, given: Values) -> None:
    body = orjson.dumps({"aps": {"alert": [form.text, {"deep": form.text}]}, "$(a)": 1}).decode()
    found = orjson.loads(filled(body, Platform.APNS, given).payload)
    text = form.yields(given)
    is_number = form.is_number and _NUMBER.fullmatch(text) is not None
    yielded = orjson.loads(text) if is_number and text != "1e999" else text
    if text == "1e999" and is_number:
        yielded = found["aps"]["alert"][0]
    assert found == {"aps": {"alert": [yielded, {"deep": yielded}]}, "$(a)": 1}


@given(in_xml, properties)
@settings(deadline=None)
def test_in_xml_a_form_yields_its_text_in_leaves_and_attributes(form: Form, given: Values) -> None:
    escaped = form.text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    body = f"<toast launch={quoteattr(form.text)}><text>{escaped}</text></toast>"
    root = etree.fromstring(filled(body, Platform.WNS, given).payload)
    text = "".join(
        c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in form.yields(given)
    )
    assert (root.get("launch"), root[0].text or "", len(root), len(root[0])) == (text, text, 1, 0)


@given(in_header, properties)
@settings(deadline=None)
def test_in_a_header_a_form_yields_one_line(form: Form, given: Values) -> None:
    rendered = filled("<badge/>", Platform.WNS, given, headers={"X-WNS-Tag": form.text, "X-WNS-Type": "wns/badge"})
    value, text = rendered.headers["X-WNS-Tag"], form.yields(given)
    assert not re.search("[\x00-\x1f\x7f]", value)
    assert len(value) <= len(text)
    assert re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029 ]", "", value) == re.sub(
        "[\x00-\x1f\x7f-\x9f\u2028\u2029 ]", "", text
    )
    assert rendered.headers.keys() == {"X-WNS-Tag", "X-WNS-Type"}


@given(properties)
def test_what_is_percent_encoded_reads_back(given: Values) -> None:
    body = orjson.dumps({"aps": {"alert": "%(title)"}}).decode()
    found = orjson.loads(filled(body, Platform.APNS, given).payload)["aps"]["alert"]
    assert re.fullmatch(r"[A-Za-z0-9%._~-]*", found)
    assert unquote(found) == given.get("title", "")
