"""Flows have turns at a store's writer, so that one that has much to write keeps no other waiting."""

import random

import pytest

from hub.store.turns import RESULTS, Turns


def groups_of(turns: Turns[str]) -> list[list[str]]:
    groups = []
    while turns:
        groups.append(turns.group())
    return groups


def test_what_comes_behind_a_flood_is_in_the_next_group() -> None:
    turns = Turns[str]()
    for number in range(20):
        turns.add("flood", f"flood {number}", rows=100)
    turns.add("calls", "call", rows=1)
    assert "call" in turns.group()


def test_what_comes_behind_a_flood_has_a_commit_of_its_own() -> None:
    turns = Turns[str]()
    for number in range(20):
        turns.add("flood", f"flood {number}", rows=100)
    turns.add("calls", "call", rows=1)
    turns.add("mail", "letter", rows=1)
    assert turns.group() == ["call", "letter"]


def test_light_flows_that_never_end_have_every_other_commit() -> None:
    turns = Turns[str]()
    for number in range(20):
        turns.add("flood", f"flood {number}", rows=100)
    alone = []
    for number in range(6):
        turns.add("calls", f"call {number}", rows=1)
        alone.append(not any("flood" in job for job in turns.group()))
    assert alone == [True, False] * 3


def test_a_group_of_light_flows_has_no_more_jobs_and_rows_than_others_and_the_rest_come_first_next_time() -> None:
    turns = Turns[str]()
    turns.add("flood", "flood", rows=5_000)
    for number in range(100):
        turns.add(f"light {number}", f"{number}", rows=16)
    groups = [turns.group() for _ in range(8)]
    assert [job for group in groups for job in group if job != "flood"][:16] == [str(number) for number in range(16)]
    assert max(len(group) for group in groups) == 16
    taken = [int(job) for group in groups for job in group if job != "flood"]
    assert taken[:64] == list(range(64))


def test_few_rows_share_one_commit_whosever_they_are() -> None:
    turns = Turns[str]()
    turns.add("much", "much", rows=60)
    turns.add("calls", "call", rows=1)
    assert turns.group() == ["much", "call"]


def test_results_have_no_commit_of_their_own_for_nobody_waits_for_them() -> None:
    turns = Turns[str]()
    for number in range(3):
        turns.add("flood", f"flood {number}", rows=60)
    turns.add(RESULTS, "result", rows=1)
    assert len(turns.group()) > 1


def test_what_comes_behind_a_single_large_job_goes_before_it_and_does_not_wait_for_its_commit() -> None:
    turns = Turns[str]()
    turns.add("flood", "large", rows=5_000)
    turns.add("calls", "call", rows=1)
    assert groups_of(turns) == [["call"], ["large"]]


def test_a_large_job_has_its_turn_though_small_ones_never_end() -> None:
    turns = Turns[str]()
    turns.add("flood", "large", rows=500)
    for number in range(10_000):
        turns.add("calls", f"call {number}", rows=1)
        if "large" in turns.group():
            break
    assert number < 10


def test_floods_share_by_rows() -> None:
    turns = Turns[str]()
    for number in range(100):
        turns.add("wide", f"wide {number}", rows=50)
        turns.add("narrow", f"narrow {number}", rows=10)
    taken = [turns.group() for _ in range(4)]
    rows = {
        name: sum(name in job for group in taken for job in group) * rows
        for name, rows in (("wide", 50), ("narrow", 10))
    }
    assert 0.7 < rows["wide"] / rows["narrow"] < 1.4


def test_many_small_jobs_of_several_flows_share_a_commit() -> None:
    turns = Turns[str]()
    for number in range(10):
        turns.add(f"flow {number}", f"job {number}", rows=20)
    assert len(turns.group()) == 10


def test_a_job_that_is_the_last_of_its_group_ends_it() -> None:
    turns = Turns[str]()
    turns.add("a", "first", rows=1)
    turns.add("a", "last", rows=1, is_last=True)
    turns.add("a", "behind", rows=1)
    assert groups_of(turns) == [["first", "last"], ["behind"]]


@pytest.mark.parametrize("seed", range(50))
def test_every_job_has_its_turn_once_and_flows_keep_their_order(seed: int) -> None:
    chance = random.Random(seed)
    turns, added, taken = Turns[tuple[str, int]](), dict[str, list[int]](), dict[str, list[int]]()
    for number in range(300):
        flow = chance.choice("abc")
        turns.add(flow, (flow, number), rows=chance.choice((1, 7, 64, 300, 900)), is_last=chance.random() < 0.1)
        added.setdefault(flow, []).append(number)
        for of, job in turns.group() if chance.random() < 0.3 else ():
            taken.setdefault(of, []).append(job)
    while turns:
        group = turns.group()
        assert group
        for of, job in group:
            taken.setdefault(of, []).append(job)
    assert taken == added
