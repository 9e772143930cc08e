"""Many requests and many answers at once mean what they mean one by one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hub.requests import RequestGroup
from hub.transport.feed import Row
from hub.transport.http2 import connection, frames
from hub.transport.http2.connection import Http2Connection
from hub.transport.http2.frames import END_HEADERS, END_STREAM, Code, Kind, answers_alike
from hub.transport.http2.request_bytes import RequestEncoder, header_block, whole_requests
from hub.transport.requests import Batch

GROUP = RequestGroup("https://x", (), "/3/device/", (), [b"authorization: bearer abc"], "apns-id", (), ())
KEYED = GROUP._replace(key_name="apns-collapse-id")
WHOLE = END_STREAM | END_HEADERS


def rows_of(count: int, **changes: Any) -> list[Row]:
    made = {"tail": "{:064x}", "id": "id-{:04}", "body": "body {}", "key": "", **changes}
    return [
        (each, made["tail"].format(each), made["id"].format(each), made["body"].format(each).encode(), made["key"])
        for each in range(count)
    ]


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        (GROUP, rows_of(5)),
        (GROUP, rows_of(5, body="the same")),
        (GROUP, rows_of(5, tail="", body="")),
        (GROUP, rows_of(5, tail="%b{}", body="%%{}")),
        (GROUP, rows_of(5, tail="a\nb{}", id="größer\n{}")),
        (GROUP, rows_of(3, tail="{:0300x}", body=f"{'x' * 8000}{{}}")),
        (KEYED, rows_of(5, key="score")),
    ],
    ids=["own bodies", "one body", "empty", "percent", "line feeds", "long", "keys"],
)
def test_a_slice_is_the_bytes_of_its_requests_one_by_one(group: RequestGroup, rows: Sequence[Row]) -> None:
    encoder = RequestEncoder("x")
    encoder.shared(group)
    shared, is_lasting = encoder.shared(group)
    assert is_lasting
    streams = range(7, 7 + 2 * len(rows), 2)
    singly = [
        frames.headers(stream, header_block(shared, group.path, row))
        + frames.frame(Kind.DATA, row[3], flags=END_STREAM, stream=stream)
        for stream, row in zip(streams, rows, strict=True)
    ]
    assert whole_requests(shared, group.path, streams, rows) == b"".join(singly)


@pytest.mark.parametrize("changes", [{"tail": "x"}, {"id": "x"}, {"body": "x"}, {"tail": "x" * 9000}], ids=str)
def test_requests_of_other_shapes_are_no_slice(changes: dict[str, str]) -> None:
    shared, _ = RequestEncoder("x").shared(GROUP)
    rows = rows_of(3, tail="x" * 9000) if len(changes.get("tail", "")) > 1 else [*rows_of(2), *rows_of(1, **changes)]
    assert whole_requests(shared, GROUP.path, range(1, 7, 2), rows) is None


BLOCK = b"\x88\x00\x01a\x01b"
""":status 200, and a field."""


def answer(stream: int, block: bytes = BLOCK, *, flags: int = WHOLE) -> bytes:
    return frames.frame(Kind.HEADERS, block, flags=flags, stream=stream)


@pytest.mark.parametrize(
    ("behind", "found"),
    [
        (b"", 3),
        (answer(9), 4),
        (answer(9, BLOCK[:-1] + b"c"), 4),
        (answer(9, b"\x89" + BLOCK[1:]), 3),
        (answer(9, BLOCK + b"\x88"), 3),
        (answer(9, flags=END_HEADERS) + answer(11), 3),
        (answer(9)[:-1], 3),
        (frames.frame(Kind.DATA, BLOCK, flags=WHOLE, stream=9), 3),
    ],
    ids=["nothing", "alike", "another block", "another status", "longer", "a body follows", "torn", "DATA"],
)
def test_frames_alike_are_found_to_the_first_that_differs(behind: bytes, found: int) -> None:
    data = b"before" + b"".join(map(answer, (3, 5, 7))) + behind
    first, size = len(b"before"), len(answer(1))
    assert answers_alike(data, first, first + size) == ((3, 5, 7, 9)[:found], first + found * size)


def reset(stream: int) -> bytes:
    return frames.reset(stream, Code.NO_ERROR)


@pytest.mark.parametrize(
    ("behind", "found"),
    [
        (b"", 2),
        (answer(7) + reset(7), 3),
        (answer(7) + reset(9), 2),
        (answer(7) + reset(9) + answer(9) + reset(9), 2),
        (answer(7) + answer(9), 2),
        (answer(7) + reset(7)[:-1], 2),
    ],
    ids=["nothing", "alike", "of another stream", "of another stream, and alike", "no reset", "torn"],
)
def test_answers_with_resets_are_found_to_the_first_that_differs(behind: bytes, found: int) -> None:
    data = answer(3) + reset(3) + answer(5) + reset(5) + behind
    unit = len(answer(3) + reset(3))
    assert answers_alike(data, 0, len(answer(3))) == ((3, 5, 7)[:found], found * unit)


@pytest.mark.parametrize("data", [answer(3), answer(3) + reset(3), answer(3) + answer(5, b"\x88")], ids=len)
def test_an_answer_alone_is_not_looked_at_in_columns(data: bytes) -> None:
    assert answers_alike(data, 0, len(answer(3))) == ((), 0)


ANSWERS = {
    "in order": [1, 3, 5, 7, 9],
    "in another order": [9, 1, 7, 3, 5],
    "one twice": [1, 3, 3, 5, 7, 9],
    "one of no request": [1, 3, 2**31 + 5, 5, 7, 9],
    "one that had begun to answer": [1, 3, 11, 5, 7, 9],
}


@pytest.mark.parametrize("is_reset", [False, True], ids=["whole", "reset"])
@pytest.mark.parametrize("streams", ANSWERS.values(), ids=ANSWERS)
async def test_answers_at_once_end_what_they_end_one_by_one(streams: list[int], is_reset: bool) -> None:
    answers = [answer(each) + reset(each) if is_reset else answer(each) for each in streams]
    at_once, singly = (begun() for _ in range(2))
    at_once[0].receive(b"".join(answers))
    for each in answers:
        singly[0].receive(each)
    (one, batches), (other, expected) = at_once, singly
    assert [(batch.plain, batch.open) for batch in batches] == [(batch.plain, batch.open) for batch in expected]
    assert [batches.index(batch) for batch in one.finished] == [expected.index(batch) for batch in other.finished]
    assert (one.in_flight, one.take_output()) == (other.in_flight, other.take_output())


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many answers were taken for alike, each time that they were looked at together."""
    runs: list[int] = []

    def counted(data: bytes, at: int, end: int) -> tuple[Sequence[int], int]:
        found = answers_alike(data, at, end)
        runs.append(len(found[0]))
        return found

    monkeypatch.setattr(connection, "answers_alike", counted)
    return runs


async def test_answers_alike_are_taken_together(runs: list[int]) -> None:
    client, _ = begun()
    client.receive(b"".join(map(answer, (1, 3, 5, 7, 9))))
    assert runs == [5]


async def test_answers_that_nobody_awaits_are_looked_at_together_once(runs: list[int]) -> None:
    client, (first, second) = begun()
    client.receive(b"".join(map(answer, (1, 1, 1, 3, 5, 7, 9))))
    assert (runs, first.plain + second.plain) == ([7], 5)


def begun() -> tuple[Http2Connection, list[Batch]]:
    """A connection with three requests of a batch and two of another; of the sixth the answer has begun."""
    client = Http2Connection("x", streams=50, answer_headers=False)
    client.receive(frames.settings({}))
    loop = asyncio.get_running_loop()
    batches = [Batch(iter(()), loop.create_future()) for _ in range(2)]
    for batch, count in zip(batches, (3, 3), strict=True):
        batch.open = count
        client.begin(batch, GROUP, rows_of(count), tries=0)
    client.receive(answer(11, flags=END_HEADERS))
    client.take_output()
    return client, batches
