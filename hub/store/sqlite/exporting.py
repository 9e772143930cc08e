"""All rows of a SQLite store that no daemon has open, table by table, for another database."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from hub.errors import StoreError, StoreLockedError
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.lock import FileLock
from hub.store.sqlite.looking import connect
from hub.store.sqlite.migrate import shipped_versions, version_of

_TABLES = (
    "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
    " WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid"
)


class ExportedStore:
    """The rows as they are while the file is locked."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        tables: dict[str, list[str]] = {}
        for table, column in connection.execute(_TABLES):
            tables.setdefault(str(table), []).append(str(column))
        self.tables: Mapping[str, Sequence[str]] = tables

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """In the order of its columns."""
        return iter(self._connection.execute(f"SELECT {', '.join(self.tables[table])} FROM {table}"))


@contextmanager
def exported(path: Path) -> Iterator[ExportedStore]:
    """A store for as long as it is read.

    Raises: StoreError: a daemon has it, there is none, or its schema is not the newest.
    """
    path = path.resolve()
    try:
        lock = FileLock(path)
    except StoreLockedError as error:
        raise StoreLockedError(f"a daemon has {path} open: stop it first") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    try:
        connection = connect(path)
        try:
            version, _ = version_of(connection)
            if version != (newest := shipped_versions()[-1].number):
                raise StoreError(
                    f"{path} has schema version {version}, and this program reads version {newest}: let its daemon start"
                    " once, which brings it up to date"
                )
            yield ExportedStore(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise StoreError(f"cannot read {path}: {store_error(error)}") from error
    finally:
        lock.close()
