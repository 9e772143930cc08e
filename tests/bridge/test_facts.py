"""Each fact is one call, and each is taken by somebody."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args, get_type_hints

import pytest

from bridge.observe.fact_log import FactLog
from bridge.observe.facts import Fact, MessagesGivenUp
from bridge.observe.metrics import Metrics
from bridge.observe.recent import RecentEvents
from bridge.observe.telemetry import Taker, Telemetry
from hub.facts import LeasesLost, StoreRecovered
from hub.work import Lane

FACTS = get_args(Fact)
TAKERS: list[Taker] = [Metrics(version="1", sources=[], rules=[], hubs=[]), RecentEvents(), FactLog()]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_every_fact_is_taken_by_somebody(fact: type[Any]) -> None:
    assert any(fact in taker.takes for taker in TAKERS)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_a_fact_cannot_be_changed(fact: type[Any]) -> None:
    assert not hasattr(fact, "__dict__") or "__slots__" in vars(fact)
    one = object.__new__(fact)
    with pytest.raises(FrozenInstanceError):
        setattr(one, fields(fact)[0].name, None)


@pytest.mark.parametrize("taker", TAKERS, ids=lambda taker: type(taker).__name__)
def test_a_taker_takes_each_fact_by_the_method_that_is_for_it(taker: Taker) -> None:
    def parameter(take: Callable[[Any], None]) -> object:
        return get_type_hints(take)["fact"]

    assert {fact: parameter(take) for fact, take in taker.takes.items()} == {fact: fact for fact in taker.takes}
    assert set(taker.takes) <= set(FACTS)


class Noting:
    def __init__(self, name: str, said: list[str], *kinds: type[Any]) -> None:
        self.takes = {kind: lambda fact: said.append(f"{name} {type(fact).__name__}") for kind in kinds}


def test_takers_hear_in_their_order_of_the_facts_they_know_and_of_no_other() -> None:
    said: list[str] = []
    telemetry = Telemetry(Noting("first", said, LeasesLost, StoreRecovered), Noting("second", said, LeasesLost))
    telemetry.observe(LeasesLost(lane=Lane.SINGLE, count=1))
    telemetry.observe(MessagesGivenUp(events=[]))
    telemetry.observe(StoreRecovered(seconds=1.0))
    assert said == ["first LeasesLost", "second LeasesLost", "first StoreRecovered"]
