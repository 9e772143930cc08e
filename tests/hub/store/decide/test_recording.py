"""What results make of their rows, as tables: no database."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.store.contracts.outbox import Failed, PageResult, RetryPage, Work
from hub.store.decide.recording import Counts, OpenRow, Recording, added, decide_recording
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.accepting import dead_letter

NOW = 1000.0
FCM = Platform.FCM
SUCCESS, GONE, ABANDONED, SKIPPED = (
    OutcomeName.SUCCESS,
    OutcomeName.EXPIRED_CHANNEL,
    OutcomeName.ABANDONED,
    OutcomeName.SKIPPED,
)
OWN = Work(queue=0, n=1, notification=notification(), accepted_at=0)
PAGE = Work(queue=0, n=7, number=7, notification=notification(), accepted_at=0, service=(HUB, FCM))
HOME = (3, 5)
RETRY = RetryPage(platform=FCM, ordinals=BitMap([1]), delay=30, attempt=1)


def result(work: Work, counts: Mapping[OutcomeName, int] | None = None, **changes: object) -> PageResult:
    return replace(PageResult(work=work, counts={FCM: counts} if counts else {}), **changes)  # type: ignore[arg-type]


def decide(*results: PageResult, done: int = 0, counts: Counts | None = None) -> Recording:
    rows = {(0, 1): OpenRow((0, 1), done, counts or {}), (0, 7): OpenRow(HOME, done, counts or {})}
    return decide_recording(results, rows, now=NOW)


@pytest.mark.parametrize(
    ("given", "state", "why"),
    [
        (result(OWN, {SUCCESS: 2}), State.COMPLETED, None),
        (result(OWN), State.NO_TARGET_FOUND, None),
        (result(OWN, unreached=Unreached.NO_TAG), State.NO_TARGET_FOUND, Unreached.NO_TAG),
        (result(OWN, {ABANDONED: 1}), State.ABANDONED, Unreached.EXPIRED),
        (result(OWN, {GONE: 1}), State.COMPLETED, Unreached.GONE),
        (result(OWN, {GONE: 1, SUCCESS: 1}), State.COMPLETED, None),
        (result(OWN, {SKIPPED: 1}), State.COMPLETED, None),
        (result(OWN, state=State.ABANDONED), State.ABANDONED, None),
        (result(OWN, {SUCCESS: 1}, retries=[RETRY]), State.PROCESSING, None),
        (result(OWN, {SUCCESS: 1}, is_last=False, done=1), State.PROCESSING, None),
        (result(PAGE, {GONE: 1}), None, None),
    ],
)
def test_a_notification_that_is_its_own_page_ends_with_its_last_piece(
    given: PageResult, state: State | None, why: Unreached | None
) -> None:
    recording = decide(given)
    (change,) = recording.written
    ends = state not in (None, State.PROCESSING)
    assert (change.state, change.ended_at) == (state, NOW if ends else None)
    assert recording.ended == ({(HUB, state): 1} if ends else {})
    assert [why for _, why, _ in recording.unreached] == ([why] if why else [])
    assert recording.homes == (set() if ends or not given.is_last else {HOME if given.work is PAGE else (0, 1)})


@pytest.mark.parametrize(
    ("pieces", "done", "late", "becomes"),
    [
        ([(0, 3)], 0, 0, (0, 3)),
        ([(0, 3)], 3, 1, None),
        ([(3, 5)], 0, 1, None),
        ([(0, 3), (3, 5)], 0, 0, (0, 5)),
        ([(0, 3), (0, 3)], 0, 1, (0, 3)),
        ([(0, 3), (4, 5)], 0, 1, (0, 3)),
        ([(2, 3), (3, 4)], 2, 0, (2, 4)),
    ],
)
def test_pieces_follow_each_other(
    pieces: Sequence[tuple[int, int]], done: int, late: int, becomes: tuple[int, int] | None
) -> None:
    given = [
        result(PAGE, {SUCCESS: after - before}, done_before=before, done=after, is_last=False, again=BitMap([after]))
        for before, after in pieces
    ]
    recording = decide(*given, done=done, counts={FCM: {SUCCESS: done}} if done else None)
    assert recording.late == late
    if becomes is None:
        assert recording.written == []
        return
    (change,) = recording.written
    assert (change.was_done, change.done, change.again) == (*becomes, BitMap([becomes[1]]))
    assert change.counts == {FCM: {SUCCESS: becomes[1]}}


def test_the_last_piece_ends_the_page_and_what_comes_after_is_late() -> None:
    first = result(OWN, {SUCCESS: 3}, done=3, is_last=False, again=BitMap([1]), ordinals=BitMap([1, 2]), started_at=9.0)
    last = result(OWN, {GONE: 1}, done_before=3, done=4)
    recording = decide(first, last, last)
    (change,) = recording.written
    assert (change.is_last, change.again, change.ordinals, change.started_at) == (True, None, BitMap([1, 2]), 9.0)
    assert change.counts == {FCM: {SUCCESS: 3, GONE: 1}}
    assert recording.late == 1


def test_what_goes_with_a_result_is_written_with_it_and_dropped_when_it_is_late() -> None:
    failed = Failed(ordinal=1, outcome=GONE, reason="x", gone=True)
    given = result(PAGE, {GONE: 1}, retries=[RETRY], failures=[failed], dead_letter=dead_letter())
    recording = decide(given, given)
    assert recording.late == 1
    assert [(retry.home, retry.page, retry.due) for retry in recording.retries] == [(HOME, RETRY, NOW + 30)]
    assert [(failure.home, failure.failed) for failure in recording.failures] == [(HOME, failed)]
    assert len(recording.dead_letters) == 1


def test_a_row_that_is_not_open_or_not_ours_makes_its_result_late() -> None:
    recording = decide_recording([result(OWN, {SUCCESS: 1})], {}, now=NOW)
    assert (recording.late, recording.written, recording.ended) == (1, [], {})


def test_counts_are_added_and_neither_is_changed() -> None:
    one, other = {FCM: {SUCCESS: 1}}, {FCM: {SUCCESS: 2, GONE: 1}, Platform.APNS: {SUCCESS: 1}}
    assert added(one, other) == {FCM: {SUCCESS: 3, GONE: 1}, Platform.APNS: {SUCCESS: 1}}
    assert one == {FCM: {SUCCESS: 1}}
