"""What a configuration says about a database: where it is, which table, how rows are taken and marked."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from connectors.duration import Duration


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


def _checked_url(value: SecretStr) -> SecretStr:
    if not re.match(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://", value.get_secret_value()):
        raise ValueError("not the URL of a database; write DATABASE://USER:PASSWORD@HOST:PORT/NAME")
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Column = Annotated[str, Field(min_length=1, max_length=128)]
Table = Annotated[str, Field(pattern=r"^[^.\x00]+(\.[^.\x00]+){0,2}$", max_length=400)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
Value = str | int | None


class Mark(_Settings):
    """How a row says that it waits, and that it is done."""

    column: Column
    """The column that tells rows that wait from those that are done."""
    waiting: Value = None
    """What the column holds of a row that waits; NULL unless set."""
    done: Value = None
    """What is written there once the row is done; the time of the database unless set."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.waiting is not None and self.waiting == self.done:
            raise ValueError("waiting and done are the same; a row that is done would wait again")
        return self


class Outbox(_Settings):
    """A table whose rows are events, and are deleted or marked once they are in the store."""

    table: Table
    """The table, or SCHEMA.TABLE where it is not in the user's own schema."""
    id: Column
    """The column that tells rows apart: the primary key, or another that is unique."""
    order_by: Columns | None = None
    """The column, or columns, by which rows are taken; that of id unless set. An index on them is worth having."""
    done: Literal["delete", "mark"] = "delete"
    """What becomes of a row whose event is in the store: it is deleted, or mark says how it is marked."""
    mark: Mark | None = None
    """The column that is written for `done: mark`, and its values."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.done == "mark") != (self.mark is not None):
            raise ValueError("done: mark and mark: { column: … } go together")
        return self

    @property
    def order(self) -> Sequence[str]:
        return self.order_by or (self.id,)


class Watermark(_Settings):
    """A table that nobody may change: rows are known as new by a column whose values rise."""

    table: Table
    """The table or view, or SCHEMA.TABLE where it is not in the user's own schema."""
    id: Column
    """The column that tells rows apart: the primary key, or another that is unique."""
    column: Column
    """The column whose values rise: a whole number, or a time."""
    overlap: Annotated[Duration, Field(ge=0)] = 300.0
    """How far behind the highest value rows are looked for again: a duration for times, a number for whole numbers.

    It has to be more than the longest transaction of a writer takes: a row that is committed later is never seen."""
    start: Literal["latest", "earliest"] = "latest"
    """Where the first start begins: behind the highest value of then, or with the lowest."""


class Reception(_Settings):
    """How many rows are taken at a time."""

    max_in_flight: int = Field(default=500, ge=1, le=10_000)
    """Rows that were read and are not yet settled, at most."""


class SqlSettings(_Settings):
    """Rows of a table as messages: those of an outbox, or those above a watermark."""

    url: Annotated[SecretStr, Field(min_length=1), AfterValidator(_checked_url)]
    """Where the database is, with user and password: postgresql://, mysql://, mariadb://, or any URL of SQLAlchemy."""
    outbox: Outbox | None = None
    """A table whose rows are deleted or marked once they are in the store."""
    watermark: Watermark | None = None
    """A table that nobody may change, read by a column whose values rise."""
    body: Column | None = None
    """The column that is the body of the message; unless set, the body is the whole row as a JSON object."""
    poll: Annotated[Duration, Field(ge=0.05, le=86400)] = 2.0
    """How long the source waits before it looks again, when it found fewer rows than it asked for."""
    receive: Reception = Reception()
    """How much is taken at a time."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.outbox is None) == (self.watermark is None):
            raise ValueError("write either outbox or watermark")
        return self

    @property
    def table(self) -> str:
        section = self.outbox or self.watermark
        assert section is not None
        return section.table

    @property
    def host(self) -> str:
        """Empty where the URL names none, as one of SQLite does."""
        return urlsplit(self.url.get_secret_value()).hostname or ""
