import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.text import MAX_MATCHED, TextReader
from bridge.errors import EventError, Reason

EMPLOYEE = TextReader(pattern=r"Employee Id '(?P<id>\d+)' has (?P<what>.+)\.")
plain = TextReader(pattern=None)


def test_the_named_groups_of_the_pattern_are_the_data() -> None:
    assert EMPLOYEE(b"Employee Id '12345' has joined.", None) == {"id": "12345", "what": "joined"}


def test_white_space_around_the_text_does_not_count() -> None:
    assert EMPLOYEE(b"\r\n Employee Id '12345' has joined.\n", "text/plain")["id"] == "12345"


@pytest.mark.parametrize("body", [b"", b"Employee Id '12345' has joined. And more", b"Employee Id 'x' has joined."])
def test_the_pattern_has_to_match_all_of_the_text(body: bytes) -> None:
    with pytest.raises(EventError, match="does not match the source's pattern") as raised:
        EMPLOYEE(body, None)
    assert raised.value.reason is Reason.DECODE


def test_groups_that_took_no_part_are_left_out() -> None:
    assert TextReader(pattern=r"(?P<a>a)|(?P<b>b)")(b"b", None) == {"b": "b"}


def test_without_a_pattern_the_data_is_the_text() -> None:
    assert plain(b" joined\n", None) == "joined"


@pytest.mark.parametrize(
    "body, content_type",
    [
        ("Zürich".encode(), None),
        ("Zürich".encode(), "text/plain"),
        ("Zürich".encode("utf-8-sig"), None),
        ("Zürich".encode("utf-16"), None),
        (codecs.BOM_UTF16_BE + "Zürich".encode("utf-16-be"), None),
        ("Zürich".encode("utf-32"), None),
        ("Zürich".encode("latin-1"), 'text/plain; charset="ISO-8859-1"'),
        ("Zürich".encode("cp1252"), "text/plain;format=flowed; Charset=windows-1252"),
        ("Zürich".encode("utf-8-sig"), "text/plain; charset=iso-8859-1"),
    ],
)
def test_a_byte_order_mark_wins_over_the_declared_charset_and_that_over_utf_8(
    body: bytes, content_type: str | None
) -> None:
    assert plain(body, content_type) == "Zürich"


@pytest.mark.parametrize("charset", ["nope", "unicode_escape", "idna", "rot13", "zlib", "utf-7", "\0", "os.path"])
def test_a_codec_that_is_no_charset_is_refused(charset: str) -> None:
    with pytest.raises(EventError, match="charset that is not supported"):
        plain(b"abc", f"text/plain; charset={charset}")


def test_bytes_of_another_charset_are_refused_with_their_place() -> None:
    with pytest.raises(EventError, match="not utf-8 at byte 1"):
        plain("Zürich".encode("latin-1"), None)


def test_a_pattern_is_not_tried_on_a_very_long_text() -> None:
    reader = TextReader(pattern=r"(?P<a>x+)")
    assert len(reader(b"x" * MAX_MATCHED, None)["a"]) == MAX_MATCHED
    with pytest.raises(EventError) as raised:
        reader(b"x" * (MAX_MATCHED + 1), None)
    assert raised.value.reason is Reason.TOO_LARGE


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not text.startswith("\ufeff")))
def test_any_text_is_read_back(text: str) -> None:
    assert plain(text.encode(), None) == text.strip()
