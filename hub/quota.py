"""What processes say to each other of the quota of a push service: a report each, and a grant as its answer."""

from collections.abc import Sequence
from dataclasses import dataclass

PERIOD = 60.0
"""Seconds in which a quota is counted. Services that name one count by the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaReport:
    """What one process did with one service since its last report.

    `spent` are pushes that counted, each with the seconds since they were answered. `refused` pushes were over the quota,
    the first of them `refused_ago` seconds ago, and the service asked for `retry_after` seconds; None: it named no time.
    `under_way` are not answered yet. `wanted` is how many pushes a second the process would make.
    """

    spent: Sequence[tuple[float, int]] = ()
    refused: int = 0
    refused_ago: float = 0.0
    retry_after: float | None = None
    under_way: int = 0
    wanted: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaGrant:
    """How many pushes a process may make until its next report; `limit` is pushes a minute, None while none is known."""

    limit: float | None = None
    pushes: float = 0.0
