"""After an erasure no file of the store holds a byte of the person, as soon as readers of older states are done."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from hub.acceptance import DeadLetter, Ingest
from hub.installation import Installation
from hub.notification import NativeContent, Platform, TemplateContent
from hub.store.contracts.people import Kept
from hub.store.sqlite import overwriting
from hub.store.sqlite.store import SqliteStore
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import went_well

PERSON = "person-of-ann"
WORDS = ("of-ann", "OF-ANN", "secret text", "secret body", b"\xca\xfe\xba\xbe\x0b\xad".decode("latin-1"))
"""All that is told of Ann has one of these; the last are bytes of an APNs token."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "hub.db", allow_ephemeral=True)
    await store.open()
    yield store
    await store.close()


def found_in(directory: Path) -> dict[str, list[str]]:
    """The words that the files hold, by file."""
    texts = {path.name: path.read_bytes().decode("latin-1") for path in directory.iterdir() if path.is_file()}
    return {name: words for name, text in texts.items() if (words := [word for word in WORDS if word in text])}


def of_ann(number: int) -> Ingest:
    """An event about Ann, with a notification that starts, one that is scheduled, and a dead letter."""
    first = notification(
        "customer:of-ann",
        person=PERSON,
        source="orders",
        event_id=f"event-of-ann-{number}",
        content=TemplateContent(properties={"title": f"secret text {number} " + "x" * 300}),
        collapse_key="of-ann",
    )
    native = notification(
        f"$UserId:{{{PERSON}}}",
        content=NativeContent(platform=Platform.FCM, payload=b"secret text", headers={"x": "of-ann"}),
        schedule_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    letter = DeadLetter(
        source="orders",
        event_id="event-of-ann",
        stage="rule",
        reason="render",
        detail="no name",
        body=f"secret body {number} ".encode() + b"y" * 5000,
        headers={"customer": "of-ann"},
        envelope='{"id":"event-of-ann"}',
        person=PERSON,
    )
    return Ingest(
        source="orders", event_id=f"event-of-ann-{number}", notifications=[first, native], dead_letters=[letter]
    )


def of_another(number: int) -> Ingest:
    """Neighbours of Ann's rows in the pages of all tables."""
    letter = DeadLetter(
        source="orders",
        event_id="e",
        stage="rule",
        reason="render",
        detail="",
        body=b"%d" % number,
        person=f"p{number}",
    )
    mine = notification(f"$UserId:{{p{number}}}", person=f"p{number}", event_id=f"e{number}")
    return Ingest(source="orders", event_id=f"other-{number}", notifications=[mine], dead_letters=[letter])


def phones(number: int) -> list[Installation]:
    iphone = installation(
        f"iphone-of-ann-{number}", "tag-of-ann", platform=Platform.APNS, push_channel="CAFEBABE0BAD" + f"{number:04d}"
    )
    android = installation(f"android-of-ann-{number}", "customer:of-ann", push_channel=f"token-of-ann-{number}")
    other = installation(f"p{number}", f"tag-of-p{number}", "news")
    return [
        replace(iphone, user_id=PERSON),
        replace(android, user_id=PERSON.upper(), push_variables={"name": "name-of-ann"}),
        replace(other, user_id=f"p{number}"),
    ]


async def live(store: SqliteStore, rounds: int = 60) -> None:
    """Rows of Ann among those of others, written, recorded and given other places by and by."""
    for number in range(rounds):
        await store.put_installations(HUB, phones(number % 7))
        await store.accept([of_another(3 * number), of_ann(number), of_another(3 * number + 1)], start=number % 3)
        if number % 10 == 9:
            await store.fold()


@pytest.mark.slow
async def test_after_an_erasure_no_file_holds_a_byte_of_the_person(store: SqliteStore, tmp_path: Path) -> None:
    await live(store)
    assert {word for words in found_in(tmp_path).values() for word in words} == set(WORDS)
    erased = await store.erase_person(PERSON, actor="eve")
    assert erased.is_overwritten
    assert found_in(tmp_path) == {}
    assert (tmp_path / "hub.db.erased").exists()
    assert (await store.count_person("p1"))[Kept.NOTIFICATION] == 1
    await live(store, 5)  # pages that were overwritten are written to again


@pytest.mark.slow
async def test_readers_of_an_older_state_delay_the_overwriting_and_no_writer(
    store: SqliteStore, tmp_path: Path
) -> None:
    await live(store, 5)
    reader = apsw.Connection(str(tmp_path / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM notification").fetchall()
    erasing = asyncio.ensure_future(store.erase_person(PERSON, actor="eve"))
    slowest = 0.0
    while not erasing.done():
        began = time.perf_counter()
        await store.probe()
        slowest = max(slowest, time.perf_counter() - began)
    assert not (await erasing).is_overwritten
    assert slowest < 7.0, "a write waits for one try, not for the reader (10 s)"
    await store.tick()
    assert "hub.db-wal" in found_in(tmp_path)
    reader.execute("COMMIT")
    reader.close()
    await store.tick()
    assert found_in(tmp_path) == {}


async def test_overwriting_goes_on_in_the_next_process(store: SqliteStore, tmp_path: Path) -> None:
    await live(store, 5)
    reader = apsw.Connection(str(tmp_path / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM notification").fetchall()
    await store.erase_person(PERSON, actor="eve")
    copies = tmp_path / "as the process died"
    copies.mkdir()
    for file in tmp_path.glob("hub.db*"):
        (copies / file.name).write_bytes(file.read_bytes())
        (copies / file.name).chmod(0o600)
    reader.close()
    assert found_in(copies)
    second = SqliteStore(copies / "hub.db", allow_ephemeral=True)
    await second.open()
    await second.tick()
    assert found_in(copies) == {}
    await second.close()


@pytest.mark.slow
async def test_a_large_store_is_overwritten_in_steps_with_writes_in_between(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overwriting, "PAGES", 3)
    await live(store, 20)
    erasing = asyncio.ensure_future(store.erase_person(PERSON, actor="eve"))
    number = 1000
    while not erasing.done():
        await store.accept([of_another(number)], start=1)
        number += 1
    is_overwritten = (await erasing).is_overwritten
    while not is_overwritten and found_in(tmp_path):
        await store.tick()
    assert found_in(tmp_path) == {}
    assert number > 1002
    reader = apsw.Connection(str(tmp_path / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert reader.pragma("integrity_check") == "ok"
    reader.close()


@pytest.mark.slow
async def test_on_a_slow_disk_a_pass_takes_a_tenth_of_the_time_and_writes_the_rest(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overwriting, "PAGES", 1)
    steps = 0
    step = overwriting.Overwriting.step

    def slow(self: overwriting.Overwriting, connection: apsw.Connection) -> None:
        nonlocal steps
        time.sleep(0.04)
        step(self, connection)
        steps += 1

    await live(store, 20)
    await store.erase_person(PERSON, actor="eve")
    monkeypatch.setattr(overwriting.Overwriting, "step", slow)
    await store._database.overwrite_deleted(seconds=0.0)
    steps = 0
    assert not await store._database.go_on_overwriting()
    assert 1 <= steps <= 4, "of 20, which would take most of the second until the next call"


def test_nothing_is_overwritten_while_another_program_may_move_its_log(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ours, theirs = apsw.Connection(str(path)), apsw.Connection(str(path))
    ours.pragma("journal_mode", "WAL")
    ours.execute("CREATE TABLE t (x)")

    class Interrupted(overwriting.Overwriting):
        def _empty_log(self, connection: apsw.Connection) -> bool:
            is_empty = super()._empty_log(connection)
            theirs.execute("INSERT INTO t VALUES ('theirs')")
            return is_empty

    passes = Interrupted(path)
    passes.begin()
    passes.step(ours)
    assert (passes.is_blocked, passes.is_done) == (True, False)
    assert not ours.in_transaction
    theirs.close()
    undisturbed = overwriting.Overwriting(path)
    undisturbed.begin()
    undisturbed.step(ours)
    assert (undisturbed.is_blocked, undisturbed.is_done) == (False, True)
    ours.close()
    undisturbed.close()


def of_code(number: int) -> Ingest:
    """An event that says a code, with a letter of another rule that keeps no body."""
    said = notification(
        content=TemplateContent(properties={"title": f"secret text {number} " + "x" * 300}), sensitive=True
    )
    letter = DeadLetter(
        source="login", event_id="e", stage="rule", reason="render", detail="no name", body=b"secret body " * 400
    )
    return Ingest(source="login", event_id=f"code-{number}", notifications=[said], dead_letters=[letter.without_body()])


@pytest.mark.slow
async def test_no_file_holds_a_byte_of_what_sensitive_notifications_said_once_they_have_ended(
    store: SqliteStore, tmp_path: Path
) -> None:
    for number in range(60):
        batch = [of_another(3 * number), of_code(number), of_another(3 * number + 1)]
        for work in (await store.accept(batch, start=10)).work:
            await store.record([went_well(work)])
    assert found_in(tmp_path) != {}, "the log of the database has older states of its pages"
    await store.overwrite_cleared()
    async with asyncio.timeout(60):
        while found_in(tmp_path):
            await store.tick()
            await asyncio.sleep(0.01)
