"""Notifications for one phone each go by columns: what becomes of each is what its own page would have come to."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyroaring import BitMap

from hub.content.rendering import Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.send_batch import SendBatch
from hub.delivery.singles import CHUNK, SinglePushes
from hub.facts import AudiencesFound, HubFact, PushesDelivered
from hub.notification import HeldText, NativeContent, Notification, Platform, TemplateContent
from hub.outcome import OutcomeName, Unreached
from hub.store.contracts.outbox import Audience, PageResult, Work
from hub.target import Target
from tests.fakes.clock import FakeClock
from tests.fakes.pushes import pushes_of
from tests.fakes.senders import FakeSender
from tests.hub.examples import HUB, notification
from tests.hub.test_rendering import ALERT, Templates, template

APNS = Platform.APNS
NATIVE = NativeContent(platform=APNS, payload=b"{}")
MAX_AGE = 1800.0
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Singles:
    """Single pushes to one service, and what is heard of them."""

    def __init__(self, *, single: int = 2000) -> None:
        self.facts: list[HubFact] = []
        self.results: list[PageResult] = []
        self.rendering = Rendering(Templates(t1=template(ALERT)))
        self.clock = FakeClock()
        self.bulkhead = Bulkhead(FakeSender(APNS), single=single, clock=self.clock)
        self.singles = SinglePushes(
            {(HUB, APNS): self.bulkhead}, self.rendering, observer=self, done=self.results.extend
        )

    def observe(self, fact: HubFact) -> None:
        self.facts.append(fact)

    def plan(self, *pairs: tuple[Work, Audience], now: float = 100.0) -> tuple[list[SendBatch], list[Any]]:
        return self.singles.plan(pairs, now=now, max_age=MAX_AGE)


def target(ordinal: int = 1, number: int | None = None, **changes: Any) -> Target:
    made = Target(ordinal, APNS, f"{ordinal:064x}", number, None, 0.0)
    return replace(made, **changes)


def pair(given: Notification | None = None, *targets: Target, **changes: Any) -> tuple[Work, Audience]:
    given = notification("news", content=NATIVE) if given is None else given
    work = Work(queue=1, notification=given, accepted_at=99.0, **changes)
    return work, Audience(targets=targets or [target()])


def test_singles_of_a_batch_are_pages_of_a_few_dozen_with_one_fact_for_all() -> None:
    of = Singles()
    pairs = [pair(None, target(number)) for number in range(1, 101)]
    sends, rest = of.plan(*pairs)
    assert ([len(send.page) for send in sends], rest) == ([CHUNK, 100 - CHUNK], [])
    assert [send.size for send in sends] == [CHUNK, 100 - CHUNK]
    assert [work for send in sends for work, _ in send.singles] == [work for work, _ in pairs]
    (found,) = of.facts
    assert isinstance(found, AudiencesFound)
    assert found.found == [(work.notification, {APNS: 1}) for work, _ in pairs]


def test_what_was_delivered_is_recorded_and_told_by_the_page() -> None:
    of = Singles()
    pairs = [pair(None, target(number)) for number in (3, 5)]
    (send,), _ = of.plan(*pairs)
    of.singles.end(send, 101.5)
    assert of.facts[1:] == [PushesDelivered(platform=APNS, pushes=[(work.notification, 2.5) for work, _ in pairs])]
    assert of.results == [
        PageResult(
            work=work,
            counts={APNS: {OutcomeName.SUCCESS: 1}},
            done=1,
            ordinals=BitMap([ordinal]),
            started_at=100.0,
        )
        for (work, _), ordinal in zip(pairs, (3, 5), strict=True)
    ]


@pytest.mark.parametrize("number", [None, 1], ids=["native", "template"])
async def test_a_single_push_is_what_the_page_of_its_notification_would_hold(number: int | None) -> None:
    of, phone = Singles(), target(7, number)
    content = NATIVE if number is None else TemplateContent(properties={"title": "Hello"})
    given = replace(notification("news", content=content), collapse_key="key")
    await of.rendering.prepare([phone])
    (send,), _ = of.plan(pair(given, phone))
    assert pushes_of(send.page) == pushes_of(of.rendering.pages(given, [phone]).pages[APNS].page)


async def test_only_what_is_for_one_phone_and_has_nothing_more_to_be_said_goes_this_way() -> None:
    plain = notification("news", content=NATIVE)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    work, audience = pair(plain)
    others = {
        "two phones": pair(plain, target(1), target(2)),
        "nobody": (work, Audience(unreached=Unreached.NO_TAG)),
        "a page": pair(plain, ordinals=BitMap([1]), number=1),
        "has waited": pair(plain, service=(HUB, APNS)),
        "was held": pair(plain, quiet_until=50.0),
        "expires": pair(replace(plain, expires_at=later)),
        "was scheduled": pair(replace(plain, schedule_at=later)),
        "is traced": pair(replace(plain, trace=SAMPLED)),
        "one more names its channel": (work, replace(audience, skipped={APNS: BitMap([2])})),
        "one more is kept from it": (work, replace(audience, excluded=[target(2)])),
        "too old": (replace(work, accepted_at=100.0 - MAX_AGE), audience),
        "another service": pair(plain, target(platform=Platform.FCM)),
        "push variables": pair(plain, target(push_variables={"name": "Ada"})),
        "a text held here": pair(
            replace(plain, content=TemplateContent(properties={}, text=HeldText(id=1, name="hello"))), target()
        ),
        "a template that is gone": pair(replace(plain, content=TemplateContent(properties={})), target(number=2)),
    }
    of = Singles()
    await of.rendering.prepare([target(number=2)])
    for why, other in others.items():
        assert of.plan(other) == ([], [other]), why
    assert (of.bulkhead.in_flight, of.facts) == (0, [])
    assert of.plan(pair(plain))[1] == []


def test_what_finds_no_place_takes_the_other_way() -> None:
    of = Singles(single=3)
    pairs = [pair(None, target(number)) for number in range(1, 6)]
    (send,), rest = of.plan(*pairs)
    assert ([work for work, _ in send.singles], rest) == ([work for work, _ in pairs[:3]], pairs[3:])
    assert of.plan(pairs[3]) == ([], [pairs[3]])


def test_nothing_goes_this_way_while_a_service_is_in_trouble() -> None:
    of = Singles()
    of.bulkhead.has_queue = True
    assert of.plan(waiting := pair()) == ([], [waiting])
    of.bulkhead.has_queue = False
    of.bulkhead.closed_until = of.clock() + 60.0
    assert of.plan(waiting) == ([], [waiting])


def test_places_are_given_to_so_many_as_have_room() -> None:
    of = Singles(single=3)
    assert (of.bulkhead.admit_each(2), of.bulkhead.admit_each(2), of.bulkhead.admit_each(1)) == (2, 1, 0)
