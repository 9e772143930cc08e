"""A wrong topic, key or environment makes every channel look dead; no phone may be forgotten for that."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hub.delivery.guard import MassInvalidationGuard, RemovalBrake
from hub.outcome import OutcomeName, Reaction
from hub.push import PageVerdict, SendResult
from tests.fakes.pushes import results_of
from tests.fakes.senders import DELIVERED, DROPPED, GONE, UNAVAILABLE

WRONG = replace(GONE, outcome=OutcomeName.WRONG_CHANNEL, reason="DeviceTokenNotForTopic", suspect=True)


class Guard:
    """The guard, told of results one by one."""

    def __init__(self) -> None:
        self.guard = MassInvalidationGuard()

    @property
    def reason(self) -> str:
        return self.guard.reason

    def weigh(self, results: Sequence[SendResult]) -> list[SendResult]:
        return results_of(self.guard.weigh(PageVerdict.of(results)))


def gone(results: Sequence[SendResult]) -> int:
    return sum(result.reaction is Reaction.GONE for result in results)


def test_a_page_whose_channels_are_all_called_wrong_is_the_credentials_fault() -> None:
    weighed = Guard().weigh([WRONG] * 1000)
    assert {(result.reaction, result.outcome, result.lane_wide) for result in weighed} == {
        (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS, False)
    }
    assert weighed[0].reason == "DeviceTokenNotForTopic for nearly every phone: is it our topic, key or environment?"


def test_a_few_wrong_channels_are_believed_though_nothing_else_was_said_yet() -> None:
    doubt = Guard()
    assert sum(gone(doubt.weigh([WRONG])) for _ in range(19)) == 19
    assert gone(doubt.weigh([WRONG])) == 0


@pytest.mark.parametrize("taken, believed", [(0, False), (50, False), (99, False), (100, True), (900, True)])
def test_it_takes_nearly_all_channels_to_be_called_wrong(taken: int, believed: bool) -> None:
    results = [*[WRONG] * (1000 - taken), *[DELIVERED] * taken]
    assert gone(Guard().weigh(results)) == (1000 - taken) * believed


def test_channels_that_the_service_knows_to_have_died_are_never_doubted() -> None:
    results = [GONE] * 1000
    assert Guard().weigh(results) == results


@pytest.mark.parametrize("other", [DROPPED, UNAVAILABLE])
def test_what_was_not_taken_is_no_sign_that_the_credential_is_right(other: SendResult) -> None:
    weighed = Guard().weigh([*[other] * 500, *[WRONG] * 100])
    assert gone(weighed) == 0
    assert list(weighed[:500]) == [other] * 500


def test_a_service_that_took_everything_until_now_is_doubted_when_a_whole_page_is_wrong() -> None:
    doubt = Guard()
    for _ in range(100):
        assert doubt.weigh([DELIVERED] * 64) == [DELIVERED] * 64
    assert gone(doubt.weigh([WRONG] * 1000)) == 0


def test_once_pushes_are_taken_wrong_channels_are_believed_again() -> None:
    doubt = Guard()
    assert doubt.reason == ""
    (*_, last) = doubt.weigh([WRONG] * 1000)
    assert doubt.reason == last.reason
    doubt.weigh([GONE])
    assert doubt.reason == last.reason
    doubt.weigh([DELIVERED] * 20)
    assert doubt.reason == ""
    assert gone(doubt.weigh([WRONG])) == 1


class TestBrake:
    """No registry is emptied, whoever is wrong."""

    @pytest.mark.parametrize(
        ("count", "share", "is_on"), [(1000, 1.0, False), (1001, 1.0, True), (2000, 0.2, False), (2000, 0.21, True)]
    )
    def test_more_than_a_fifth_of_over_a_thousand_pushes(self, count: int, share: float, is_on: bool) -> None:
        brake = RemovalBrake()
        dead = round(count * share)
        weighed = results_of(brake.weigh(PageVerdict.of([*[GONE] * dead, *[DELIVERED] * (count - dead)])))
        assert brake.is_on is is_on
        assert gone(weighed) == dead * (not is_on)
        assert [result.outcome for result in weighed[:dead]] == [GONE.outcome] * dead

    def test_what_the_service_did_not_decide_counts_for_nothing(self) -> None:
        brake = RemovalBrake()
        brake.weigh(PageVerdict.of([*[UNAVAILABLE] * 5000, *[DROPPED] * 5000, *[GONE] * 1000]))
        assert not brake.is_on

    def test_it_lets_go_when_the_share_has_fallen(self) -> None:
        brake = RemovalBrake()
        brake.weigh(PageVerdict.of([GONE] * 100_000))
        assert brake.is_on
        for _ in range(20):
            brake.weigh(PageVerdict.of([DELIVERED] * 1000))
        assert not brake.is_on
        assert gone(results_of(brake.weigh(PageVerdict.of([GONE])))) == 1

    def test_channels_that_end_as_a_matter_of_routine_bring_it_on_no_more_than_they_are_kept_by_it(self) -> None:
        """A match that is over ends the Live Activities of all who looked on."""
        brake, ended = RemovalBrake(), replace(GONE, routine=True)
        said = results_of(brake.weigh(PageVerdict.of([ended] * 5000)))
        assert not brake.is_on
        assert gone(said) == 5000
        brake.weigh(PageVerdict.of([GONE] * 2000))
        assert brake.is_on
        said = results_of(brake.weigh(PageVerdict.of([ended, GONE])))
        assert [result.reaction for result in said] == [Reaction.GONE, Reaction.DROP]
