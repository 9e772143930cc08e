"""One database behind the contracts."""

from typing import Protocol

from hub.store.contracts.accounting import Accounting
from hub.store.contracts.dead_letters import DeadLetters
from hub.store.contracts.fleet import Fleet
from hub.store.contracts.follow_ups import FollowUps
from hub.store.contracts.jobs import Jobs
from hub.store.contracts.journal import Journal
from hub.store.contracts.mirrors import Mirrors
from hub.store.contracts.outbox import Outbox
from hub.store.contracts.people import People
from hub.store.contracts.phone_reports import PhoneReports
from hub.store.contracts.phones import Phones
from hub.store.contracts.quotas import Quotas
from hub.store.contracts.registry import Registry
from hub.store.contracts.silences import Silences
from hub.store.contracts.sinks import Sinks
from hub.store.contracts.telemetry import Telemetry


class Store(
    Outbox,
    Registry,
    DeadLetters,
    Journal,
    Telemetry,
    People,
    Phones,
    PhoneReports,
    Jobs,
    Mirrors,
    Sinks,
    Silences,
    FollowUps,
    Accounting,
    Quotas,
    Fleet,
    Protocol,
):
    """Build it (no I/O), `open`, `tend` as a task, use, `close`."""

    async def open(self) -> int:
        """Lock or join, migrate, claim queues; how much work was due when their last owner ended.

        May be tried again. Raises: StoreError: names the database.
        """

    async def tend(self) -> None:
        """Until cancelled: keep what this process owns, and follow the clock; never raises StoreError."""

    async def tends(self) -> None:
        """Return as soon as `tend` has proved that it goes on."""

    async def probe(self) -> None:
        """A durable write that changes nothing. Raises: StoreError."""

    async def close(self) -> None: ...
