"""The registry on SQLite, beyond what the suites of stores ask: round trips, imports, folds, and what an erasure leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.errors import InvalidRequestError, PreconditionError
from hub.installation import Registration, SecondaryTile, Template
from hub.notification import Platform
from hub.outcome import Unreached
from hub.store.connection import Connection, Statement
from hub.store.contracts.registry import DeviceSearch
from hub.store.decide.tag_index import TagId, tag_id
from hub.store.registry.places import Place
from hub.store.registry.registry import SqlRegistry
from hub.store.registry.tags import IndexShape, TagSets
from hub.store.registry.writing import drop_dead
from hub.store.sqlite.database import SqliteDatabase
from hub.tags import parse
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, installation, notification

T = TypeVar("T")


class CountingConnection:
    """Counts its round trips into `trips`."""

    def __init__(self, connection: Connection, trips: list[str]) -> None:
        self._connection = connection
        self._trips = trips

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        def call(statement: Any, *given: Any, **values: Any) -> Any:
            if not given or given[0]:  # no rows, no round trip; what `write_all` gets is `statement`
                self._trips.append(name if name in ("write_all", "read_all_by_keys") else statement.name)
            return method(statement, *given, **values)

        return call


class CountingDatabase(SqliteDatabase):
    """`transactions` are the names of the statements of each."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self.transactions: list[list[str]] = []

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        return await super().write(self._counted(job), then=then, flow=flow, rows=rows)

    async def read(self, job: Callable[[Connection], T], /) -> T:
        return await super().read(self._counted(job))

    async def look(self, job: Callable[[Connection], T], /) -> T:
        return await super().look(self._counted(job))

    def _counted(self, job: Callable[[Connection], T]) -> Callable[[Connection], T]:
        def run(connection: Connection) -> T:
            trips: list[str] = []
            self.transactions.append(trips)
            return job(CountingConnection(connection, trips))

        return run


class RegistryStore(SqlRegistry):
    """A registry alone."""

    def __init__(self, database: CountingDatabase, clock: FakeClock, shape: IndexShape = IndexShape()) -> None:
        super().__init__(database, now=clock, shape=shape)
        self.database = database

    async def housekeep(self) -> None:
        while await self.fold():
            pass
        while await self.forget_dead(kept=30 * 24 * 3600.0):
            pass


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RegistryStore]:
    database = CountingDatabase(tmp_path / "hub.db", allow_ephemeral=True)
    await database.open()
    yield RegistryStore(database, FakeClock())
    await database.close()


async def reached(store: RegistryStore, expression: str) -> list[str]:
    """Push channels of the templates that an audience means."""
    (audience,) = await store.audiences([notification(expression)])
    return sorted(target.push_channel for target in audience.targets)


