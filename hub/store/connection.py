"""The thin connection: one SQL, two drivers. Statements are portable; what differs is the driver's.

A statement is written once, with `:names`. A driver turns names into its placeholders, blobs and rows into Python's
types, and errors into `StoreError`. The driver, not the statement, owns the bulk forms: insert many, update many, read by
many keys, read many, and reads or writes that go together. Each call is one round trip to the database, and a test
counts them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]

STATEMENTS: dict[str, "Statement"] = {}
"""Every statement of a store by its name; the dialect test parses each."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement by a name of its own. `text` is portable SQL with `:names`.

    For the forms that take rows the names are those of the rows' columns, in the order of `columns`, each with
    its SQL type (`bigint`, `double precision`, `text`, `bytea`): a driver that sends arrays has to say of what.
    For `read_by_keys` the text says `IN (:keys)` once, and `columns` is the one column of the keys.
    """

    name: str
    text: str
    columns: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if STATEMENTS.setdefault(self.name, self).text != self.text:
            raise ValueError(f"two statements are named {self.name}")


class Connection(Protocol):
    """A transaction that has begun; the database that began it ends it. Values are int, float, str, bytes and None."""

    def read(self, statement: Statement, /, **values: Any) -> list[Row]:
        """The rows of a SELECT."""

    def write(self, statement: Statement, /, **values: Any) -> list[Row]:
        """Run an INSERT, UPDATE or DELETE; the rows of its RETURNING, else none."""

    def insert_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        """Run an INSERT for each of `rows`, in order; the rows of its RETURNING, in any order."""

    def read_by_keys(self, statement: Statement, keys: Sequence[Any], /, **values: Any) -> list[Row]:
        """The rows of a SELECT whose `:keys` are these, in any order; no keys, no round trip."""

    def read_all_by_keys(self, reads: Sequence[tuple[Statement, Sequence[Any]]], /, **values: Any) -> list[list[Row]]:
        """As `read_by_keys` of each, in order, in one round trip; each takes from `values` what it names."""

    def update_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        """Run an UPDATE or DELETE for each of `rows`, each for rows of its own; the rows of its RETURNING, in any order."""

    def read_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        """The rows of a SELECT for each of `rows`: those of the first before those of the second, in the SELECT's order."""

    def write_all(self, writes: Sequence[tuple[Statement, Sequence[Row]]], /) -> list[int]:
        """Run each statement, which returns nothing, for each of its rows, in order; how many rows each has written.

        This is what a decision comes to. A caller that read before it decided compares the counts with what it meant to
        write: where another transaction came between, they differ, and the caller raises `ConflictError`.
        """


class Database(Protocol):
    """Runs jobs in transactions, in threads of its own."""

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        """The job's answer, once it is durable. A job may run twice: its effects are in the database alone.

        Jobs of a `flow` are run in the order they came. Flows have turns, and share by `rows`, about so many as the job
        writes: a flow that has much to write does not keep another waiting.

        `then` is for what has to change in memory with the commit: it is called in the thread that wrote, before any job
        that comes later.

        Raises: StoreError: the database could not do it; else what the job raises.
        """

    async def read(self, job: Callable[[Connection], T], /) -> T:
        """The job's answer, of one state of the database. Raises: as `write`."""

    async def look(self, job: Callable[[Connection], T], /) -> T:
        """As `read`, for a job that makes one call of its connection, or none: no transaction is put around it, which
        would cost a database elsewhere two round trips more. Raises: as `write`; RuntimeError: it makes a second call.
        """

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        """Begin to overwrite in the files of the database what was deleted until now; whether it is done within about so
        many seconds.

        It may take longer, for the database is large, or is read as it was before. Then `go_on_overwriting` has to be
        called now and then. Writes go on in between. Raises: StoreError.
        """

    async def go_on_overwriting(self) -> bool:
        """Do a part of what was begun; whether all of it is done. Raises: StoreError."""

    async def probe(self) -> None:
        """Write to the disk what changes nothing: whether the database works. Raises: StoreError."""
