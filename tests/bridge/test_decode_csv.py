"""CSV bodies of one record."""

import contextlib
import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.csv import CsvReader
from bridge.errors import EventError, Reason


def test_fields_go_by_the_names_of_the_first_line() -> None:
    reader = CsvReader(types={"amount": "decimal", "paid": "bool"})
    assert reader(b'id,amount,paid,note\r\n7,19.90,true," a, b"\r\n') == {
        "id": "7",
        "amount": Decimal("19.90"),
        "paid": True,
        "note": " a, b",
    }


def test_an_empty_field_is_empty_text_and_null_where_it_has_a_type() -> None:
    assert CsvReader(types={"n": "int"})(b"id,n\n,\n1,") == {"id": "1", "n": None}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,50", "12.50"),
        ("1.234,5", "1234.5"),
        ("1.234.567", "1234567"),
        ("-1 234,00", "-1234.00"),
        ("1'234,-", None),
        ("1'234'567,8-", "-1234567.8"),
        ("7", "7"),
        (",5", "0.5"),
        ("1.23,5", None),
        ("1.2345", None),
        ("1,2,3", None),
        ("12.50", None),
    ],
)
def test_a_number_may_have_a_comma_before_its_fraction(text: str, number: str | None) -> None:
    reader = CsvReader(types={"n": "decimal_comma"}, delimiter=";")
    body = f"id;n\n1;{text}".encode()
    if number is None:
        with pytest.raises(EventError, match="n is not of the type decimal_comma"):
            reader(body)
    else:
        assert reader(body)["n"] == Decimal(number)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=; ", "sep=;\r", "\ufeffsep=;"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_first_line_may_say_what_stands_between_fields(first: str, delimiter: str) -> None:
    body = f"{first}\nid;note\n1;a,b".encode()
    assert CsvReader(delimiter=delimiter)(body) == {"id": "1", "note": "a,b"}
    assert CsvReader(columns=("a", "b"), has_names=False)(f"{first}\n1;2".encode()) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("first", ["sep=", "sep=;;", "separator=;", "a,sep=;"])
def test_a_first_line_that_only_looks_so_has_the_names_of_columns(first: str) -> None:
    columns = first.split(",")
    assert CsvReader()(f"{first}\n{','.join('1' for _ in columns)}".encode()) == dict.fromkeys(columns, "1")


def test_complaints_count_the_line_that_says_what_stands_between_fields() -> None:
    with pytest.raises(EventError, match="at line 3"):
        CsvReader()(b'sep=;\nid;b\n1;"2" x')


def test_names_may_be_configured() -> None:
    assert CsvReader(columns=("a", "b"), has_names=False, delimiter="\t")(b"1\t2") == {"a": "1", "b": "2"}
    assert CsvReader(columns=("a", "b"), has_names=True)(b"A,B\n1,2") == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "body, complaint",
    [
        (b"", "without a line"),
        (b"\n\n", "without a line"),
        (b"a,b\n", "with 0 records where one was expected"),
        (b"a,b\n1,2\n3,4", "with 2 records where one was expected; decode.split: lines"),
        (b"a,b\n1,2,3", "3 fields in a record, and 2 columns"),
        (b"a,b\n1;2", "1 field in a record, and 2 columns; decode.delimiter"),
        (b"a,\n1,2", "column 2 has no name"),
        (b"a,b, a\n1,2,3", "column 3 has the name of another column"),
        (b"a,b\r1,2\r", "not CSV: a carriage return stands alone, and lines end with LF or CR LF at line 1"),
        (b'a,b\n1,"2', "not CSV: unexpected end of data at line 2"),
        (b'a,b\n1,"2"3', "not CSV: ',' expected"),
        (b"a,b\n\xff,1", "not utf-8 at byte 4"),
        (b"a,b\nx,1", "a is not of the type int"),
        (b"b,c\n1,2", "without a column a, which decode.types names"),
        (b",".join(b"c%d" % n for n in range(1001)) + b"\n1", "1001 columns"),
    ],
)
def test_what_is_no_record_is_refused_in_words(body: bytes, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        CsvReader(types={"a": "int"})(body)
    assert raised.value.reason is Reason.DECODE


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85")), min_size=2, max_size=4)
)
def test_what_the_library_writes_is_read(fields: list[str]) -> None:
    if not any(field.strip() for field in fields):
        return
    file = io.StringIO()
    csv.writer(file).writerow(fields)
    names = tuple(f"c{number}" for number in range(len(fields)))
    assert list(CsvReader(columns=names, has_names=False)(file.getvalue().encode()).values()) == fields


@given(st.binary(max_size=100), st.sampled_from([{}, {"columns": ("a",), "has_names": False}, {"encoding": "cp500"}]))
def test_any_bytes_are_read_or_refused_in_our_words(body: bytes, settings: dict[str, Any]) -> None:
    with contextlib.suppress(EventError):
        CsvReader(**settings)(body)