class TestRegistry:
    @pytest.mark.slow
    async def test_no_write_and_no_audience_makes_more_than_six_round_trips(self, store: RegistryStore) -> None:
        transactions = store.database.transactions
        phones = [installation(f"p{number}", "news", push_channel="same") for number in range(200)]
        await store.import_installations(HUB, phones)
        await store.put_installations(HUB, phones)
        await store.put_installations(HUB, [installation(one.id, "chess", templates=False) for one in phones])
        await store.audiences([notification(text) for text in ("news", "!chess", "chess && p", "nobody") * 5])
        await store.erase_user(HUB, "ann")
        for name in ("p1", "p2"):
            await store.delete_installation(HUB, name)
        await store.housekeep()
        assert max(map(len, transactions)) <= 6, max(transactions, key=len)

    async def test_who_an_installation_is_its_row_says(self, store: RegistryStore) -> None:
        await store.put_installations(HUB, [installation(f"p{number}", "news") for number in range(300)])
        transactions = store.database.transactions
        transactions.clear()
        assert await reached(store, "$InstallationId:{P7}") == ["token of p7"]
        assert transactions == [["read_all_by_keys", "registry_templates_among"]]
        assert await reached(store, "news && $InstallationId:{p7}") == ["token of p7"]
        assert await reached(store, "chess || $InstallationId:{p7}") == ["token of p7"]
        (audience,) = await store.audiences([notification("!$InstallationId:{p7} && !chess")])
        assert len(audience.targets) == 299
        await store.delete_installation(HUB, "p7")
        for housekeep in (False, True):
            if housekeep:
                await store.housekeep()
            (gone, never) = await store.audiences([notification(f"$InstallationId:{{{id}}}") for id in ("p7", "new")])
            assert (gone.unreached, never.unreached) == (Unreached.GONE, Unreached.NO_TAG)
        await store.put_installations(HUB, [installation("p7", "chess", templates=False), installation("p8", "news")])
        (native,) = await store.audiences([notification("$InstallationId:{p7}")])
        assert native.unreached is Unreached.NO_TEMPLATE

    async def test_a_tile_carries_the_tag_of_its_installation(self, store: RegistryStore) -> None:
        tile = SecondaryTile(push_channel="tile of p7", tags=("scores",), templates={"t": Template(body="<tile/>")})
        tiled = replace(installation("p7", "news"), secondary_tiles={"scores": tile})
        await store.put_installations(HUB, [tiled, installation("p8", "news")])
        for housekeep in (False, True):
            if housekeep:
                await store.housekeep()
            assert await reached(store, "$InstallationId:{p7}") == ["tile of p7", "token of p7"]
            assert await reached(store, "$InstallationId:{p7} && scores") == ["tile of p7"]
            (audience,) = await store.audiences([notification("!$InstallationId:{p7} && !chess")])
            assert [target.push_channel for target in audience.targets] == ["token of p8"]
            transactions = [each for each in store.database.transactions if each]
            assert max(map(len, transactions)) <= 6
        await store.put_installations(HUB, [installation("p7", "news")])
        assert await reached(store, "$InstallationId:{p7}") == ["token of p7"]
        await store.delete_installation(HUB, "p7")
        await store.housekeep()
        (audience,) = await store.audiences([notification("$InstallationId:{p7}")])
        assert audience.unreached is Unreached.GONE

    async def test_an_import_is_found_as_what_was_put(self, store: RegistryStore) -> None:
        phones = [installation(f"p{number}", "news", f"only{number}") for number in range(1300)]
        await store.import_installations(HUB, phones)
        await store.import_installations(HUB, [installation("p7", "chess"), installation("new", "chess")])
        assert await reached(store, "chess") == ["token of new", "token of p7"]
        assert await reached(store, "only8 && news") == ["token of p8"]
        assert await reached(store, "only7") == []
        (audience,) = await store.audiences([notification("news")])
        assert sum(len(page) for _, page in audience.pages) == 1299

    async def test_writes_that_wait_together_are_written_together_and_answered_each(self, store: RegistryStore) -> None:
        await store.put_installations(HUB, [installation("a"), installation("gone", "chess")])
        transactions = store.database.transactions
        transactions.clear()
        answers = await asyncio.gather(
            *(store.put_installations(HUB, [installation(f"p{number}", "news")]) for number in range(50)),
            store.put_installations(HUB, [installation("A", "news")]),
            store.delete_installation(HUB, "gone"),
            store.delete_installation(HUB, "never there"),
            store.put_registration(HUB, SINGLE),
            store.put_registration(HUB, SINGLE, if_match=1),
            store.put_registration(HUB, SINGLE, if_match=1),
            store.put_installations(HUB, [installation("gone", "news")]),
            return_exceptions=True,
        )
        assert [len(trips) for trips in transactions if trips] == [3]
        refused, was_there, was_not, first, second, late, _ = answers[50:]
        assert isinstance(refused, InvalidRequestError)
        assert (was_there, was_not) == (True, False)
        assert isinstance(first, Registration)
        assert isinstance(second, Registration)
        assert (first.etag, second.etag) == (1, 2)
        assert isinstance(late, PreconditionError)
        assert await reached(store, "news") == sorted(
            [*(f"token of p{number}" for number in range(50)), "token of gone"]
        )
        assert await reached(store, "chess") == []

    async def test_a_write_with_a_defect_costs_only_itself(self, store: RegistryStore) -> None:
        async def put(name: str, tag: str) -> None:
            await store.put_installations(HUB, [installation(name, tag)])

        answers = await asyncio.gather(
            put("a", "news"), put("b", "half a pair: \ud800"), put("c", "news"), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [type(None), UnicodeEncodeError, type(None)]
        assert await reached(store, "news") == ["token of a", "token of c"]

    async def test_a_user_that_was_erased_is_in_no_file(self, store: RegistryStore, tmp_path: Path) -> None:
        ann = replace(installation("phone-of-ann", "tag-of-ann", push_channel="channel-of-ann"), user_id="user-ann")
        others = [installation(f"p{number}", "news") for number in range(300)]
        await store.put_installations(HUB, [ann, *others])
        assert "-ann" in _files(tmp_path)
        assert await store.erase_user(HUB, "user-ann") == 2
        assert await store.erase_user(HUB, "user-ann") == 0
        await store.database.close()  # the last connection's checkpoint
        text = _files(tmp_path)
        for erased in ("phone-of-ann", "tag-of-ann", "channel-of-ann", "user-ann"):
            assert erased not in text

    async def test_the_log_of_tags_stays_in_bounds_and_hides_nothing(self, store: RegistryStore) -> None:
        small = RegistryStore(store.database, FakeClock(), IndexShape(log_rows=40, log_entries=200))
        for number in range(60):
            await small.put_installations(HUB, [installation(f"p{number}", "news", f"only{number}")])
            assert await reached(small, f"news && only{number}") == [f"token of p{number}"]
        ((rows, size),) = await store.database.read(lambda connection: connection.read(_LOG))
        assert 0 < rows <= 40
        assert size <= 200 * 24
        await small.delete_installation(HUB, "p59")
        await small.put_installations(HUB, [installation("p58", "chess")])
        expected = {"news": 58, "only59": 0, "only58": 0, "chess": 1}
        assert {tag: len(await reached(small, tag)) for tag in expected} == expected
        await small.housekeep()
        assert await store.database.read(lambda connection: connection.read(_LOG)) == [(0, None)]
        assert {tag: len(await reached(small, tag)) for tag in expected} == expected

    async def test_what_is_deleted_waits_in_the_log_and_hides_nothing_that_comes_after(
        self, store: RegistryStore
    ) -> None:
        clock = FakeClock()
        phones = RegistryStore(store.database, clock)
        await phones.put_installations(HUB, [installation(f"p{number}", "news") for number in range(100)])
        await phones.housekeep()
        for number in range(99):
            await phones.delete_installation(HUB, f"p{number}")
        ((rows, size),) = await store.database.read(lambda connection: connection.read(_LOG))
        assert rows > 0 < size
        assert await reached(phones, "news") == ["token of p99"]
        assert sum((await phones.registrations_by_platform()).values()) == 2
        clock.advance(31 * 24 * 3600.0)  # now their ordinals are given out again, by a process that knows no others
        later = RegistryStore(store.database, clock)
        await later.put_installations(HUB, [installation("late", "news", "chess")])
        (one,) = (await later.registrations(HUB, tag="chess", limit=1)).items
        assert await later.device(HUB, "late")
        assert await reached(later, "news && chess") == ["token of late"]
        assert one.installation_id == "late"
        await later.housekeep()
        assert await reached(later, "news") == ["token of late", "token of p99"]
        assert await store.database.read(lambda connection: connection.read(_FIRST)) == [(1,)]

    async def test_what_expired_does_not_come_back_out_of_the_log(self, store: RegistryStore) -> None:
        clock = FakeClock()
        phones = RegistryStore(store.database, clock)
        soon = datetime.fromtimestamp(clock() + 3600, UTC)
        old = replace(installation("old", "news", "own"), expires_at=soon)
        await phones.put_installations(HUB, [old, installation("new", "news")])
        clock.advance(7200)
        now = clock()
        place = await phones.place_of(HUB)
        assert place is not None
        dropped = await store.database.write(lambda connection: drop_dead(connection, place, before=now, now=now))
        assert dropped == 1
        carry = partial(_carry, place=place, tags=[tag_id("news"), tag_id("own")])
        assert await store.database.read(carry) == [{3, 4}, set()]
        await phones.housekeep()
        assert await store.database.read(carry) == [{3, 4}, set()]

    @pytest.mark.slow
    async def test_folding_keeps_who_carries_a_tag(self, store: RegistryStore) -> None:
        phones = [installation(f"p{number}", "all", templates=False) for number in range(20_000)]
        for start in range(0, len(phones), 2000):
            await store.put_installations(HUB, phones[start : start + 2000])
        await store.delete_installation(HUB, "p5")
        await store.housekeep()
        counts = await store.registrations_by_platform()
        assert sum(counts.values()) == 19_999
        names = await store.devices(HUB, DeviceSearch(audience=parse("all && !$InstallationId:{p1}")), limit=5)
        assert [one.installation.id for one in names.items] == ["p0", "p2", "p3", "p4", "p6"]
        ((blocks,),) = await store.database.read(lambda connection: connection.read(_BLOCKS))
        assert blocks > 0


SINGLE = Registration(registration_id="r", platform=Platform.FCM, push_channel="alone", tags=("alone",))

_LOG = Statement("test.tag_log", "SELECT count(*), sum(length(bitmap)) FROM tag_block WHERE length(tag) < 16")
_FIRST = Statement("test.first_device", "SELECT min(ordinal) FROM device")
_BLOCKS = Statement("test.tag_blocks", "SELECT count(*) FROM tag_block")


def _carry(connection: Connection, place: Place, tags: Sequence[TagId]) -> list[set[int]]:
    sets = TagSets(connection, place)
    sets.load(tags)
    return [set(sets.members(tag)) for tag in tags]


def _files(directory: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in directory.iterdir() if path.is_file())
