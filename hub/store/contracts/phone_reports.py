"""What phones said of their pushes."""

from collections.abc import Sequence
from typing import Protocol

from hub.phone_report import PhoneReport, ReportPolicy, TakenReports


class PhoneReports(Protocol):
    """It may raise StoreError."""

    async def add_reports(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], policy: ReportPolicy
    ) -> TakenReports:
        """Keep what an installation says, count it, and write what sinks are told of it, in one transaction.

        Raises: NotFoundError: the hub has no such installation.
        """
