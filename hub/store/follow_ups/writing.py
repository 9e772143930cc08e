"""Follow-ups into rows, within the transaction that ends the pushes which they are about."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hub.follow_up import FollowedPushes, FollowUp
from hub.outcome import ENDED_WELL, OutcomeName, State
from hub.report import Reporter
from hub.store.connection import Row, Statement
from hub.store.decide.recording import Key, OpenRow, Written
from hub.work import Lane

INSERT = Statement(
    "follow_up.insert",
    "INSERT INTO follow_up (queue, notification, page, about, due, sent_at, sinks)"
    " VALUES (:queue, :notification, :page, :about, :due, :sent_at, :sinks)",
    columns=(
        ("queue", "bigint"),
        ("notification", "bigint"),
        ("page", "bigint"),
        ("about", "text"),
        ("due", "double precision"),
        ("sent_at", "double precision"),
        ("sinks", "text"),
    ),
)
_UNREACHED = frozenset([State.NO_TARGET_FOUND, State.ABANDONED])


class _Page(NamedTuple):
    """A row of pushes that has ended: whether a push service took some of them, and whether some reach no phone."""

    key: Key
    number: int
    has_delivered: bool
    has_failed: bool


def follow_up_rows(
    written: Iterable[Written], rows: Mapping[Key, OpenRow], reporter: Reporter, *, now: float
) -> list[Row]:
    """Of the rows of pushes that end with this, as they stood in `rows`. What phones have not opened is looked at later,
    what reached no phone at once. Pages of expanded notifications have none: see `expanded_row`."""
    found: list[Row] = []
    for change in written:
        if not change.is_last or change.work.lane is not Lane.SINGLE:
            continue
        follow_up = reporter.follow_up_of(change.work.notification)
        if follow_up is None:
            continue
        page = _page(change, rows[change.work.queue, change.work.n].home)
        if page.has_delivered:
            found.append(_row(page.key, page.number, FollowedPushes.DELIVERED, follow_up, now, after=follow_up.after))
        if page.has_failed:
            found.append(_row(page.key, page.number, FollowedPushes.FAILED, follow_up, now))
    return found


def expanded_row(key: Key, follow_up: FollowUp, *, now: float) -> Row:
    """Of a notification that is for too many phones."""
    return _row(key, 0, FollowedPushes.EXPANDED, follow_up, now)


def _page(change: Written, home: Key) -> _Page:
    outcomes = {outcome for by_outcome in change.counts.values() for outcome, count in by_outcome.items() if count}
    return _Page(
        home,
        change.work.n if change.work.number else 0,
        bool(outcomes & ENDED_WELL - {OutcomeName.SKIPPED}),
        bool(outcomes - ENDED_WELL) or change.state in _UNREACHED,
    )


def _row(key: Key, page: int, about: FollowedPushes, follow_up: FollowUp, now: float, *, after: float = 0.0) -> Row:
    return (*key, page, about.value, now + after, now, ",".join(follow_up.sinks))
