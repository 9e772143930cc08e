"""What waits to be published to sinks: reports, written with what they tell of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.report import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A report in its place; `attempt` is how often it was published in vain."""

    id: int
    at: float
    body: bytes
    content_type: str | None
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkUsage:
    """What waits for one sink in the queues of this process; `oldest` is in seconds since 1970 UTC."""

    reports: int
    bytes: int
    oldest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkLimits:
    """Seconds that a report waits, and how many reports and bytes of bodies wait for one sink, all processes together."""

    kept: float
    max_rows: int
    max_bytes: int


class Sinks(Protocol):
    """Written by `Outbox.record` and `Outbox.sum_up`. Every method but `report_to` may raise StoreError."""

    def report_to(self, reporter: Reporter | None) -> None:
        """From now on write what `reporter` says; None: nothing."""

    async def unreported(self, sink: str, *, limit: int) -> Sequence[KeptReport]:
        """Those of this process's queues that are due, the first to be due first."""

    async def reported(self, ids: Sequence[int]) -> None:
        """These were published."""

    async def postpone_reports(self, delays: Mapping[int, float]) -> None:
        """These were refused by themselves: each is due again after its delay, in seconds."""

    async def sink_usage(self) -> Mapping[str, SinkUsage]:
        """By sink, for those for which something waits."""

    async def bound_sinks(self, limits: Mapping[str, SinkLimits], *, others: SinkLimits) -> Mapping[str, int]:
        """Drop a slice of what is past the limits, the oldest first; how many, by sink. `others` are for sinks that are not
        named."""
