"""Dead letters into rows; bodies are kept once, however many letters have one."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import orjson

from hub.acceptance import DeadLetter
from hub.people import person_key
from hub.store.connection import Row, Statement

_COLUMNS = (
    ("n", "bigint"),
    ("queue", "bigint"),
    ("at", "double precision"),
    ("source", "text"),
    ("event_id", "text"),
    ("rule", "text"),
    ("stage", "text"),
    ("reason", "text"),
    ("detail", "text"),
    ("digest", "bytea"),
    ("size", "bigint"),
    ("bytes", "bigint"),
    ("content_type", "text"),
    ("headers", "text"),
    ("tries", "bigint"),
    ("trace", "text"),
    ("envelope", "text"),
    ("config_hash", "text"),
    ("revision", "text"),
    ("relay", "text"),
    ("person", "text"),
    ("owner", "text"),
    ("withheld", "bigint"),
)
INSERT = Statement(
    "dead_letter.insert",
    f"INSERT INTO dead_letter ({', '.join(name for name, _ in _COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _COLUMNS)})",
    columns=_COLUMNS,
)
INSERT_BODY = Statement(
    "dead_letter.insert_body",
    "INSERT INTO dead_letter_body (digest, body) VALUES (:digest, :body) ON CONFLICT (digest) DO UPDATE"
    " SET digest = excluded.digest",
    columns=(("digest", "bytea"), ("body", "bytea")),
)
"""A body that is there is written to: so a process that drops the last letter with it waits for this one."""


def letter_writes(
    letters: Sequence[DeadLetter], numbers: Iterator[int], *, queue: int, now: float
) -> list[tuple[Statement, Sequence[Row]]]:
    """The rows of new letters, for `write_all`; `numbers` are their own."""
    if not letters:
        return []
    digests = [digest_of_body(letter.body) for letter in letters]
    bodies = {digest: letter.body for digest, letter in zip(digests, letters, strict=True)}
    rows = [
        _row(letter, digest, next(numbers), queue=queue, now=now)
        for digest, letter in zip(digests, letters, strict=True)
    ]
    return [(INSERT_BODY, list(bodies.items())), (INSERT, rows)]


def _row(letter: DeadLetter, digest: bytes, number: int, *, queue: int, now: float) -> Row:
    headers = orjson.dumps(dict(letter.headers))
    size = len(letter.body)
    return (
        number,
        queue,
        now,
        letter.source,
        letter.event_id,
        letter.rule,
        letter.stage,
        letter.reason,
        letter.detail,
        digest,
        size,
        size + len(headers) + len(letter.envelope.encode()) + len(letter.detail.encode()),
        letter.content_type,
        headers.decode(),
        letter.tries,
        letter.trace,
        letter.envelope,
        letter.config_hash,
        letter.revision,
        letter.relay,
        person_key(letter.person) if letter.person else None,
        letter.owner,
        letter.withheld,
    )


def digest_of_body(body: bytes) -> bytes:
    """16 bytes by which a body is kept once."""
    return blake2b(body, digest_size=16, usedforsecurity=False).digest()
