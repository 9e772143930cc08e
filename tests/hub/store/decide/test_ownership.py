"""Which queues are claimed and given back, by a clock that only tests move."""

from collections.abc import Sequence

import pytest

from hub.store.decide.ownership import BeatWatch, OwnershipTiming, QueueRow, decide_ownership

TIMING = OwnershipTiming()


def rows(*owners: str, fence: int = 3) -> list[QueueRow]:
    return [QueueRow(queue, owner, fence) for queue, owner in enumerate(owners)]


@pytest.mark.parametrize(
    ("owners", "live", "dead", "share", "claimed", "excess"),
    [
        ("--------", "", "", 8, 8, 0),
        ("--------", "b", "", 4, 4, 0),
        ("aa------", "b", "", 4, 2, 0),
        ("aaaabbbb", "b", "", 4, 0, 0),
        ("aaaabbbb", "", "b", 8, 4, 0),
        ("aaaabbb-", "b", "", 4, 0, 0),
        ("aaaaaaaa", "b", "", 4, 0, 2),
        ("aaaaaaaa", "bcdefgh", "", 1, 0, 3),
        ("aaabbbcc", "bc", "", 3, 0, 0),
        ("aaabbbcc", "b", "c", 4, 1, 0),
        ("ccccccc-", "c", "", 4, 1, 0),
    ],
)
def test_each_process_owns_a_share_and_no_queue_of_a_live_one(
    owners: str, live: str, dead: str, share: int, claimed: int, excess: int
) -> None:
    found = rows(*("" if owner == "-" else owner for owner in owners))
    mine = {row.queue: row.fence for row in found if row.owner == "a"}
    plan = decide_ownership("a", mine, found, set(live), set(dead))
    assert (plan.share, len(plan.claim), plan.excess, list(plan.lost)) == (share, claimed, excess, [])
    assert all(row.owner in ("", *dead) for row in plan.claim)


def test_a_large_excess_goes_in_parts() -> None:
    found = rows(*["a"] * 64)
    plan = decide_ownership("a", dict.fromkeys(range(64), 3), found, {"b", "c", "d"}, set())
    assert (plan.share, plan.excess) == (16, 24)


def test_a_queue_with_another_owner_or_fence_is_lost() -> None:
    found = [QueueRow(0, "b", 4), QueueRow(1, "a", 4), QueueRow(2, "a", 3), QueueRow(3, "", 3)]
    plan = decide_ownership("a", dict.fromkeys(range(4), 3), found, {"b"}, set())
    assert list(plan.lost) == [0, 1, 3]


def test_two_that_claim_begin_apart() -> None:
    found = rows(*[""] * 64)
    first, second = (decide_ownership(me, {}, found, {"x"}, set()).claim[:16] for me in ("host-a 1", "host-b 2"))
    assert not {row.queue for row in first} & {row.queue for row in second}


def dead_after(reads: Sequence[tuple[float, float | None]]) -> list[bool]:
    """Whether a process counts as dead after each read of its beat, at a time each; None: the read failed."""
    watch = BeatWatch(TIMING)
    found = []
    for now, beat in reads:
        if beat is None:
            watch.fail()
        else:
            watch.read({"b": beat}, now)
        found.append(watch.is_dead("b", now))
    return found


@pytest.mark.parametrize(
    ("reads", "dead"),
    [
        ([(now, 5.0) for now in range(8)], [*[False] * 7, True]),
        ([(now, 5.0 + now) for now in range(20)], [False] * 20),
        ([*[(now, 5.0) for now in range(7)], (7, 6.0), *[(now, 6.0) for now in range(8, 14)]], [False] * 14),
        # The database was away: the beats of all stood still, whoever lives.
        ([*[(now, 5.0) for now in range(7)], (7, None), *[(now, 5.0) for now in range(8, 15)]], [False] * 15),
        # The reader itself stood still.
        ([(0, 5.0), (1, 5.0), (60, 5.0), (61, 5.0)], [False] * 4),
        # A beat that goes back has changed too: a failover to a standby that was behind.
        ([*[(now, 5.0) for now in range(7)], (7, 3.0)], [False] * 8),
    ],
)
def test_a_process_is_dead_when_its_beat_stood_still_in_unbroken_reads(
    reads: Sequence[tuple[float, float | None]], dead: Sequence[bool]
) -> None:
    assert dead_after(reads) == list(dead)


def test_beats_are_read_each_second_and_when_a_silent_process_is_dead() -> None:
    watch = BeatWatch(TIMING)
    watch.read({"b": 5.0}, 0.0)
    waits = []
    for now in (0.0, 1.3, 2.6, 3.9, 5.2, 6.5):
        watch.read({"b": 5.0}, now)
        waits.append(watch.next_read(now))
    assert waits == [*[TIMING.every] * 5, pytest.approx(0.5)]
    watch.read({"b": 5.0}, 7.0)
    assert watch.is_dead("b", 7.0)
    assert watch.next_read(7.0) == TIMING.every


def test_an_owner_stops_before_others_take_it_for_dead() -> None:
    assert TIMING.unrenewed + TIMING.every < TIMING.dead_after
