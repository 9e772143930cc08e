"""The schema's versions, for all databases: one folder of SQL files each, applied in order, each whole or not at all.

The files of `schema/NNNN` are for all databases, in the words of SQLite; those of `schema/NNNN/sqlite` and
`schema/NNNN/postgres` come after them, for one. The table `schema` holds one row: the version, and the oldest version
whose program can still work with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from hub.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """A version's number, the SQL that leads to it, and the oldest version whose program can read and write it."""

    number: int
    sql: str
    readable_from: int


_READABLE_FROM = {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1}
"""For each version, the oldest version whose program can work with it."""


@cache
def versions_for(engine: str) -> Sequence[SchemaVersion]:
    """All versions that this program knows, in order, for `sqlite` or `postgres`."""
    found = []
    for folder in (files(__package__) / "schema").iterdir():
        if folder.name.isdigit():
            number = int(folder.name)
            sql = "\n".join([*_texts(folder), *_texts(folder / engine)])
            found.append(SchemaVersion(number=number, sql=sql, readable_from=_READABLE_FROM[number]))
    return sorted(found, key=lambda version: version.number)


def _texts(folder: Traversable) -> list[str]:
    """Of the SQL files of a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    parts = sorted((part for part in folder.iterdir() if part.name.endswith(".sql")), key=lambda part: part.name)
    return [part.read_text(encoding="utf-8") for part in parts]


def apply_versions(
    versions: Sequence[SchemaVersion], current: int, readable_from: int, apply: Callable[[SchemaVersion], None]
) -> int:
    """Apply those that are newer than the database; the version that it has then, which may be newer than all of them.

    Raises: StoreError: the database is of a version that this program cannot work with; what `apply` raises.
    """
    newest = versions[-1].number
    if readable_from > newest:
        raise StoreError(
            f"the database has schema version {current}, which needs a program that knows version {readable_from}; this"
            f" one knows versions up to {newest}: run the newer pushbridge"
        )
    for version in versions:
        if version.number > current:
            apply(version)
    return max(current, newest)
