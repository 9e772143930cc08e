"""What was changed by hand is named as a daemon starts, with what cures it."""

import psycopg
import pytest

from hub.errors import StoreError
from hub.store.postgres.looking import Column, columns_of, look_for_parts, look_for_rights
from hub.store.postgres.schema import shipped_versions
from hub.store.versions import SchemaVersion
from tests.brokers.postgres import Postgres

RESTORE = "restore it from a backup"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE notification DROP COLUMN rule", f"lacks notification.rule of its schema: {RESTORE}"),
        ("DROP TABLE tally", f"lacks tally, tally_pkey of its schema: {RESTORE}"),
        ("DROP TRIGGER dead_letter_kept ON dead_letter", f"lacks dead_letter_kept of its schema: {RESTORE}"),
        ("ALTER TABLE dead_letter DISABLE TRIGGER dead_letter_kept", "lacks dead_letter_kept of its schema"),
        ("ALTER TABLE seen DROP CONSTRAINT seen_pkey", f"lacks seen_pkey of its schema: {RESTORE}"),
        (
            "DROP INDEX page_due, job_updated",
            "lacks job_updated, page_due of its schema: run CREATE INDEX job_updated ON job (updated_at); CREATE INDEX",
        ),
        ("DROP INDEX page_due; DROP TABLE tally", f"lacks page_due, tally, tally_pkey of its schema: {RESTORE}"),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'page_due'::regclass",
            "lacks page_due of its schema: run CREATE INDEX page_due",
        ),
        ("ALTER TABLE journal ALTER COLUMN size TYPE integer", "journal.size is integer and has to be bigint: restore"),
        (
            'ALTER TABLE notification ALTER COLUMN rule TYPE text COLLATE "POSIX"',
            'notification.rule is text COLLATE "POSIX" and has to be text COLLATE "C": restore',
        ),
        ("DELETE FROM queue WHERE queue = 5", f"the table queue has 63 rows and not the 64 of its schema: {RESTORE}"),
    ],
)
def test_what_was_changed_by_hand_is_named_with_its_cure(
    postgres: Postgres, database: str, change: str, words: str
) -> None:
    with psycopg.connect(postgres.url(database)) as connection, connection.transaction(force_rollback=True):
        look_for_parts(connection, shipped_versions())
        connection.execute(change.encode())
        with pytest.raises(StoreError) as caught:
            look_for_parts(connection, shipped_versions())
        assert words in str(caught.value)


def test_a_column_that_a_later_version_adds_is_looked_for_too() -> None:
    later = SchemaVersion(number=99, sql='ALTER TABLE tally ADD COLUMN colour text COLLATE "C";', readable_from=1)
    columns = columns_of([*shipped_versions(), later])
    assert columns[Column("tally", "colour")] == 'text COLLATE "C"'
    assert columns[Column("notification", "n")] == "bigint"
    assert len(columns) > 200


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain", "plain may not INSERT, UPDATE, DELETE in addressee,"),
        (
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain;"
            " REVOKE INSERT ON notification FROM plain",
            "plain may not INSERT in notification: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES",
        ),
        ("SET LOCAL transaction_read_only = on", "the database is read-only, as a standby is"),
    ],
)
def test_a_right_that_a_daemon_needs_and_its_role_has_not_is_named_with_its_cure(
    postgres: Postgres, database: str, grants: str, words: str
) -> None:
    with psycopg.connect(postgres.url(database)) as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE ROLE plain")
        connection.execute(grants.encode())
        if "plain" in grants:
            connection.execute("SET LOCAL ROLE plain")
        with pytest.raises(StoreError) as caught:
            look_for_rights(connection, shipped_versions())
        assert words in str(caught.value)
