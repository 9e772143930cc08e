"""What became of pieces of pages: counts, ends, retries, dead push channels; late results change nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from pyroaring import BitMap

from hub.acceptance import DeadLetter
from hub.notification import Notification, Platform
from hub.outcome import ENDED_WELL, OutcomeName, State, Unreached, final_state, why_unreached
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
    `ordinals` and `started_at` None leave what the row has.
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
    unreached: Sequence[tuple[Notification, Unreached]]
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
    unreached: list[tuple[Notification, Unreached]] = []
    letters: list[DeadLetter] = []
    homes: set[Key] = set()
    late = 0
    for result in results:
        work = result.work
        key = (work.queue, work.n)
        row = stands.pop(key, None)
        if row is None or row.done != result.done_before:
            late += 1
            if row is not None:
                stands[key] = row
            continue
        change = _change(result, row, written.get(key), now)
        written[key] = change
        if not result.is_last:
            stands[key] = OpenRow(row.home, result.done, change.counts)
        if result.retries:
            retries += [Retry(work, row.home, page, now + page.delay) for page in result.retries]
        if result.failures:
            failures += [Failure(work, row.home, failed) for failed in result.failures]
        if result.dead_letter is not None:
            letters.append(result.dead_letter)
        if result.is_last and change.ended_at is None:
            homes.add(row.home)
        if change.ended_at is not None and change.state is not None:
            ended[work.notification.hub, change.state] += 1
            why = result.unreached or (None if result.state else _why_unreached(change.counts))
            if why is not None:
                unreached.append((work.notification, why))
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


def _change(result: PageResult, row: OpenRow, earlier: Written | None, now: float) -> Written:
    """What the result makes of its row, together with an earlier piece of the same batch."""
    counts = added(row.counts, result.counts) if row.counts else result.counts
    state = _state_after(result, counts)
    ends = state is not None and state is not State.PROCESSING
    return Written(
        work=result.work,
        was_done=row.done if earlier is None else earlier.was_done,
        done=result.done,
        is_last=result.is_last,
        again=None if result.is_last else result.again,
        counts=counts,
        ordinals=result.ordinals if earlier is None or result.ordinals is not None else earlier.ordinals,
        started_at=result.started_at if earlier is None or earlier.started_at is None else earlier.started_at,
        state=state,
        ended_at=now if ends else None,
    )


def added(counts: Counts, more: Counts) -> dict[Platform, dict[OutcomeName, int]]:
    """The sum of both."""
    total = {platform: dict(by_outcome) for platform, by_outcome in counts.items()}
    for platform, by_outcome in more.items():
        mine = total.setdefault(platform, {})
        for outcome, count in by_outcome.items():
            mine[outcome] = mine.get(outcome, 0) + count
    return total


def _state_after(result: PageResult, counts: Counts) -> State | None:
    """Of the notification, where the work is its own page; a page says nothing of its notification."""
    if result.work.number:
        return None
    if not result.is_last or result.retries:
        return State.PROCESSING
    return result.state or final_state(counts)


def _why_unreached(counts: Counts) -> Unreached | None:
    """Of a notification that is its own page, whose empty audience has said why already."""
    if any(not by_outcome.keys() <= ENDED_WELL for by_outcome in counts.values()):
        return why_unreached(counts)
    return None
