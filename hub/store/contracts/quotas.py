"""What is known of the quotas of push services; all processes that share a database share a quota."""

from collections.abc import Mapping
from typing import Protocol

from hub.quota import QuotaGrant, QuotaReport
from hub.store.contracts.outbox import Service


class Quotas(Protocol):
    """Each method may raise StoreError."""

    async def share_quotas(self, reports: Mapping[Service, QuotaReport]) -> Mapping[Service, QuotaGrant]:
        """Count what this process reports, learn of it, and say how many pushes it may make until its next report.

        A report that raises StoreError was not counted.
        """

    async def known_quotas(self) -> Mapping[Service, float]:
        """Pushes a minute, of the services that have refused some for their quota."""
