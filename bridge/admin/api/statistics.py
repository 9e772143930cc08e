"""What happened by the hour: pushes, notifications, changes of the registry, and how many phones there were."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from bridge.admin.api.operation import Call, Model, Operation
from hub.errors import InvalidRequestError
from hub.store.contracts.telemetry import Tally, TallyKind

_HOUR = 3600
_MOST = 31 * 24
"""Hours of one answer by the hour, at most."""
_HOURS = {"hour": 1, "day": 24}


class StatisticsQuery(Model):
    """Of which hub and time; of the last 24 hours without `since`."""

    kind: Annotated[
        Literal["push", "notification", "report", "report_by_tag", "operation", "devices"],
        Field(
            description="What is counted: pushes, notifications, reports of phones on pushes, these by the value of the"
            " hub's reports.by_tag, changes of the registry, or registrations."
        ),
    ] = "push"
    hub: str = ""
    since: Annotated[AwareDatetime | None, Field(description="The first hour.")] = None
    until: Annotated[AwareDatetime | None, Field(description="The last hour; now without it.")] = None
    by: Annotated[Literal["hour", "day", "total"], Field(description="What is summed up.")] = "total"


class Sum(Model):
    """One sum. `at` is when its hour or day (UTC) began, null for a total. `name` is the outcome of pushes, the state of
    notifications, what phones reported (`opened`; by tag `opened ch`), or what the registry was asked for; `platform` is
    empty where the kind has none."""

    at: datetime | None
    hub: str
    platform: str
    name: str
    count: int


class Statistics(Model):
    """In order of time. Of registrations a day has the last count that was made, and a total the last of all."""

    kind: str
    items: list[Sum]


async def _statistics(call: Call) -> Statistics:
    query: StatisticsQuery = call.query
    last = int((time.time() if query.until is None else query.until.timestamp()) // _HOUR)
    first = last - 23 if query.since is None else int(query.since.timestamp() // _HOUR)
    if first > last:
        raise InvalidRequestError("since: is after until")
    if query.by == "hour" and last - first >= _MOST:
        raise InvalidRequestError(f"by: hours of {_MOST // 24} days at most; ask by day, or for less")
    kind = TallyKind(query.kind)
    found = await call.management.hub.store.tallies(kind, first=max(first, 0), last=last)
    mine = [each for each in found if not query.hub or each.hub == query.hub.lower()]
    return Statistics(kind=kind.value, items=_summed(mine, by=query.by))


def _summed(tallies: Sequence[Tally], *, by: str) -> list[Sum]:
    """Sums of hours, which are in order."""
    sums = Counter[tuple[int, str, str, str]]()
    for each in tallies:
        hour = 0 if by == "total" else each.hour // _HOURS[by] * _HOURS[by]
        key = hour, each.hub, each.platform, each.name
        sums[key] = each.count if each.kind is TallyKind.DEVICES else sums[key] + each.count
    return [
        Sum(
            at=None if by == "total" else datetime.fromtimestamp(hour * _HOUR, UTC),
            hub=hub,
            platform=platform,
            name=name,
            count=count,
        )
        for (hour, hub, platform, name), count in sums.items()
    ]


OPERATIONS: Sequence[Operation] = (
    Operation(
        name="statistics",
        method="GET",
        path="/statistics",
        summary="How many pushes, notifications, changes of the registry and registrations there were, by the hour.",
        run=_statistics,
        answer=Statistics,
        query=StatisticsQuery,
        patience=30.0,
    ),
)
