"""The journal: order, questions, subscribers, and the file that outlives everybody."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.journal import Entry, Journal, read_journal
from sandbox.journal_app import journal_app


def record(journal: Journal, handle: str = "h", *, push_id: str = "p", status: int = 200, reason: str = "") -> Entry:
    return journal.record(
        service="apns",
        push_id=push_id,
        handle=handle,
        status=status,
        reason=reason,
        payload=b"{}",
        headers={"apns-topic": "t", "authorization": "bearer secret"},
    )


def test_entries_are_numbered_timed_and_without_the_credential() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    journal = Journal(clock=lambda: now)
    first, second = record(journal), record(journal)
    assert (first.seq, second.seq, first.at) == (1, 2, now)
    assert first.headers == {"apns-topic": "t"}
    assert (len(journal), list(journal)) == (2, [first, second])


def test_a_bounded_journal_keeps_the_newest_and_goes_on_counting() -> None:
    journal = Journal(size=3)
    first, *kept = [record(journal) for _ in range(4)]
    assert (list(journal), len(journal)) == (kept, 3)
    assert (journal.first, journal.last) == (2, 4)
    assert list(journal.after(0)) == list(journal.after(first.seq)) == kept
    assert list(journal.after(3)) == kept[-1:]
    assert list(journal.after(4)) == list(journal.after(9)) == []


def test_a_reader_that_is_overtaken_goes_on_with_the_oldest_that_is_kept() -> None:
    journal = Journal(size=2)
    record(journal)
    reading = journal.after(0)
    assert next(reading).seq == 1
    for _ in range(4):
        record(journal)
    assert [entry.seq for entry in reading] == [4, 5]


async def test_over_http_the_journal_says_how_much_it_keeps() -> None:
    journal = Journal(size=3)
    transport = httpx.ASGITransport(journal_app(journal))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        assert (await client.get("/journal")).json() == {"entries": [], "next": 0, "first": 1, "size": 3}
        for _ in range(5):
            record(journal)
        answer = (await client.get("/journal", params={"limit": 2})).json()
        assert [entry["seq"] for entry in answer.pop("entries")] == [3, 4]
        assert answer == {"next": 4, "first": 3, "size": 3}
        answer = (await client.get("/journal", params={"after": answer["next"]})).json()
        assert ([entry["seq"] for entry in answer["entries"]], answer["next"]) == ([5], 5)


def test_questions_are_answered_by_handle_push_and_outcome() -> None:
    journal = Journal()
    taken = record(journal, "a", push_id="1")
    refused = record(journal, "a", push_id="2", status=410, reason="Unregistered")
    dropped = record(journal, "b", push_id="1", reason="dropped")
    assert journal.accepted() == [taken]
    assert journal.of_handle("a") == [taken, refused]
    assert journal.of_push("1") == [taken, dropped]
    assert journal.counts() == {("apns", 200, ""): 1, ("apns", 410, "Unregistered"): 1, ("apns", 200, "dropped"): 1}


def test_subscribers_hear_of_all_or_of_one_handle_until_they_have_enough() -> None:
    journal = Journal()
    everything: list[Entry] = []
    of_a: list[Entry] = []
    leave = journal.subscribe(everything.append)
    journal.subscribe(of_a.append, handle="a")
    first, second = record(journal, "a"), record(journal, "b")
    leave()
    third = record(journal, "a")
    assert (everything, of_a) == ([first, second], [first, third])


async def test_waiting_counts_what_is_there_and_what_comes() -> None:
    journal = Journal()
    first = record(journal)
    waiting = asyncio.create_task(journal.wait_for(count=3))
    await asyncio.sleep(0)
    record(journal, status=503, reason="Shutdown")
    second, third = record(journal), record(journal)
    record(journal)
    assert await waiting == [first, second, third]
    assert await journal.wait_for(lambda entry: entry.status == 503) == [list(journal)[1]]


async def test_waiting_in_vain_says_how_many_came() -> None:
    journal = Journal()
    record(journal)
    with pytest.raises(TimeoutError, match=r"1 of 2 matching pushes arrived within 0\.01 s"):
        await journal.wait_for(count=2, timeout=0.01)


@given(payload=st.binary(), handle=st.text(), headers=st.dictionaries(st.text(), st.text()))
def test_a_file_gives_back_what_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, handle: str, headers: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    headers.pop("authorization", None)
    journal = Journal(path=path)
    entry = journal.record(
        service="wns", push_id="p", handle=handle, status=200, reason="", payload=payload, headers=headers
    )
    assert list(read_journal(path)) == [entry]
    journal.close()


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path=path)
    entry = record(journal)
    journal.close()
    with path.open("ab") as file:
        file.write(path.read_bytes()[:-1])
    assert list(read_journal(path)) == [entry]


def test_load_leaves_payloads_and_headers_out_and_takes_little_time() -> None:
    journal = Journal(keep_payload=False)
    started = time.process_time()
    for number in range(20_000):
        record(journal, str(number))
    assert time.process_time() - started < 5  # a tenth of it, as a rule
    assert {(entry.payload, len(entry.headers)) for entry in journal} == {(b"", 0)}
