"""What became of each event, kept for a time: what `why` reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.acceptance import NO_CONFIGURATION, ConfigurationVersion
from hub.store.contracts.listing import ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """An event in its place; `detail`, `content` and `flow` are those of its `JournalEntry`, `content` None once it is past
    its time."""

    id: int
    at: float
    source: str
    event_id: str
    outcome: str
    detail: bytes
    content: bytes | None
    trace: str
    configuration: ConfigurationVersion = NO_CONFIGURATION
    flow: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalUsage:
    """How many events are kept, and the bytes of what is kept of them, as the bound counts them."""

    events: int
    bytes: int


class Journal(Protocol):
    """Written by `Outbox.accept` with what an event causes. Every method may raise StoreError."""

    async def journaled(self, event_id: str, *, source: str = "", limit: int) -> Sequence[KeptEvent]:
        """Events of this id, newest first, of any source unless one is named."""

    async def journal(
        self, *, source: str = "", outcome: str = "", until: float | None = None, after: str = "", limit: int
    ) -> ListPage[KeptEvent]:
        """Newest first, from the last one received at `until` on."""

    async def bound_journal(self, *, events_kept: float, content_kept: float, max_bytes: int) -> bool:
        """Drop a slice of what is past its time, in seconds, then of the oldest beyond `max_bytes`; whether more is
        left."""

    async def journal_usage(self) -> JournalUsage:
        """As it was when `bound_journal` came to its end the last time. The first call looks at all rows."""
