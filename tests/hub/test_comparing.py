"""Sends of a remote hub, compared with whom they would have reached here: numbers, patience, and what is not compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from pyroaring import BitMap

from hub.delivery.remote import message_id
from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.errors import StoreError
from hub.facts import Compared, HubFact, SendCompared
from hub.moving import comparing
from hub.moving.comparing import ComparedHub, Comparing, numbers_in
from hub.notification import Everyone, Notification, Platform, TemplateContent
from hub.store.contracts.mirrors import MirrorState
from hub.store.contracts.outbox import Audience
from hub.target import Target

SETTINGS = RemoteSettings(endpoint="https://ns.example", hub="app", key_name="Full", key="k")
NAMESPACE = 'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
"""As the wire contract spells it."""


def details(state: str = "Completed", **counts: dict[str, int]) -> bytes:
    elements = "".join(
        f"<{name}OutcomeCounts>"
        + "".join(f"<Outcome><Name>{each}</Name><Count>{count}</Count></Outcome>" for each, count in outcomes.items())
        + f"</{name}OutcomeCounts>"
        for name, outcomes in counts.items()
    )
    return f"<NotificationDetails {NAMESPACE}><State>{state}</State>{elements}</NotificationDetails>".encode()


@dataclass
class World:
    """One mirrored hub, `app`; `here` are those registered, `answers` what the other hub says, the last for ever."""

    answers: list[httpx.Response | Exception]
    here: dict[Platform, int] = field(default_factory=dict)
    clock: float = 0.0
    broken: bool = False
    newer: BitMap = field(default_factory=BitMap)
    gone: BitMap = field(default_factory=BitMap)
    brought: BitMap = field(default_factory=BitMap)
    listed_began: float = 0.0
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    asked: list[httpx.URL] = field(default_factory=list)
    facts: list[SendCompared] = field(default_factory=list)

    def __post_init__(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request.url)
            found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(found, Exception):
                raise found
            return found

        self.api = RemoteApi(SETTINGS, clock=lambda: 1_800_000_000.0)
        self.api._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        self.comparing = Comparing(observer=self, clock=lambda: self.clock)
        self.comparing.apply({"app": ComparedHub(api=self.api, list_every=900.0)})

    def observe(self, fact: HubFact) -> None:
        assert isinstance(fact, SendCompared)
        self.facts.append(fact)

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        if self.broken:
            raise StoreError("no disk")
        pages = [(platform, ordinals_of(platform, count)) for platform, count in self.here.items()]
        return [Audience(pages=pages) for _ in notifications]

    def now(self) -> float:
        return self.clock

    async def targets(self, hub: str, ordinals: BitMap) -> list[Target]:
        alive = ordinals - self.gone
        return [
            Target(
                ordinal=each,
                platform=Platform.APNS,
                push_channel="",
                template=None,
                push_variables=None,
                registered_at=0.0,
            )
            for each in alive
        ]

    async def newer_here(self, hub: str, since: float) -> BitMap:
        return self.newer

    async def newer_there(self, hub: str, since: float) -> BitMap:
        return self.brought

    async def mirror_state(self, hub: str) -> MirrorState:
        return MirrorState(listed_began=self.listed_began)

    async def add_compared(self, counts: Mapping[tuple[str, str], int]) -> None:
        self.sums.update(counts)

    async def look(self, *, times: int = 1, every: float = 1.0) -> list[SendCompared]:
        for _ in range(times):
            await self.comparing.look(self)
            self.clock += every
        return self.facts


def ordinals_of(platform: Platform, count: int) -> BitMap:
    """The first registrations of a platform."""
    first = 1000 * list(Platform.known()).index(platform)
    return BitMap(range(first, first + count))


def sent(number: int = 1) -> Notification:
    return Notification(id=f"{number:032x}", hub="app", audience=Everyone(), content=TemplateContent(properties={}))


async def test_equal_numbers_are_equal_and_gcm_there_is_fcm_here() -> None:
    numbers = details(Apns={"Success": 2, "ExpiredChannel": 1, "Skipped": 5}, Gcm={"Success": 3}, FcmV1={"Success": 1})
    world = World([httpx.Response(200, content=numbers)], here={Platform.APNS: 3, Platform.FCM: 4})
    world.comparing.sent(sent(), "an id")
    (fact,) = await world.look()
    assert (fact.result, fact.here) == (Compared.EQUAL, {Platform.APNS: 3, Platform.FCM: 4})
    assert world.asked[0].raw_path.startswith(b"/app/messages/an%20id?")
    assert await world.look() == [fact]
    assert len(world.asked) == 1


async def test_a_difference_has_both_numbers() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 2}))], here={Platform.APNS: 1, Platform.WNS: 1})
    world.comparing.sent(sent(), "1")
    assert await world.look() == [], "the next list of the other hub may explain it"
    world.listed_began = world.clock
    (fact,) = await world.look()
    assert fact.result is Compared.DIFFERENT
    assert (fact.here, fact.there) == ({Platform.APNS: 1, Platform.WNS: 1}, {Platform.APNS: 2})
    assert world.sums == {("app", "different"): 1}


async def test_a_difference_that_no_list_came_to_explain_in_time_is_one() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 2}))])
    world.comparing.sent(sent(), "1")
    assert await world.look(every=3 * 900.0) == []
    assert await world.look(every=comparing.GIVES_UP_AFTER) == []
    (fact,) = await world.look()
    assert fact.result is Compared.DIFFERENT


async def test_what_is_newer_here_explains_at_once_that_fewer_were_reached_there() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 2}))], here={Platform.APNS: 3})
    world.newer = BitMap([max(ordinals_of(Platform.APNS, 3))])
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look()
    assert (fact.result, fact.here, fact.there) == (Compared.NEWER, {Platform.APNS: 3}, {Platform.APNS: 2})


async def test_what_was_taken_away_here_explains_at_once_that_more_were_reached_there() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 3}))], here={Platform.APNS: 2})
    world.newer = world.gone = BitMap([9999])
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look()
    assert fact.result is Compared.NEWER


@pytest.mark.parametrize(
    ("brought", "result"), [(1, Compared.NEWER), (0, Compared.DIFFERENT)], ids=["by the list", "by a phone later"]
)
async def test_what_a_later_list_brings_explains_that_more_were_reached_there(brought: int, result: Compared) -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 3}))], here={Platform.APNS: 2})
    world.comparing.sent(sent(), "1")
    assert await world.look() == []
    world.here = {Platform.APNS: 3}
    world.brought = BitMap([max(ordinals_of(Platform.APNS, 3))] * brought)
    world.listed_began = world.clock
    (fact,) = await world.look()
    assert fact.result is result


async def test_what_a_later_list_takes_away_explains_that_fewer_were_reached_there() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 1}))], here={Platform.APNS: 2})
    world.comparing.sent(sent(), "1")
    assert await world.look() == []
    world.here = {Platform.APNS: 1}
    world.listed_began = world.clock
    (fact,) = await world.look()
    assert fact.result is Compared.NEWER


async def test_nobody_there_and_nobody_here_is_equal() -> None:
    world = World([httpx.Response(200, content=details("NoTargetFound"))])
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look()
    assert fact.result is Compared.EQUAL


@pytest.mark.parametrize(
    "before",
    [
        httpx.Response(404),
        httpx.Response(503),
        httpx.Response(200, content=details("Processing", Apns={"Success": 1})),
        httpx.Response(200, content=b"<html>"),
        httpx.ConnectError("refused"),
    ],
    ids=["not yet", "busy", "under way", "a page of a proxy", "away"],
)
async def test_the_other_hub_is_asked_until_its_numbers_are_final(before: httpx.Response | Exception) -> None:
    final = httpx.Response(200, content=details(Apns={"Success": 2}))
    world = World([before, final], here={Platform.APNS: 2})
    world.comparing.sent(sent(), "1")
    assert await world.look() == []
    (fact,) = await world.look(times=2)
    assert fact.result is Compared.EQUAL


async def test_numbers_that_never_come_are_unknown_in_the_end_and_asked_for_more_and_more_rarely() -> None:
    world = World([httpx.Response(404)])
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look(times=int(comparing.GIVES_UP_AFTER) + 60)
    assert fact.result is Compared.UNKNOWN
    assert fact.detail == "no final numbers of the other hub within 600 s: HTTP 404"
    assert len(world.asked) < 30


@pytest.mark.parametrize("status", [401, 403])
async def test_a_tier_without_telemetry_is_unknown_at_once(status: int) -> None:
    world = World([httpx.Response(status)])
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look()
    assert fact.result is Compared.UNKNOWN
    assert "no telemetry" in fact.detail


async def test_a_send_without_an_id_is_unknown_and_nobody_is_asked() -> None:
    world = World([httpx.Response(404)])
    world.comparing.sent(sent(), "")
    (fact,) = await world.look()
    assert (fact.result, world.asked) == (Compared.UNKNOWN, [])
    assert "tier Standard" in fact.detail


async def test_a_store_that_cannot_be_read_is_no_difference() -> None:
    world = World([httpx.Response(200, content=details(Apns={"Success": 2}))], broken=True)
    world.comparing.sent(sent(), "1")
    (fact,) = await world.look()
    assert (fact.result, fact.detail) == (Compared.UNKNOWN, "who is registered here cannot be read: no disk")


async def test_what_is_too_much_is_passed_over_and_a_look_asks_for_some() -> None:
    world = World([httpx.Response(200, content=details())])
    for number in range(comparing.MOST_OPEN + 3):
        world.comparing.sent(sent(number), str(number))
    assert [fact.result for fact in world.facts] == [Compared.PASSED_OVER] * 3
    await world.look()
    assert len(world.asked) == comparing.AT_A_LOOK
    await world.look(times=comparing.MOST_OPEN // comparing.AT_A_LOOK)
    assert len(world.asked) == len({str(url) for url in world.asked}) == comparing.MOST_OPEN


async def test_sends_that_take_long_keep_no_others_from_being_compared() -> None:
    slow, quick = comparing.AT_A_LOOK, 3
    answers: list[httpx.Response | Exception] = [httpx.Response(404) for _ in range(slow)]
    world = World([*answers, httpx.Response(200, content=details())])
    for number in range(slow + quick):
        world.comparing.sent(sent(number), str(number))
    await world.look()
    await world.look()
    assert {fact.notification.id for fact in world.facts} >= {sent(slow + number).id for number in range(quick)}


async def test_a_hub_that_is_mirrored_no_more_is_not_asked() -> None:
    world = World([httpx.Response(404)])
    world.comparing.sent(sent(), "1")
    world.comparing.apply({})
    assert (await world.look(times=3), world.asked) == ([], [])
    assert world.api._client is None, "its connections are closed"


NO_COUNT = b"<ApnsOutcomeCounts><Outcome><Count>-1</Count></Outcome></ApnsOutcomeCounts>"


@pytest.mark.parametrize(
    "body",
    [b"", b"<feed/>", details().replace(b"<State>", NO_COUNT + b"<State>")],
    ids=["nothing", "another document", "no count"],
)
def test_what_is_no_telemetry_is_no_number(body: bytes) -> None:
    with pytest.raises(ValueError, match="the telemetry"):
        numbers_in(body)


@pytest.mark.parametrize(
    ("location", "id"),
    [
        ("https://ns.example/app/messages/4-20-1?api-version=2020-06", "4-20-1"),
        ("https://ns.example/app/Messages/a%20b/", "a b"),
        ("https://ns.example/app/messages?api-version=2020-06", ""),
        ("", ""),
    ],
)
def test_the_id_of_a_message_is_in_its_location(location: str, id: str) -> None:
    assert message_id(location) == id
