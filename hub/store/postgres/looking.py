"""Whether a database is what its version says: the parts of the schema, as shipped, and the rights of the role."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from hub.errors import StoreError
from hub.store.outbox.numbering import QUEUES
from hub.store.postgres.schema import TYPES, parts_of
from hub.store.versions import SchemaVersion

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""What a daemon needs on each table; of `schema` it needs to read alone."""

_RESTORE = "restore it from a backup"
_NAMED = 5
"""Tables that a complaint names."""
_TABLE = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\);", re.DOTALL)
_COLUMN = re.compile(rf"^    (\w+) +({'|'.join(map(re.escape, TYPES.values()))})", re.MULTILINE)
_ADDED = re.compile(rf"ALTER TABLE (\w+) ADD COLUMN (\w+) +({'|'.join(map(re.escape, TYPES.values()))})")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (\w+)[^;]*;")
_HERE = "relnamespace = current_schema()::regnamespace"

_PARTS = (
    f"SELECT relname::text FROM pg_class LEFT JOIN pg_index ON indexrelid = oid WHERE {_HERE} AND indisvalid IS NOT FALSE"
    " UNION SELECT tgname::text FROM pg_trigger WHERE tgenabled <> 'D'"
)
_COLUMNS = (
    "SELECT relname::text, attname::text, format_type(atttypid, atttypmod)"
    " || coalesce(' COLLATE ' || quote_ident(collname), '')"
    " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid LEFT JOIN pg_collation ON pg_collation.oid = attcollation"
    f" WHERE {_HERE} AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"
)
_LACKING = (
    "SELECT relname::text, needed FROM pg_class CROSS JOIN unnest(%s::text[]) AS needed"
    f" WHERE {_HERE} AND relkind IN ('r', 'p') AND NOT has_table_privilege(pg_class.oid, needed)"
)


class Column(NamedTuple):
    table: str
    name: str


def columns_of(versions: Sequence[SchemaVersion]) -> Mapping[Column, str]:
    """The type of each column, with its collation, as the schema has it."""
    found: dict[Column, str] = {}
    for version in versions:
        for table in _TABLE.finditer(version.sql):
            found |= {Column(table[1], each[1]): each[2] for each in _COLUMN.finditer(table[2])}
        found |= {Column(each[1], each[2]): each[3] for each in _ADDED.finditer(version.sql)}
    return found


def keys_of(versions: Sequence[SchemaVersion]) -> set[str]:
    """The names that PostgreSQL gives to the indexes of primary keys."""
    tables = [table for version in versions for table in _TABLE.finditer(version.sql)]
    return {f"{table[1]}_pkey" for table in tables if "PRIMARY KEY" in table[2]}


def look_for_parts(connection: psycopg.Connection[Any], versions: Sequence[SchemaVersion]) -> None:
    """Raises: StoreError: a table, column, key, index or trigger is not there, or a column is of another type: each by its
    name, and what cures it. psycopg.Error."""
    there = {name for (name,) in connection.execute(_PARTS.encode()).fetchall()}
    types = {Column(table, name): type_ for table, name, type_ in connection.execute(_COLUMNS.encode()).fetchall()}
    missing = {*parts_of(versions), *keys_of(versions)} - there
    columns = {column: type_ for column, type_ in columns_of(versions).items() if column.table not in missing}
    lost = [".".join(column) for column in columns if column not in types]
    changed = [
        f"{'.'.join(column)} is {types[column]} and has to be {type_}"
        for column, type_ in columns.items()
        if types.get(column, type_) != type_
    ]
    if missing or lost:
        changed.insert(0, f"the database lacks {', '.join(sorted([*missing, *lost]))} of its schema")
    if changed:
        raise StoreError(f"{'; '.join(changed)}: {_cure(versions, missing, is_whole=len(changed) == 1 and not lost)}")
    queues = [queue for (queue,) in connection.execute("SELECT queue FROM queue ORDER BY queue").fetchall()]
    if queues != list(range(QUEUES)):
        raise StoreError(f"the table queue has {len(queues)} rows and not the {QUEUES} of its schema: {_RESTORE}")


def _cure(versions: Sequence[SchemaVersion], missing: set[str], *, is_whole: bool) -> str:
    """An index can be made again without a loss, by the statement that made it."""
    made = {each[1]: each[0] for version in versions for each in _INDEX.finditer(version.sql)}
    if missing and is_whole and missing <= made.keys():
        return " ".join(["run", *(" ".join(made[name].split()) for name in sorted(missing))])
    return _RESTORE


def look_for_rights(connection: psycopg.Connection[Any], versions: Sequence[SchemaVersion]) -> None:
    """Raises: StoreError: the role may not do what a daemon does, or nobody may write. psycopg.Error."""
    if connection.execute("SHOW transaction_read_only").fetchall() == [("on",)]:
        raise StoreError("the database is read-only, as a standby is")
    ours = parts_of(versions)
    tables: dict[str, list[str]] = {}
    for table, right in connection.execute(_LACKING.encode(), (list(RIGHTS),)).fetchall():
        if table in ours:
            tables.setdefault(table, []).append(right)
    if tables:
        rights = [right for right in RIGHTS if any(right in lacking for lacking in tables.values())]
        role = _role(connection)
        raise StoreError(
            f"the role lacks a right: {role} may not {', '.join(rights)} in {_some(sorted(tables))}:"
            f" GRANT {', '.join(RIGHTS)} ON ALL TABLES IN SCHEMA public TO {role}"
        )


def _role(connection: psycopg.Connection[Any]) -> str:
    ((role,),) = connection.execute("SELECT current_user::text").fetchall()
    return str(role)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED])} and {more} more"


def look_for_use(connection: psycopg.Connection[Any]) -> None:
    """Raises: StoreError: the role may use no schema of the database. psycopg.Error."""
    if connection.execute("SELECT current_schema()").fetchall() == [(None,)]:
        role = _role(connection)
        raise StoreError(
            f"the role lacks a right: {role} may not use the schema public: GRANT USAGE ON SCHEMA public TO {role}"
        )
