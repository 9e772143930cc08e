"""`bridge.store`: which database keeps everything, and how it is reached."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, model_validator

from bridge.config.section import Section
from connectors.duration import Duration
from hub.tls import NamedFile, Tls

_SQLITE, _POSTGRES = "sqlite:///", ("postgresql://", "postgres://")
_FORM = "write sqlite:///pushbridge.db, sqlite:////var/lib/pushbridge/pushbridge.db, or postgresql://USER@HOST:PORT/DATABASE"


def _store_url(url: str) -> str:
    if url.startswith(_POSTGRES):
        return _postgres_url(url)
    if not re.fullmatch(rf"{_SQLITE}.+", url):
        raise ValueError(f"not a store; {_FORM}")
    return url


def _postgres_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise ValueError(f"not an address of PostgreSQL; {_FORM}") from None
    if parts.password is not None or "password" in options:
        raise ValueError(
            "a password stands in the address; write it to a file and name that in bridge.store.password_file"
        )
    if not parts.hostname and "host" not in options:
        raise ValueError(f"there is no host in the address; {_FORM}")
    if not parts.path.strip("/"):
        raise ValueError(f"there is no database in the address; {_FORM}")
    return url


class StoreSettings(Section):
    """The durable store. A relative path (three slashes) is beside the configuration.

    Over `max_pending` notifications waiting, sources are not read any further.
    """

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite:///pushbridge.db"
    """sqlite:/// and a file, relative to the configuration unless a fourth slash begins it; or postgresql://USER@HOST/DB."""
    password_file: NamedFile | None = None
    """A file whose first line is the password of PostgreSQL's user; it is read again for each connection."""
    tls: Tls | None = None
    """TLS of the connection to PostgreSQL, whose certificate has to be of its host; {} trusts the system's certificates."""
    max_pending: int = Field(default=100_000, ge=1)
    """Notifications waiting to be sent, over all daemons that share the database; over it no source is read any further."""
    seen_window: Annotated[Duration, Field(gt=0)] = 86_400.0
    """How long a repeated event is known as such."""
    allow_ephemeral: bool = False
    """Whether the database may lie where it is lost: in memory (tmpfs), and the outbox of a hub with durability: local on a
    container's own layer or an emptyDir; for tests and demonstrations."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if not self.is_postgres and (self.password_file is not None or self.tls is not None):
            raise ValueError("password_file and tls are for PostgreSQL, and url names a SQLite file")
        if self.is_postgres and find_spec("psycopg") is None:
            raise ValueError("PostgreSQL needs its driver: install pushbridge[postgres]")
        return self

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith(_POSTGRES)

    def path(self, directory: Path) -> Path:
        """The SQLite file, for a configuration in `directory`."""
        if self.is_postgres:
            raise ValueError(f"{self.url} is no file")
        return directory / self.url.removeprefix(_SQLITE)

    def name(self, directory: Path) -> str:
        """What messages call it: the file, or the address."""
        return self.url if self.is_postgres else str(self.path(directory))
