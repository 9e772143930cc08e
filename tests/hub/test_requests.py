"""Groups that are joined are the same requests."""

from itertools import repeat

import pytest

from hub.requests import JOINED, UNRESERVED, RequestGroup, all_of, encoded, joined
from tests.fakes.requests import requests_in


def group(position: int, *, count: int = 1, line: bytes = b"a: b", key: str = "", body: bytes = b"{}") -> RequestGroup:
    positions = range(position, position + count)
    return RequestGroup(
        "https://x",
        positions,
        "/device/",
        [f"phone-{number}" for number in positions],
        [line],
        "x-id",
        [f"id-{number}" for number in positions],
        repeat(body),
        "x-key" if key else "",
        [key] * count if key else (),
    )


def groups() -> list[RequestGroup]:
    """Columns may be read once, so each reader has groups of its own."""
    return [
        group(0, key="k0", body=b"0"),
        group(1, key="k1", body=b"1"),
        group(2, body=b"without a key"),
        group(3, count=2),
        group(5, line=b"a: c"),
        group(6, line=b"a: c", count=JOINED - 1),
        group(5 + JOINED, line=b"a: c"),
    ]


def test_joined_groups_are_the_same_requests() -> None:
    assert requests_in(joined(groups())) == requests_in(groups())


def test_neighbours_are_joined_up_to_a_bound_where_nothing_but_their_columns_differs() -> None:
    assert [len(each.ids) for each in joined(groups())] == [2, 3, JOINED, 1]


@pytest.mark.parametrize("column", [[""], ["", ""], ["a", "größer"], ["a\nb", "c"], ["\n"]], ids=repr)
def test_a_column_is_encoded_as_each_of_its_texts(column: list[str]) -> None:
    assert list(encoded(column)) == [each.encode() for each in column]


@pytest.mark.parametrize(
    ("column", "expected"),
    [([], True), (["aZ09", "-._~"], True), (["a", "b/"], False), (["a", "ä"], False), (["a\n"], False), (["%"], False)],
)
def test_a_column_needs_no_escapes_if_none_of_its_texts_does(column: list[str], expected: bool) -> None:
    assert all_of(column, UNRESERVED) is expected
