"""Statements in PostgreSQL's words: names become placeholders, and rows an `unnest` of one array a column.

The names of the rows' columns begin with an underscore there, so that none hides a column of a table.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from hub.store.connection import Statement
from hub.store.registry.statements import TARGET_COLUMNS

OWN_TEXTS: Mapping[str, str] = {
    "store.time": "SELECT extract(epoch FROM clock_timestamp())::double precision",
    "registry_target_columns": TARGET_COLUMNS.text.replace(
        "hex(d.push_channel)", "upper(encode(d.push_channel, 'hex'))"
    ),
}
"""All statements that PostgreSQL runs in a text of its own."""

LOCKS: Mapping[str, str] = {
    # A claim does without a queue while a transaction that looked at its fence is under way, and the other way round waits.
    # FOR SHARE, not FOR KEY SHARE: that would read the fence as it was before a claim that has just committed.
    "queue.fence": "FOR SHARE",
    "queue.fences": "FOR SHARE",
    "queue.holders": "FOR SHARE",
    "queue.lock": "FOR UPDATE SKIP LOCKED",
    # A page may be passed on to another process in between: what was read is where the page is until it is dropped.
    "page.of": "FOR UPDATE",
    # Two processes that accept events of one flow key count one after the other.
    "flow.states": "FOR UPDATE",
    # Other processes write devices too: what was read stays as it is until it is written.
    "registry_held_by_installation": "FOR UPDATE OF d",
    "registry_held_by_registration": "FOR UPDATE OF d",
    "registry_held_by_channel": "FOR UPDATE OF d",
    "registry_devices_of_same_channel": "FOR UPDATE OF d",
    "registry_hold_index": "FOR UPDATE",
}
"""Statements whose rows PostgreSQL locks as it reads them; on SQLite one transaction writes at a time."""

_NAME = re.compile(r"'(?:[^']|'')*'|(?<!:):([a-z_][a-z0-9_]*)")
_KEYS = re.compile(r"\bIN \(:keys\)")
_VALUES = re.compile(r" VALUES \((.*?)\)(?= ON CONFLICT| RETURNING|$)")
_VERB = re.compile(r"\A(INSERT|UPDATE|DELETE|SELECT)\b")
_CONFLICT = re.compile(r" ON CONFLICT \(([a-z_, ]+)\)(?: WHERE [a-z_ ]+)? DO UPDATE")


def text_of(statement: Statement) -> str:
    text = OWN_TEXTS.get(statement.name, statement.text)
    return f"{text} {LOCKS[statement.name]}" if statement.name in LOCKS else text


@cache
def single(statement: Statement) -> bytes:
    """For one set of values by name; `:keys` is an array."""
    text = _KEYS.sub("= ANY(:keys)", text_of(statement).replace("%", "%%"))
    return _named(text, lambda name: f"%({name})b").encode()


@cache
def bulk(statement: Statement) -> bytes:
    """For rows, each column an array, in the order of `columns`; what stands behind ON CONFLICT is as `constants` says."""
    text = text_of(statement).replace("%", "%%")
    match = _VERB.match(text)
    if match is None:
        raise ValueError(f"statement {statement.name} is none that takes rows")
    return _BULK[match[1]](statement, text).encode()


def _insert(statement: Statement, text: str) -> str:
    if (values := _VALUES.search(text)) is None:
        raise ValueError(f"statement {statement.name} does not say VALUES")
    rows = f" SELECT {_named(values[1], _column)} FROM {_rows(statement)}"
    behind = _named(text[values.end() :], lambda name: f"%({name})b")
    return f"{text[: values.start()]}{rows}{behind}"


def _update(statement: Statement, text: str) -> str:
    return _joined(statement, text, "FROM")


def _delete(statement: Statement, text: str) -> str:
    return _joined(statement, text, "USING")


def _joined(statement: Statement, text: str, word: str) -> str:
    """The first WHERE of the statement itself gets the rows before it: those within parentheses come later."""
    before, where, after = text.partition(" WHERE ")
    if not where or before.count("(") != before.count(")"):
        raise ValueError(f"statement {statement.name} has no WHERE of its own")
    return f"{_named(before, _column)} {word} {_rows(statement)} WHERE {_named(after, _column)}"


def _select(statement: Statement, text: str) -> str:
    """OFFSET 0 keeps the planner from joining in another order than that of the rows."""
    return f"SELECT x.* FROM {_rows(statement)} CROSS JOIN LATERAL ({_named(text, _column)} OFFSET 0) AS x"


_BULK: Mapping[str, Callable[[Statement, str], str]] = {
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "SELECT": _select,
}


@cache
def constants(statement: Statement) -> tuple[int, ...]:
    """Which columns stand behind ON CONFLICT, where no row can be named: they are alike in all rows."""
    _, _, behind = text_of(statement).partition(" ON CONFLICT")
    names = {match[1] for match in _NAME.finditer(behind) if match[1]}
    return tuple(number for number, (name, _) in enumerate(statement.columns) if name in names)


@cache
def conflict_key(statement: Statement) -> tuple[int, ...]:
    """Which columns are the key of an upsert, which PostgreSQL does once a key and statement; none for all others."""
    match = _CONFLICT.search(text_of(statement))
    if match is None:
        return ()
    names = [name for name, _ in statement.columns]
    return tuple(names.index(name.strip()) for name in match[1].split(","))


def _rows(statement: Statement) -> str:
    arrays = ", ".join(f"%(_{name})b::{sql_type}[]" for name, sql_type in statement.columns)
    return f"unnest({arrays}) AS r({', '.join(f'_{name}' for name, _ in statement.columns)})"


def _column(name: str) -> str:
    return f"r._{name}"


def _named(text: str, spell: Callable[[str], str]) -> str:
    """The text with each name as `spell` says; what is quoted stays."""
    return _NAME.sub(lambda match: spell(match[1]) if match[1] else match[0], text)
