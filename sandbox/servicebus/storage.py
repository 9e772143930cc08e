"""Where entities and messages are kept over a restart: nowhere, or in a SQLite file.

SQLite, because what is completed has to leave the file again, which a log could do only by rewriting itself, and
because a developer can look into it. One transaction is written for each turn of the event loop, before any client
hears of what it holds. It is not forced onto the disk: it outlives a kill of the process, not a loss of power.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sandbox.servicebus.content import read_content
from sandbox.servicebus.message import Message, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    path TEXT PRIMARY KEY, kind TEXT NOT NULL, description TEXT NOT NULL, last_sequence_number INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS rules (
    subscription TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, PRIMARY KEY (subscription, name)
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL, sequence_number INTEGER NOT NULL, state INTEGER NOT NULL, enqueued_at INTEGER NOT NULL,
    expires_at INTEGER, delivery_count INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (queue, sequence_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    queue TEXT NOT NULL, id TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;
"""


class StoredEntity(NamedTuple):
    """An entity as it was described when it was created or last updated."""

    path: str
    kind: str
    description: str
    last_sequence_number: int


class Storage:
    """Keeps nothing; what is told to it is gone with the process."""

    def entity_put(self, path: str, kind: str, description: str) -> None:
        """It is new, or has other settings."""

    def entity_removed(self, path: str) -> None:
        """It is gone, with everything below its path."""

    def rule_put(self, subscription: str, name: str, description: str) -> None:
        """It is new, or is another filter now."""

    def rule_removed(self, subscription: str, name: str) -> None:
        """It is gone."""

    def message_put(self, queue: str, message: Message) -> None:
        """It is new, or is not as it was."""

    def message_removed(self, queue: str, sequence_number: int) -> None:
        """It is gone."""

    def session_state_put(self, queue: str, session_id: str, state: bytes | None) -> None:
        """A session's state was set, or cleared by None."""

    def commit(self) -> None:
        """Keep what was told; returns when another process would find it."""

    def close(self) -> None:
        """Commit and let go."""

    def entities(self) -> Iterator[StoredEntity]:
        """What was kept, parents before children."""
        return iter(())

    def rules(self, subscription: str) -> Iterator[str]:
        """The descriptions of a subscription's rules."""
        return iter(())

    def messages(self, queue: str) -> Iterator[Message]:
        """What was in a queue, by sequence number."""
        return iter(())

    def session_states(self, queue: str) -> Iterator[tuple[str, bytes]]:
        """The sessions of a queue that have a state."""
        return iter(())


class FileStorage(Storage):
    """Keeps everything but locks in `path`, which is made if it is not there.

    Raises: sqlite3.Error: the file is no database, cannot be written, or another broker has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # two brokers would hand out the same messages
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error:
            self._database.close()
            raise
        self._messages: dict[tuple[str, int], Message | None] = {}  # what has changed since the last commit
        self._last_numbers: dict[str, int] = {}

    def entity_put(self, path: str, kind: str, description: str) -> None:
        self._database.execute(
            "INSERT INTO entities (path, kind, description) VALUES (?, ?, ?) "
            "ON CONFLICT (path) DO UPDATE SET description = excluded.description",
            (path, kind, description),
        )

    def entity_removed(self, path: str) -> None:
        self.commit()
        for table, column in (
            ("entities", "path"),
            ("rules", "subscription"),
            ("messages", "queue"),
            ("sessions", "queue"),
        ):
            self._database.execute(
                f"DELETE FROM {table} WHERE {column} = ? OR substr({column}, 1, ?) = ?",  # noqa: S608 our own names
                (path, len(path) + 1, f"{path}/"),
            )

    def rule_put(self, subscription: str, name: str, description: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO rules VALUES (?, ?, ?)", (subscription, name, description))

    def rule_removed(self, subscription: str, name: str) -> None:
        self._database.execute("DELETE FROM rules WHERE subscription = ? AND name = ?", (subscription, name))

    def message_put(self, queue: str, message: Message) -> None:
        self._messages[queue, message.sequence_number] = message
        self._last_numbers[queue] = max(self._last_numbers.get(queue, 0), message.sequence_number)

    def message_removed(self, queue: str, sequence_number: int) -> None:
        self._messages[queue, sequence_number] = None

    def session_state_put(self, queue: str, session_id: str, state: bytes | None) -> None:
        if state is None:
            self._database.execute("DELETE FROM sessions WHERE queue = ? AND id = ?", (queue, session_id))
        else:
            self._database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (queue, session_id, state))

    def commit(self) -> None:
        if not self._messages:
            return
        self._database.execute("BEGIN")
        self._database.executemany(
            "DELETE FROM messages WHERE queue = ? AND sequence_number = ?",
            [key for key, message in self._messages.items() if message is None],
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)",
            [_row(queue, message) for (queue, _), message in self._messages.items() if message is not None],
        )
        self._database.executemany(
            "UPDATE entities SET last_sequence_number = max(last_sequence_number, ?) WHERE path = ?",
            [(number, path) for path, number in self._last_numbers.items()],
        )
        self._database.execute("COMMIT")
        self._messages.clear()
        self._last_numbers.clear()

    def close(self) -> None:
        self.commit()
        self._database.close()

    def entities(self) -> Iterator[StoredEntity]:
        query = "SELECT path, kind, description, last_sequence_number FROM entities ORDER BY rowid"
        return map(StoredEntity._make, self._database.execute(query).fetchall())

    def rules(self, subscription: str) -> Iterator[str]:
        query = "SELECT description FROM rules WHERE subscription = ? ORDER BY rowid"
        return (description for (description,) in self._database.execute(query, (subscription,)).fetchall())

    def messages(self, queue: str) -> Iterator[Message]:
        query = (
            "SELECT content, sequence_number, enqueued_at, state, expires_at, delivery_count "
            "FROM messages WHERE queue = ? ORDER BY sequence_number"
        )
        with closing(self._database.execute(query, (queue,))) as rows:
            for content, number, enqueued_at, state, expires_at, delivery_count in rows:
                yield Message(read_content(content), number, enqueued_at, State(state), expires_at, delivery_count)

    def session_states(self, queue: str) -> Iterator[tuple[str, bytes]]:
        return iter(self._database.execute("SELECT id, state FROM sessions WHERE queue = ?", (queue,)).fetchall())


def _row(queue: str, message: Message) -> tuple[object, ...]:
    return (
        queue,
        message.sequence_number,
        message.state,
        message.enqueued_at,
        message.expires_at,
        message.delivery_count,
        message.content.encode_as_sent(),
    )
