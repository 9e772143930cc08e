"""The store that is configured; building it connects to nothing. A database's driver is imported with its store."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge.config.models.document import Settings
from bridge.config.unstored import has_an_outbox, may_be_lost
from hub.store.contracts.store import Store
from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.store import SqliteStore
from hub.store.sqlite.volume import StoreSpace

if TYPE_CHECKING:
    from hub.store.postgres.address import PostgresAddress


class DaemonStore(Store, Protocol):
    """A store with what operators ask of its files."""

    async def back_up(self, target: Path) -> int:
        """Copy the state of now to a new file; its size in bytes. Raises: StoreError, InvalidRequestError."""

    def space(self) -> StoreSpace | None:
        """What the files take, None where they are another machine's. Raises: OSError."""


def store_of(
    settings: Settings, *, observe: Callable[[str, float], None], on_broken: Callable[[str], None]
) -> DaemonStore:
    """`observe` and `on_broken` are as the database of the store says."""
    store = settings.bridge.store
    window = SeenWindow(seconds=store.seen_window)
    if store.is_postgres:
        from hub.store.postgres.store import PostgresStore

        return PostgresStore(address_of(settings), window=window, observe=observe)
    return SqliteStore(
        settings.store_path,
        window=window,
        observe=observe,
        on_broken=on_broken,
        allow_ephemeral=may_be_lost(settings),
        must_last=has_an_outbox(settings.hubs),
    )


def address_of(settings: Settings) -> "PostgresAddress":
    """Where the PostgreSQL database is, for a store that is one."""
    from hub.store.postgres.address import PostgresAddress

    store = settings.bridge.store
    return PostgresAddress(url=store.url, password_file=store.password_file, tls=store.tls)
