"""`decode.split`: the records of a body, each with bytes that its format reads by itself."""

import contextlib
import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode import decoder_for
from bridge.decode.base import DecodeSettings, FieldSettings
from bridge.decode.split import MAX_RECORDS, split_of
from bridge.errors import EventError, Reason
from connectors.base import Message


def records(body: bytes, message: dict[str, Any] | None = None, **settings: Any) -> Sequence[Message]:
    split = split_of(DecodeSettings(**settings))
    assert split is not None
    return split(Message(source="s", body=body, **(message or {})))


def data(body: bytes, message: dict[str, Any] | None = None, **settings: Any) -> list[Any]:
    """What the source's own decoder makes of each record; the reason where it makes nothing."""
    decode = decoder_for(DecodeSettings(**settings))

    def of(record: Message) -> Any:
        try:
            return decode(record).data
        except EventError as error:
            return error.reason

    return [of(record) for record in records(body, message, **settings)]


def test_without_a_word_of_it_no_body_is_taken_apart() -> None:
    assert split_of(DecodeSettings()) is None


def test_a_record_has_the_id_of_its_message_and_a_number() -> None:
    message = {"id": "m", "position": "t/0/7", "properties": {"message_id": "m", "path": "/in"}}
    first, second = records(b"1\n2\n", message, split="lines")
    assert (first.id, second.id) == ("m/1", "m/2")
    assert (first.position, second.position) == ("t/0/7/1", "t/0/7/2")
    assert second.properties == {"message_id": "m/2", "path": "/in", "record": 2}
    assert not second.is_alone
    (nameless,) = records(b"1", split="lines")
    assert (nameless.id, nameless.position, nameless.properties) == (None, None, {"record": 1})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp037"])
def test_records_of_csv_are_found_by_the_separator_that_the_first_line_says(encoding: str) -> None:
    end = "\x85" if encoding == "cp037" else "\r\n"
    options: dict[str, Any] = {"format": "csv", "split": "lines", "encoding": encoding}
    body = end.join(["sep=;", "id;note", "1;a,b", "2;c"]).encode(encoding)
    assert data(body, **options) == [{"id": "1", "note": "a,b"}, {"id": "2", "note": "c"}]
    bare = end.join(["sep=;", "1;x", "2;y"]).encode(encoding)
    assert data(bare, **options, columns=("a", "b")) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


@pytest.mark.parametrize(
    "body, path, expected",
    [
        (b'[{"a": 1}, 2, null]', "data", [{"a": 1}, 2, None]),
        (b'{"batch": {"items": ["x"]}}', "data.batch.items", ["x"]),
        (b"[]", "data", []),
        (b"[12345678901234567890123, 0.10]", "data", [12345678901234567890123, 0.1]),
    ],
)
def test_an_array_is_taken_apart(body: bytes, path: str, expected: list[Any]) -> None:
    assert data(body, split=path) == expected


