"""A batch of single pushes ends as it would if each took the way of all others, whatever the service says of which."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.content.rendering import Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pushing import BatchPlan, PushDelivery
from hub.delivery.retry import RetryPolicy
from hub.delivery.singles import SinglePushes
from hub.facts import AudienceFound, AudiencesFound, HubFact, PageAnswered, PushesDelivered, PushesEnded
from hub.outcome import OutcomeName, Reaction
from hub.push import DELIVERED, SendResult
from hub.store.contracts.outbox import Audience, PageResult, Work
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.fakes.pushes import Push
from tests.fakes.senders import DROPPED, GONE, UNAVAILABLE, WRONG_KEY, FakeSender
from tests.hub.examples import HUB, notification
from tests.hub.test_rendering import Templates
from tests.hub.test_singles import APNS, NATIVE, target

ANSWERS = (
    DELIVERED,
    UNAVAILABLE,
    GONE,
    replace(GONE, gone_since=datetime(2001, 9, 9, tzinfo=UTC)),
    DROPPED,
    WRONG_KEY,
    replace(WRONG_KEY, lane_wide=False),
    SendResult(reaction=Reaction.THROTTLED, outcome=OutcomeName.THROTTLED, reason="slow", retry_after=9.0),
    replace(DELIVERED, new_push_channel="another"),
)
Pairs = list[tuple[Work, Audience]]


class Way:
    """A process that pushes, and all that is heard of it."""

    def __init__(self, answers: dict[str, SendResult], *, may_start: bool, raises: bool) -> None:
        self.facts: list[HubFact] = []
        self.results: list[PageResult] = []
        self.renamed: list[Any] = []
        self.clock = clock = FakeClock()

        def answer(push: Push) -> SendResult:
            if raises:
                raise RuntimeError("a defect")
            return answers[push.id]

        self.bulkhead = Bulkhead(FakeSender(APNS, answer), single=100, clock=clock)
        self.delivery = PushDelivery(
            {(HUB, APNS): self.bulkhead},
            Rendering(Templates()),
            without_credential=frozenset(),
            policy=RetryPolicy(base=0.0),
            observer=self,
            clock=clock,
            store_clock=clock,
            may_start=lambda: may_start,
            done=self.results.extend,
            renamed=lambda hub, channel: self.renamed.append((hub, channel)),
        )

    def observe(self, fact: HubFact) -> None:
        self.facts.append(fact)

    async def push(self, pairs: Pairs) -> BatchPlan:
        plan = self.delivery.plan(pairs)
        self.clock.advance(2.0)
        for send in plan.sends:
            await self.delivery.send(send)
        return plan

    @property
    def told(self) -> Counter[str]:
        return Counter(map(repr, _one_by_one(self.facts)))

    @property
    def ends(self) -> dict[str, str]:
        return {
            result.work.notification.id: repr(
                replace(result, failures=list(result.failures), retries=list(result.retries))
            )
            for result in self.results
        }


def _one_by_one(facts: Iterable[HubFact]) -> Iterable[HubFact | tuple[object, ...]]:
    """Facts of a page as those of each notification."""
    for fact in facts:
        match fact:
            case AudiencesFound():
                for given, counts in fact.found:
                    yield AudienceFound(notification=given, counts=counts)
            case PushesDelivered():
                for given, seconds in fact.pushes:
                    outcomes = {OutcomeName.SUCCESS: 1}
                    yield PushesEnded(
                        notification=given, platform=fact.platform, outcomes=outcomes, seconds=seconds, reason=""
                    )
            case PageAnswered():
                yield (fact.hub, fact.platform, sorted(map(repr, fact.outcomes.items())), fact.timed_out, fact.together)
            case _:
                yield fact


@pytest.mark.parametrize("seed", range(30))
async def test_all_that_is_said_and_kept_is_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    now = FakeClock()()
    pairs: Pairs = []
    answers: dict[str, SendResult] = {}
    usual = chance.choice((*ANSWERS, *[DELIVERED] * len(ANSWERS)))
    rare = chance.choice((0.0, 0.02, 0.3))
    for number in range(chance.choice((1, 3, 64, 70, 130))):
        key = chance.choice(("", "one of two", "another"))
        given = notification("news", content=NATIVE, collapse_key=key or None)
        phone = target(chance.randrange(1, 40))
        work = Work(queue=1, n=number + 1, lane=Lane.SINGLE, notification=given, accepted_at=now - chance.random())
        pairs.append((work, Audience(targets=[phone])))
        prefix = given.id
        id_ = f"{prefix[:8]}-{prefix[8:12]}-{prefix[12:16]}-{prefix[16:20]}-{phone.ordinal:012x}"
        answers[id_] = chance.choice(ANSWERS) if chance.random() < rare else usual
    said = {"may_start": chance.random() < 0.9, "raises": chance.random() < 0.1}
    columns, others = Way(answers, **said), Way(answers, **said)
    plan = await columns.push(pairs)
    assert any(send.singles for send in plan.sends)
    monkeypatch.setattr(SinglePushes, "plan", lambda self, batch, **times: ([], batch))
    other_plan = await others.push(pairs)
    assert not any(send.singles for send in other_plan.sends)
    assert columns.ends == others.ends
    assert len(columns.results) + sum(map(len, plan.not_attempted.values())) == len(pairs)
    assert (columns.told, columns.renamed) == (others.told, others.renamed)
    assert repr(plan.not_attempted) == repr(other_plan.not_attempted)
    for way in (columns, others):
        assert (way.bulkhead.in_flight, way.bulkhead._room, way.bulkhead._reserved) == (
            0,
            {Lane.SINGLE: 100, Lane.BROADCAST: way.bulkhead._room[Lane.BROADCAST]},
            dict.fromkeys(Lane, 0),
        )
