"""Groups that are joined are the same requests."""

from itertools import repeat

from hub.requests import JOINED, RequestGroup, joined
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