@pytest.mark.parametrize(
    "body, path, complaint",
    [
        (b"{}", "data", "data is no array"),
        (b'{"a": {}}', "data.a.b", "data.a has no b"),
        (b'{"a": []}', "data.a.b", "data.a has no b"),
        (b"[1", "data", "not JSON"),
    ],
)
def test_a_body_without_its_array_is_refused_with_the_path(body: bytes, path: str, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        records(body, split=path)
    assert raised.value.reason is Reason.DECODE


def test_a_bad_line_costs_itself_alone() -> None:
    body = b'{"a": 1}\r\n\r\n{"a": \n\xff\n  \n{"a": 4}'
    assert data(body, split="lines") == [{"a": 1}, Reason.DECODE, Reason.DECODE, {"a": 4}]


def test_each_record_of_csv_has_the_names_of_columns() -> None:
    body = b'id;note\r\n1;"two\r\nlines"\r\n;\r\n2;\xff\r\n3;"a ""b"""\r\n4\r\n5;x\x1a'
    expected: list[Any] = [{"id": "1", "note": "two\nlines"}, Reason.DECODE, {"id": "3", "note": 'a "b"'}]
    found = data(body.removesuffix(b"\x1a"), format="csv", delimiter=";", split="lines")
    assert found == [*expected, Reason.DECODE, {"id": "5", "note": "x"}]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp037", "cp1141"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_taken_apart_in_any_charset(charset: str, end: str) -> None:
    encoding = {"cp1141": "cp273"}.get(charset, charset)
    body = end.join(["id,name", "1,Zürich", '2,"a,b"', ""]).encode(encoding)
    found = data(body, format="csv", split="lines", encoding=charset)
    assert found == [{"id": "1", "name": "Zürich"}, {"id": "2", "name": "a,b"}]


def test_new_lines_of_mainframes_end_records() -> None:
    body = b"\x15".join(line.encode("cp500") for line in ("AB1", "CD2", ""))
    fields = {"name": FieldSettings(first=1, last=2), "n": FieldSettings(first=3, last=3, type="int")}
    found = data(body, format="fixed_width", fields=fields, encoding="cp500", split="lines")
    assert found == [{"name": "AB", "n": 1}, {"name": "CD", "n": 2}]


def test_records_of_a_length_need_no_line_end_and_the_last_one_may_be_bad() -> None:
    fields = {"n": FieldSettings(first=1, last=2, type="packed"), "t": FieldSettings(first=3, last=3)}
    body = bytes.fromhex("015cc1025dc215")
    found = data(body, format="fixed_width", fields=fields, encoding="cp037", length=3, split="records")
    assert found == [{"n": 15, "t": "A"}, {"n": -25, "t": "B"}, Reason.DECODE]


def test_a_compressed_body_is_unpacked_before_and_its_records_do_not_say_so() -> None:
    message = {"headers": {"Content-Encoding": "gzip", "x": "y"}, "properties": {"content_encoding": "gzip"}}
    assert data(gzip.compress(b"1\n2"), message, split="lines") == [1, 2]
    (record,) = records(gzip.compress(b"1"), message, split="lines")
    assert (record.headers, record.properties) == ({"x": "y"}, {"record": 1})


@pytest.mark.parametrize(
    "body, settings, complaint",
    [
        (b"1\n" * (MAX_RECORDS + 1), {"split": "lines"}, f"more than {MAX_RECORDS} records"),
        (b"[" + b"1," * MAX_RECORDS + b"1]", {"split": "data"}, f"more than {MAX_RECORDS} records"),
        (b"x" * 2000 + b"\n1" * 900, {"split": "lines", "format": "csv", "max_body": 9000}, "more than 144000 bytes"),
        (b"1\n" * 8, {"split": "lines", "max_body": 15}, "the limit is 15"),
        (gzip.compress(b"1\n" * 99, mtime=0), {"split": "lines", "max_body": 100}, "100 bytes"),
    ],
)
def test_there_is_a_bound(body: bytes, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        records(body, **settings)
    assert raised.value.reason is Reason.TOO_LARGE


_SETTINGS = st.sampled_from(
    [
        {"split": "lines"},
        {"split": "data"},
        {"split": "lines", "format": "csv"},
        {"split": "lines", "format": "csv", "columns": ("a", "b"), "delimiter": ";"},
        {"split": "lines", "format": "csv", "encoding": "cp037"},
        {"split": "lines", "format": "text", "encoding": "utf-16"},
    ]
)


@given(st.binary(max_size=200), _SETTINGS, st.sampled_from([None, "text/csv; charset=utf-32", "text/csv; charset=x"]))
def test_any_body_is_taken_apart_or_refused_in_our_words(
    body: bytes, settings: dict[str, Any], content_type: str | None
) -> None:
    with contextlib.suppress(EventError):
        data(body, {"content_type": content_type}, **settings)


@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=5), "b": st.text(max_size=5)}), max_size=5))
def test_what_was_written_as_lines_of_json_comes_back(values: list[dict[str, str]]) -> None:
    assert data("\n".join(map(json.dumps, values)).encode(), split="lines") == values
