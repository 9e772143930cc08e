"""Each fact is one call, and each is taken by somebody."""

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from bridge.observe.fact_log import FactLog
from bridge.observe.facts import Fact, InFlightEvent, MessagesGivenUp
from bridge.observe.metrics import Metrics
from bridge.observe.recent import RecentEvents
from bridge.observe.silence_log import SilenceLog
from bridge.observe.telemetry import Taker, Telemetry
from connectors.base import Message
from hub.acceptance import MAX_INDEXED
from hub.facts import ResultsLate, StoreRecovered
from hub.work import Lane

FACTS = get_args(Fact)
TAKERS: list[Taker] = [Metrics(version="1", sources=[], rules=[], hubs=[]), RecentEvents(), FactLog(), SilenceLog()]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_every_fact_is_taken_by_somebody(fact: type[Any]) -> None:
    assert any(fact in taker.takes for taker in TAKERS)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_a_fact_is_frozen_and_small(fact: type[Any]) -> None:
    assert fact.__dataclass_params__.frozen or fact.__dataclass_params__.unsafe_hash  # by `hub.frozen`: for types alone
    assert "__slots__" in vars(fact)


@pytest.mark.parametrize("taker", TAKERS, ids=lambda taker: type(taker).__name__)
def test_a_taker_takes_each_fact_by_the_method_that_is_for_it(taker: Taker) -> None:
    def kinds(take: Callable[[Any], None]) -> tuple[object, ...]:
        hint = get_type_hints(take)["fact"]
        return get_args(hint) or (hint,)

    assert [fact for fact, take in taker.takes.items() if fact not in kinds(take)] == []
    assert set(taker.takes) <= set(FACTS)


def test_no_fact_is_taken_by_two_parts_of_the_metrics() -> None:
    metrics = Metrics(version="1", sources=[], rules=[], hubs=[])
    parts = (
        metrics.intake,
        metrics.sources,
        metrics.queue,
        metrics.store,
        metrics.delivery,
        metrics.quiet,
        metrics.mirrors,
        metrics.phones,
        metrics.sinks,
        metrics.traces,
        metrics.follow_ups,
        metrics.silences,
        metrics.process,
    )
    assert len(metrics.takes) == sum(len(part.takes) for part in parts)


class Noting:
    def __init__(self, name: str, said: list[str], *kinds: type[Any]) -> None:
        self.takes = {kind: lambda fact: said.append(f"{name} {type(fact).__name__}") for kind in kinds}


def test_takers_hear_in_their_order_of_the_facts_they_know_and_of_no_other() -> None:
    said: list[str] = []
    telemetry = Telemetry(Noting("first", said, ResultsLate, StoreRecovered), Noting("second", said, ResultsLate))
    telemetry.observe(ResultsLate(lane=Lane.SINGLE, count=1))
    telemetry.observe(MessagesGivenUp(events=[]))
    telemetry.observe(StoreRecovered(seconds=1.0))
    assert said == ["first ResultsLate", "second ResultsLate", "first StoreRecovered"]


@pytest.mark.parametrize("id", ["x" * 5000, "\N{GRINNING FACE}" * 1024, "a" + "\N{GRINNING FACE}" * 1024])
def test_what_names_a_message_that_never_became_an_event_fits_where_an_id_does(id: str) -> None:
    cut = InFlightEvent(Message(source="hr", body=b"", id=id)).event_id
    assert id.startswith(cut)
    assert MAX_INDEXED // 2 <= len(cut.encode()) <= MAX_INDEXED
