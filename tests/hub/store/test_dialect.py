"""Each statement of the store is portable; each form that does not travel is refused."""

import importlib
from pathlib import Path

import pytest

from hub.store.connection import STATEMENTS, Statement
from tests.hub.store.dialect import complaints, numbered

ROOT = Path(__file__).parents[3]


ACROSS_QUEUES = {
    "notification.known": "an id is one notification's in all queues",
    "notification.waiting_digests": "a digest is in the queue of the process that began it",
    "notification.continue_digest": "a digest is in the queue of the process that began it",
    "notification.open_of": "the notifications of a key are in all queues",
    "notification.cancelled_by": "an id is one notification's in all queues",
    "page.stop_held": "the pages of a notification are dealt to all queues",
    "page.held_of": "the pages of a notification are dealt to all queues",
    "notification.naming_text": "a text is kept once for all queues",
    "page.under_way": "the pages of a notification are dealt to all queues",
    "page.stop": "the pages of a notification are dealt to all queues",
    "dead_letter.drop_body": "a body is kept once for all queues",
}
"""Statements that have to look at rows of all queues, and why."""


def statements() -> list[Statement]:
    """All that the store's modules make as they are imported."""
    for file in sorted((ROOT / "hub" / "store").rglob("*.py")):
        if "Statement(" in file.read_text(encoding="utf-8"):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    return [each for name, each in sorted(STATEMENTS.items()) if not name.startswith("test.")]


def test_every_statement_of_the_store_is_portable() -> None:
    found = {each.name: wrong for each in statements() if (wrong := complaints(each))}
    across = {name: found.pop(name) for name in ACROSS_QUEUES}
    assert found == {}
    assert all(wrong.endswith("without queue") for (wrong,) in across.values())
    assert len(statements()) > 50


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT n FROM notification WHERE queue = :queue FOR UPDATE SKIP LOCKED", "SKIP LOCKED"),
        ("SELECT pg_advisory_xact_lock(:n)", "an advisory lock"),
        ("SELECT pg_try_advisory_lock(:n)", "an advisory lock"),
        ("SELECT nextval('numbers')", "the function nextval"),
        ("SELECT last_insert_rowid()", "the function last_insert_rowid"),
        ("LISTEN work", "ListenStmt: neither"),
        ("NOTIFY work", "NotifyStmt: neither"),
        ("CREATE TABLE t (n bigint GENERATED ALWAYS AS IDENTITY)", "CreateStmt: neither"),
        ("CREATE SEQUENCE numbers", "CreateSeqStmt: neither"),
        ("DROP TABLE notification", "DropStmt: neither"),
        ("ALTER TABLE notification ADD COLUMN x text", "AlterTableStmt: neither"),
        ("TRUNCATE failure", "TruncateStmt: neither"),
        ("LOCK TABLE notification", "LockStmt: neither"),
        ("INSERT OR REPLACE INTO template (id) VALUES (:id)", "PostgreSQL cannot read it"),
        ("PRAGMA user_version", "PostgreSQL cannot read it"),
        ("SELECT 1; SELECT 2", "2 statements in one"),
        ("SELECT rowid FROM template", "the row number rowid"),
        ("SELECT json_extract(body, '$.a') FROM template", "the function json_extract"),
        ("SELECT id FROM template WHERE is_new IS TRUE", "TRUE or FALSE"),
        ("SELECT id FROM template WHERE is_new = true", "TRUE or FALSE"),
        ("SELECT id FROM template WHERE at < CURRENT_TIMESTAMP", "a time of day"),
        ("SELECT id FROM template WHERE at < now()", "the function now"),
        ("SELECT ordinal FROM registration WHERE shard = :shard", "registration without hub"),
        ("SELECT ordinal FROM registration WHERE hub = :hub", "registration without shard"),
        ("UPDATE page SET due = :due WHERE number = :number", "page without queue"),
        ("DELETE FROM failure WHERE notification = :n", "failure without queue"),
        ("INSERT INTO notification (n, hub) VALUES (:n, :hub)", "notification without queue"),
    ],
)
def test_what_does_not_travel_is_refused(text: str, complaint: str) -> None:
    assert any(complaint in found for found in complaints(Statement(f"test.{text}", text)))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT n FROM notification WHERE queue = :queue AND due <= :now ORDER BY due, n LIMIT :limit",
        "INSERT INTO seen (key, at) VALUES (:key, :at) ON CONFLICT DO NOTHING RETURNING key",
        "DELETE FROM registration WHERE hub = :hub AND shard = :shard AND ordinal IN (:keys)",
    ],
)
def test_what_travels_is_accepted(text: str) -> None:
    assert complaints(Statement(f"test.{text}", text)) == []


def test_names_are_numbered_and_quoted_text_is_left_alone() -> None:
    text = "SELECT ':a', x::text FROM t WHERE a = :a AND b = :b_2 AND c = :a"
    assert numbered(text) == "SELECT ':a', x::text FROM t WHERE a = $1 AND b = $2 AND c = $1"
