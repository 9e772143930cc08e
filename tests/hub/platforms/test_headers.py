"""What callers may put into a header, and that it stays one header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platforms.headers import HeaderError, field_lines, given_fields


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_any_header_is_one_line_or_refused(headers: dict[str, str]) -> None:
    try:
        lines = field_lines(given_fields(headers, allowed=("",)))
    except HeaderError:
        return
    assert len(lines) <= len(headers)
    for line in lines:
        assert not any(character < 0x20 or character == 0x7F for character in line)
        assert b": " in line


@pytest.mark.parametrize("value", ["a\r\nauthorization: x", "a\nb", "a\rb", "a\x00b", "a\x7fb", "a\tb"])
def test_a_control_character_in_a_value_is_refused(value: str) -> None:
    with pytest.raises(HeaderError, match="control character"):
        field_lines({"apns-topic": value})


@pytest.mark.parametrize("name", ["authorization", ":path", "host", "apns topic", "apns-x\r\ny", "", "content-length"])
def test_a_header_that_is_not_the_callers_is_refused(name: str) -> None:
    with pytest.raises(HeaderError, match="cannot be set"):
        given_fields({name: "x"}, allowed=("apns-",))


def test_names_are_lower_case_and_empty_values_left_out() -> None:
    assert given_fields({"Apns-Topic": "a", "APNS-Priority": ""}, allowed=("apns-",)) == {"apns-topic": "a"}


@pytest.mark.parametrize(
    "headers",
    [
        {"apns-a": "x" * 4096},
        {"apns-" + "x" * 4092: "y"},
        {"apns-a": "é" * 2048},
        {f"apns-{n}": "x" * 100 for n in range(40)},
    ],
)
def test_headers_that_a_service_might_close_the_connection_for_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HeaderError, match="bytes are too large, 4096 are allowed"):
        field_lines(given_fields(headers, allowed=("apns-",)))
    assert field_lines({"apns-a": "x" * 4088}) == [b"apns-a: " + b"x" * 4088]
