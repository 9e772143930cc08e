"""A SQLite store brought over to PostgreSQL: nothing of it is missing, and work goes on where it stood."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyroaring import BitMap
from typer.testing import CliRunner

from bridge.cli.exits import Exit
from bridge.cli.main import app
from hub.acceptance import Ingest
from hub.notification import Platform
from hub.outcome import OutcomeName
from hub.store.contracts.outbox import Audience, PageResult
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.store.sqlite.store import SqliteStore
from tests.brokers.postgres import Postgres
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.accepting import dead_letter
from tests.hub.store.suite.harness import begin, ids, take, take_pages, went_well


def migrated(path: Path, url: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of `pushbridge migrate --from`."""
    config = folder / "pushbridge.yaml"
    (folder / "password").write_text(PostgresAddressParts(url).password)
    config.write_text(
        f"version: 1\nbridge: {{store: {{url: '{PostgresAddressParts(url).without}',"
        f" password_file: {folder / 'password'}}}}}\nsources: {{}}\nrules: []\n"
    )
    result = CliRunner().invoke(app, ["migrate", "--from", f"sqlite:{path}", str(config)])
    return result.exit_code, result.output


class PostgresAddressParts:
    """An address with a password, taken apart."""

    def __init__(self, url: str) -> None:
        head, _, rest = url.partition("://")
        login, _, place = rest.rpartition("@")
        user, _, self.password = login.partition(":")
        self.without = f"{head}://{user}@{place}"


async def test_all_of_a_sqlite_store_is_there_and_goes_on(postgres: Postgres, tmp_path: Path) -> None:
    path, database = tmp_path / "hub.db", postgres.create()
    old = SqliteStore(path, allow_ephemeral=True)
    await old.open()
    await old.put_installations(HUB, [installation(f"phone {number}", "a") for number in range(50)])
    waiting, broadcast, scheduled = (
        notification("a"),
        notification("a"),
        notification("a", schedule_at=datetime(2099, 1, 1, tzinfo=UTC)),
    )
    seen = Ingest(source="s", event_id="seen", notifications=[waiting], dead_letters=[dead_letter(body=b"nul \0")])
    await old.accept([seen], start=0)
    (work,) = await begin(old, broadcast)
    await old.expand(work, Audience(pages=[(Platform.FCM, BitMap(range(10))), (Platform.FCM, BitMap([10]))]))
    page = (await take_pages(old))[0]
    half = PageResult(work=page, counts={Platform.FCM: {OutcomeName.SUCCESS: 5}}, done=5, is_last=False)
    await old.record([half])
    await old.accept([Ingest(source="s", event_id="later", notifications=[scheduled])], start=0)
    assert migrated(path, postgres.url(database), tmp_path)[0] == Exit.CANNOT_START  # a daemon has it
    await old.close()

    code, output = migrated(path, postgres.url(database), tmp_path)
    assert code == Exit.DONE, output
    assert "notification: 3 rows" in output
    assert "device: 50 rows" in output
    new = PostgresStore(PostgresAddress(url=postgres.url(database)))
    assert await new.open() == 3
    assert ids(await take(new)) == [waiting.id]
    pages = await take_pages(new)
    assert [(each.notification.id, each.done) for each in pages] == [(broadcast.id, 5), (broadcast.id, 0)]
    await new.record([went_well(pages[0], 5), went_well(pages[1], 1)])
    assert sum((await new.sum_up()).ended.values()) == 1
    assert (await new.details(HUB, broadcast.id)).counts == {Platform.FCM: {OutcomeName.SUCCESS: 11}}
    assert await new.cancel(HUB, scheduled.id)
    assert (await new.accept([seen], start=1)).duplicates == {0}
    (letter,) = (await new.letters(limit=9)).items
    assert (await new.letter(letter.id)).letter.body == b"nul \0"
    assert (await new.letter_usage()).letters == 1
    (audience,) = await new.audiences([notification("a")])
    assert len(audience.targets) == 50
    await new.put_installations(HUB, [installation("phone 50", "a")])
    fresh = notification("a")
    assert ids(await begin(new, fresh)) == [fresh.id]
    listed = (await new.notifications(limit=9)).items
    assert [one.id for one in listed] == [one.id for one in (fresh, scheduled, broadcast, waiting)]

    code, output = migrated(path, postgres.url(database), tmp_path)
    assert (code, "stop them first" in output) == (Exit.CANNOT_START, True), output
    await new.close()
    code, output = migrated(path, postgres.url(database), tmp_path)
    assert (code, "the database is not empty" in output) == (Exit.CANNOT_START, True), output
    postgres.drop(database)


@pytest.mark.parametrize("source", ["mysql:x", "hub.db"])
def test_what_is_no_sqlite_store_is_refused(source: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["migrate", "--from", source, str(tmp_path / "none.yaml")])
    assert result.exit_code == Exit.WRONG_ARGUMENTS
