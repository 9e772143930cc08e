"""A page of pushes is columns; its verdict is a count and what was not plain."""

from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pending import PendingPage
from hub.delivery.send_batch import SendBatch
from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import DELIVERED, PageVerdict, PushGroup, PushPage, SendResult
from hub.store.contracts.outbox import Work
from hub.target import Target
from tests.fakes.pushes import Push, page_of, pushes_of, results_of
from tests.fakes.senders import DROPPED, GONE, FakeSender
from tests.hub.examples import notification

GROUPS = [PushGroup(payload=b"a"), PushGroup(payload=b"b", headers={"apns-topic": "t"}), PushGroup(payload=b"c")]


def page(*sizes: int) -> PushPage:
    """Groups of so many pushes."""
    made = PushPage()
    for group, size in zip(GROUPS, sizes, strict=False):
        numbers = [len(made) + number for number in range(size)]
        made.add(group, [f"channel {number}" for number in numbers], [f"id {number}" for number in numbers])
    return made


def test_runs_say_where_the_pushes_of_each_group_are() -> None:
    assert list(page(2, 0, 3).runs()) == [(GROUPS[0], range(2)), (GROUPS[1], range(2, 2)), (GROUPS[2], range(2, 5))]


@given(st.lists(st.integers(0, 4), max_size=3), st.sets(st.integers(0, 11)))
def test_a_selection_has_the_pushes_at_its_positions_and_their_groups(sizes: list[int], wanted: set[int]) -> None:
    whole = page(*sizes)
    positions = sorted(position for position in wanted if position < len(whole))
    pushes = pushes_of(whole)
    assert pushes_of(whole.select(positions)) == [pushes[position] for position in positions]


def test_pages_put_together_keep_their_groups() -> None:
    together = page(1, 2)
    together.extend(page(0, 1))
    assert [push.payload for push in pushes_of(together)] == [b"a", b"b", b"b", b"b"]


def test_a_verdict_counts_what_went_well_and_keeps_what_has_more_to_say() -> None:
    moved = SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, new_push_channel="new")
    results = [DELIVERED, GONE, moved, DELIVERED]
    verdict = PageVerdict.of(results)
    assert (verdict.delivered, dict(verdict.exceptions)) == (2, {1: GONE, 2: moved})
    assert len(verdict) == 4
    assert results_of(verdict) == results


def pending(count: int, first: int) -> tuple[PendingPage, list[Target]]:
    work = Work(queue=0, n=first, notification=notification(), accepted_at=0.0)
    targets = [Target(first + number, Platform.FCM, f"c{number}", None, None, 0.0) for number in range(count)]
    return PendingPage(work, 0.0, 1.0, 1.0), targets


@given(st.lists(st.lists(st.sampled_from([DELIVERED, GONE, DROPPED]), max_size=5), max_size=4))
def test_each_owner_of_a_page_gets_its_share_of_the_verdict(results: list[list[SendResult]]) -> None:
    owners = [pending(len(mine), 10 * number) for number, mine in enumerate(results)]
    pushes = [Push(id="i", push_channel="c", payload=b"") for mine in results for _ in mine]
    bulkhead = Bulkhead(FakeSender(Platform.FCM))
    batch = SendBatch(bulkhead, "app", Platform.FCM, page=page_of(pushes), owners=list(owners))
    shares = batch.results(PageVerdict.of([result for mine in results for result in mine]))
    for (owner, targets), mine, (found, delivered, others) in zip(owners, results, shares, strict=True):
        assert found is owner
        assert delivered == mine.count(DELIVERED)
        expected = [(target, each) for target, each in zip(targets, mine, strict=True) if each is not DELIVERED]
        assert others == expected
