"""The rights of each role, as `docs/store.md` grants them: enough for its work, and no more."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hub.outcome import State
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.examine import examine
from hub.store.postgres.migrate import migrate, migrate_now
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.store import PostgresStore
from tests.brokers.postgres import Postgres
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import begin, went_well

PAGE = (Path(__file__).parents[4] / "docs" / "store.md").read_text()
OWNER, DAEMON, BACKUP = ROLES = ("pushbridge_owner", "pushbridge", "pushbridge_backup")
GRANTS = re.findall(r"^    ((?:GRANT|ALTER DEFAULT PRIVILEGES|CREATE ROLE) .*;)$", PAGE, re.MULTILINE)
PASSWORD = "only-for-these-tests"


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """An empty one, for which the page's statements were run."""
    name = postgres.create()
    for statement in GRANTS:
        postgres.run(statement.replace("DATABASE pushbridge", f"DATABASE {name}"), database=name)
    for role in ROLES:
        postgres.run(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    yield name
    postgres.drop(name)
    for role in ROLES:
        postgres.run(f"DROP ROLE {role}")


def address(postgres: Postgres, database: str, role: str) -> PostgresAddress:
    return PostgresAddress(url=postgres.url(database, user=role, password=PASSWORD))


@pytest.mark.parametrize("role", [DAEMON, BACKUP])
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE other (n bigint)", "DROP TABLE page", "ALTER TABLE page ADD COLUMN x bigint"]
)
def test_only_the_owner_changes_the_schema(postgres: Postgres, database: str, role: str, statement: str) -> None:
    migrate_now(address(postgres, database, OWNER))
    with (
        address(postgres, database, role).connect() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


async def test_a_daemon_works_with_its_own_rights_on_tables_that_a_later_version_brought_too(
    postgres: Postgres, database: str
) -> None:
    owner = address(postgres, database, OWNER)
    with owner.connect() as connection:
        migrate(connection, shipped_versions()[:1])
    migrate_now(owner)
    daemon = address(postgres, database, DAEMON)
    assert [finding.text for finding in examine(daemon) if finding.name == "rights"] == [
        f"the role {DAEMON} may read and write"
    ]
    store = PostgresStore(daemon)
    await store.open()
    await store.put_installations(HUB, [installation("phone", "news")])
    (work,) = await begin(store, notification("news"))
    assert (await store.record([went_well(work)])).ended == {(HUB, State.COMPLETED): 1}
    await store.tick()
    await store.close()


async def test_a_backup_is_made_by_a_role_that_reads_and_nothing_else(postgres: Postgres, database: str) -> None:
    migrate_now(address(postgres, database, OWNER))
    store = PostgresStore(address(postgres, database, DAEMON))
    await store.open()
    await begin(store, notification())
    await store.close()
    dump = postgres.dump(database, user=BACKUP, password=PASSWORD)
    with (
        address(postgres, database, BACKUP).connect() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM notification")
    postgres.run(f"DROP DATABASE {database}")
    postgres.run(f"CREATE DATABASE {database} TEMPLATE template0")
    postgres.restore(dump, database)
    restored = PostgresStore(address(postgres, database, DAEMON))
    await restored.open()
    assert len((await restored.notifications(limit=9)).items) == 1
    await restored.close()
