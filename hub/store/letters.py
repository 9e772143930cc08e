"""Dead letters in SQL; each function works inside the transaction of its caller."""

import sqlite3
from collections.abc import Sequence

import orjson

from hub.acceptance import DeadLetter


def insert_dead_letters(connection: sqlite3.Connection, letters: Sequence[DeadLetter], now: float) -> None:
    if not letters:
        return
    connection.executemany(
        "INSERT INTO dead_letter (at, source, event_id, rule, stage, reason, detail, body, content_type, headers, tries,"
        " trace, config_hash, relay, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                now,
                letter.source,
                letter.event_id,
                letter.rule,
                letter.stage,
                letter.reason,
                letter.detail,
                letter.body,
                letter.content_type,
                orjson.dumps(dict(letter.headers)).decode(),
                letter.tries,
                letter.trace,
                letter.config_hash,
                letter.relay,
                letter.revision,
            )
            for letter in letters
        ],
    )


def dead_letters(
    connection: sqlite3.Connection, *, limit: int, relay: str | None
) -> list[tuple[int, float, DeadLetter]]:
    """Newest first; of a relay, oldest first."""
    order = "WHERE relay = :relay ORDER BY id" if relay is not None else "ORDER BY id DESC"
    rows = connection.execute(
        "SELECT id, at, source, event_id, rule, stage, reason, detail, body, content_type, headers, tries, trace,"
        f" config_hash, relay, revision FROM dead_letter {order} LIMIT :limit",
        {"relay": relay, "limit": limit},
    )
    return [
        (
            row[0],
            row[1],
            DeadLetter(
                source=row[2],
                event_id=row[3],
                rule=row[4],
                stage=row[5],
                reason=row[6],
                detail=row[7],
                body=row[8],
                content_type=row[9],
                headers=orjson.loads(row[10]),
                tries=row[11],
                trace=row[12],
                config_hash=row[13],
                relay=row[14],
                revision=row[15],
            ),
        )
        for row in rows
    ]


def mark_relayed(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """These need not be sent on any more."""
    connection.executemany("UPDATE dead_letter SET relay = NULL WHERE id = ?", [(letter,) for letter in ids])
