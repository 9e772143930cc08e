"""`step(state, intent, now)` of flow control, as tables: no database."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.flow import Dedupe, Digest, SuppressionCause, Throttle
from hub.notification import Notification
from hub.store.decide.flow import Digested, Dropped, Fired, FlowFold, dedupe_step, digest_in, throttle_step

KEY = b"k" * 16
TIME = datetime(2026, 3, 2, tzinfo=UTC)


def no_digest(digest: Digest) -> Sequence[Notification]:
    raise AssertionError(digest)


def throttle(most: int = 1, seconds: float = 60.0, *, digest: bool = False) -> Throttle:
    return Throttle(key=KEY, most=most, seconds=seconds, time=TIME, digest=no_digest if digest else None)


def dedupes(times: Sequence[float], seconds: float = 60.0) -> list[str]:
    state, said = None, []
    for now in times:
        match dedupe_step(state, Dedupe(key=KEY, seconds=seconds), now):
            case Fired(after):
                state = after.state
                said.append("fires")
            case Dropped(cause):
                said.append(cause.value)
    return said


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0], ["fires"]),
        ([0, 0], ["fires", "dedupe"]),
        ([0, 59.9], ["fires", "dedupe"]),
        ([0, 60], ["fires", "fires"]),
        ([0, 30, 60], ["fires", "dedupe", "fires"]),
        ([0, 60, 90], ["fires", "fires", "dedupe"]),
    ],
)
def test_a_key_fires_once_in_its_time(times: Sequence[float], said: list[str]) -> None:
    assert dedupes(times) == said


def test_a_shorter_time_holds_at_once_and_a_state_outlasts_its_time_by_a_little() -> None:
    first = dedupe_step(None, Dedupe(key=KEY, seconds=3600), 0.0)
    assert isinstance(first, Fired)
    assert 3600 < first.after.due < 3700
    assert isinstance(dedupe_step(first.after.state, Dedupe(key=KEY, seconds=10), 11.0), Fired)


def throttles(times: Sequence[float], intent: Throttle) -> list[str]:
    state, said = None, []
    for now in times:
        match throttle_step(state, intent, now, wall=now):
            case Fired(after):
                state = after.state
                said.append("fires")
            case Dropped(cause):
                said.append(cause.value)
            case Digested(after, digest):
                state = after.state
                said.append(f"{digest.count} at {digest.at.timestamp():g}")
    return said


@pytest.mark.parametrize(
    ("times", "intent", "said"),
    [
        ([0, 0, 59], throttle(), ["fires", "throttle", "throttle"]),
        ([0, 1, 2], throttle(2), ["fires", "fires", "throttle"]),
        ([0, 30, 60, 61], throttle(), ["fires", "throttle", "fires", "throttle"]),
        ([5, 64, 65], throttle(), ["fires", "throttle", "fires"]),
        ([0, 1, 2], throttle(digest=True), ["fires", "1 at 60", "2 at 60"]),
        ([0, 1, 60, 61], throttle(digest=True), ["fires", "1 at 60", "fires", "1 at 120"]),
        ([0, 200, 201], throttle(digest=True), ["fires", "fires", "1 at 260"]),
    ],
)
def test_a_window_begins_with_its_first_event_and_its_end_is_fixed(
    times: Sequence[float], intent: Throttle, said: list[str]
) -> None:
    assert throttles(times, intent) == said


def test_a_digest_that_has_gone_is_followed_by_another_in_the_same_window() -> None:
    intent = throttle(digest=True)
    state = throttle_step(None, intent, 0.0, wall=0.0)
    assert isinstance(state, Fired)
    first = throttle_step(state.after.state, intent, 1.0, wall=1.0)
    assert isinstance(first, Digested)
    gone = throttle_step(first.after.state, intent, 2.0, wall=2.0, waiting=False)
    assert isinstance(gone, Digested)
    assert (gone.digest.count, gone.digest.at) == (1, first.digest.at)
    assert gone.digest.id != first.digest.id == digest_in(first.after.state)


def test_a_rule_that_throttle_drops_has_not_fired_for_dedupe() -> None:
    fold = FlowFold({}, 0.0, 0.0)
    other = Dedupe(key=b"other" * 3 + b"1", seconds=60)
    assert fold.take("r", Dedupe(key=b"d" * 16, seconds=60), throttle()) is None
    dropped = fold.take("r", other, throttle())
    assert dropped is not None
    assert other.key not in fold.changed


TIMES = st.lists(st.floats(min_value=0, max_value=500), max_size=40).map(sorted)


@given(TIMES, st.integers(1, 4), st.floats(min_value=1, max_value=100))
def test_in_no_window_do_more_fire_than_may_and_none_is_lost(times: Sequence[float], most: int, seconds: float) -> None:
    said = throttles(times, throttle(most, seconds, digest=True))
    fired = [now for now, word in zip(times, said, strict=True) if word == "fires"]
    starts = fired[::1]
    for begin in starts:
        assert len([now for now in fired if begin <= now < begin + seconds]) <= 2 * most
    windows = Counter(word.rpartition(" ")[2] for word in said if word != "fires")
    last = {word.rpartition(" ")[2]: int(word.split()[0]) for word in said if word != "fires"}
    assert last == dict(windows), "the last state of each digest counts all of its events"
    assert SuppressionCause.THROTTLE.value not in said
