"""What became of pieces of pages: counts, ends, retries, dead push channels; late results change nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from pyroaring import BitMap

from hub.acceptance import DeadLetter
from hub.notification import Notification, Platform
from hub.outcome import ENDED_WELL, OutcomeName, State, Unreached, final_state, unreached_count, why_unreached
from hub.store.contracts.outbox import Failed, PageResult, RetryPage, Work

Counts = Mapping[Platform, Mapping[OutcomeName, int]]
Key = tuple[int, int]
"""A row of work: its queue and its number there."""


class OpenRow(NamedTuple):
    """How a row of work stands that has not ended, in a queue that is still ours.

    `home` is the row of its notification, which for a notification that is its own page is the same row.
    """

    home: Key
    done: int
    counts: Counts


class Written(NamedTuple):
    """A row's new values; it still has to have `was_done`. The row is open no more once `is_last`.

    `state` None: the row is a page's, which has no state. `ended_at` is set for a notification that ends with this.
    `ordinals` and `started_at` None leave what the row has. `unreached` is for a notification that ends and that no phone
    got, with the number of registrations that the cause is about.
    """

    work: Work
    was_done: int
    done: int
    is_last: bool
    again: BitMap | None
    counts: Counts
    ordinals: BitMap | None
    started_at: float | None
    state: State | None
    ended_at: float | None
    unreached: Unreached | None = None
    unreached_count: int = 0


class Retry(NamedTuple):
    """A page to be tried again, of the notification that `work` is or belongs to; `due` is the store's time."""

    work: Work
    home: Key
    page: RetryPage
    due: float


class Failure(NamedTuple):
    """A push that ended, and not well."""

    work: Work
    home: Key
    failed: Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The rows of a batch of results, and what to report."""

    written: Sequence[Written]
    retries: Sequence[Retry]
    failures: Sequence[Failure]
    ended: Counter[tuple[str, State]]
    unreached: Sequence[tuple[Notification, Unreached, int]]
    dead_letters: Sequence[DeadLetter]
    late: int
    homes: Set[Key]
    """Notifications of which a page has ended, or that have only pages left."""


def decide_recording(results: Sequence[PageResult], rows: Mapping[Key, OpenRow], *, now: float) -> Recording:
    """Each result whose row is among `rows`, as far done as the result says, is written; the others are late.

    Pieces of one page in one batch follow each other, and come to one change of its row.
    """
    stands = dict(rows)
    written: dict[Key, Written] = {}
    retries: list[Retry] = []
    failures: list[Failure] = []
    ended = Counter[tuple[str, State]]()
    unreached: list[tuple[Notification, Unreached, int]] = []
    letters: list[DeadLetter] = []
    homes: set[Key] = set()
    late = 0
    delivered: Counts | None = None  # single pushes that were answered together share their counts
    for result in results:
        work = result.work
        key = (work.queue, work.n)
        row = stands.pop(key, None)
        if row is None or row.done != result.done_before:
            late += 1
            if row is not None:
                stands[key] = row
            continue
        is_last = result.is_last
        counts = added(row.counts, result.counts) if row.counts else result.counts
        state: State | None = None
        why: Unreached | None = None
        if not work.number and counts is delivered and _ends_by_counts(result):
            state = State.COMPLETED
        elif not work.number:
            state, why = _state_after(result, counts)
            if state is State.COMPLETED and why is None and _ends_by_counts(result):
                delivered = counts
        ends = state is not None and state is not State.PROCESSING
        count = 0 if why is None else result.passed_over or unreached_count(counts)
        change = Written(
            work,
            row.done,
            result.done,
            is_last,
            None if is_last else result.again,
            counts,
            result.ordinals,
            result.started_at,
            state,
            now if ends else None,
            why if ends else None,
            count,
        )
        written[key] = _together(written[key], change) if key in written else change
        if not is_last:
            stands[key] = OpenRow(row.home, result.done, counts)
        elif not ends:
            homes.add(row.home)
        if state is not None and ends:
            ended[work.notification.hub, state] += 1
            if why is not None:
                unreached.append((work.notification, why, count))
        if result.retries:
            retries += [Retry(work, row.home, page, _due(page, work, now)) for page in result.retries]
        if result.failures:
            failures += [Failure(work, row.home, failed) for failed in result.failures]
        if result.dead_letter is not None:
            letters.append(result.dead_letter)
    return Recording(
        written=list(written.values()),
        retries=retries,
        failures=failures,
        ended=ended,
        unreached=unreached,
        dead_letters=letters,
        late=late,
        homes=homes,
    )


def _together(earlier: Written, later: Written) -> Written:
    """Two pieces of one page that follow each other, as one change."""
    return later._replace(
        was_done=earlier.was_done,
        ordinals=earlier.ordinals if later.ordinals is None else later.ordinals,
        started_at=later.started_at if earlier.started_at is None else earlier.started_at,
    )


def added(counts: Counts, more: Counts) -> dict[Platform, dict[OutcomeName, int]]:
    """The sum of both."""
    total = {platform: dict(by_outcome) for platform, by_outcome in counts.items()}
    for platform, by_outcome in more.items():
        mine = total.setdefault(platform, {})
        for outcome, count in by_outcome.items():
            mine[outcome] = mine.get(outcome, 0) + count
    return total


def _due(page: RetryPage, work: Work, now: float) -> float:
    if page.quiet is not None:
        return page.quiet.until
    return work.due_at if page.delay is None else now + page.delay


def _ends_by_counts(result: PageResult) -> bool:
    """Whether its counts alone say how it ends."""
    return result.is_last and not result.retries and result.state is None and result.unreached is None


def _state_after(result: PageResult, counts: Counts) -> tuple[State, Unreached | None]:
    """Of a notification that is its own page, and why it reached no phone, if it ends so."""
    if not result.is_last or result.retries:
        return State.PROCESSING, None
    if result.state is not None:
        return result.state, result.unreached
    if result.unreached is None and all(by_outcome.keys() == _SUCCESS for by_outcome in counts.values()) and counts:
        return State.COMPLETED, None  # as nearly all do
    if all(by_outcome.keys() <= ENDED_WELL for by_outcome in counts.values()):
        return final_state(counts), result.unreached
    return final_state(counts), result.unreached or why_unreached(counts)


_SUCCESS = {OutcomeName.SUCCESS}
