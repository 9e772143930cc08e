"""The way of a batch: each message comes to exactly one end, costs nobody else anything, and is settled once durable."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.decode import Decoded
from bridge.intake.offload import Offload
from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import EventOutcome, EventsStored
from bridge.wiring import route_of
from connectors.base import ACK, NACK, Disposition, Message, Settlement
from hub.acceptance import ConfigurationVersion
from hub.errors import StoreError
from hub.slices import SLICE
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.accepting import FakeAccepting

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

SOURCES = """
sources:
  orders: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, decode: {max_body: 1KiB}, map: { id: "{{ data.id }}" } }
  strict: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, map: { id: "{{ data.id }}" }, on_no_match: dead_letter }
  lenient: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, map: { id: "{{ data.id }}" }, decode: {on_error: ack} }
  broker: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, map: { id: "{{ data.id }}" }, on_no_match: dead_letter }
  deaf: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, map: { id: "{{ data.id }}" }, decode: { on_error: ack } }
  sent-on: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, map: { id: "{{ data.id }}" } }
  cloud: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, decode: { format: cloudevents } }
  posted: { http: { path: /in/posted }, map: { id: "{{ data.id }}" } }
  of-people:
    rabbitmq: { url: "amqp://127.0.0.1", queue: { name: q } }
    map: { id: "{{ data.id }}", person: "{{ data.customer }}" }
dead_letter:
  sources:
    broker: { native: true }
    deaf: { native: true }
    sent-on: { rabbitmq: { exchange: dead, key: letters } }
"""
RULES = """
hubs: { app: {} }
rules:
  - { name: to-customer, match: { data: { kind: paid } }, push: { to: "customer:{{ data.customer }}", with: { text: hi } } }
  - { name: with-amount, match: { data: { kind: paid } }, push: { to: "team:sales", with: { text: "{{ data.amount }}" } } }
  - { name: to-user, match: { data: { user: { exists: true } } }, push: { to: "$UserId:{{ data.user }}", with: { a: hi } } }
  - { name: any-cloud, source: cloud, push: { to: everyone, with: { text: hi } } }
"""


class Bench:
    """A pipeline over doubles."""

    def __init__(self, directory: Path, sources: str = SOURCES, rules: str = RULES) -> None:
        settings = read(directory, sources, rules)
        self.hub = FakeAccepting()
        self.told = FakeIntakeObserver()
        self.routes = {name: route_of(name, source, settings) for name, source in settings.sources.items()}
        self.pipeline = Pipeline(
            self.routes,
            settings.rules,
            self.hub,
            observer=self.told,
            configuration=ConfigurationVersion(revision="v7", hash="c0ffee"),
            clock=lambda: NOW,
            offload=Offload(limit=0.5),
        )

    async def handle(self, *messages: Message) -> list[Disposition]:
        settled = await self.pipeline.handle(messages)
        assert [message for message, _ in settled] == list(messages)
        return [answer for _, answer in settled]

    def decode_with(self, decode: Callable[[Message], Decoded], source: str = "orders") -> None:
        self.routes[source] = replace(self.routes[source], decode=decode)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def message(body: str | bytes, source: str = "orders", **changes: Any) -> Message:
    return replace(Message(source=source, body=body if isinstance(body, bytes) else body.encode()), **changes)


def paid(id: str, customer: str = "4711", source: str = "orders") -> Message:
    return message(f'{{"id": "{id}", "kind": "paid", "customer": "{customer}", "amount": 10}}', source)


def cloud_event(source: str, id: str = "1") -> Message:
    body = f'{{"specversion": "1.0", "id": "{id}", "source": "{source}", "type": "t", "data": {{"n": 1}}}}'
    return message(body, "cloud", content_type="application/cloudevents+json")


BAD = {
    "an undecodable body": (b"\xff{", "decode", "decode", ""),
    "not quite JSON": (b'{"id": "x"', "decode", "decode", ""),
    "a missing property of the map": (b'{"kind": "paid"}', "map", "map", ""),
    "a value unsafe in a tag": (
        b'{"id": "x", "kind": "paid", "customer": "a || b", "amount": 1}',
        "rule",
        "tag_unsafe",
        "to-customer",
    ),
    "a missing property of a rule": (b'{"id": "x", "kind": "paid", "customer": "a"}', "rule", "render", "with-amount"),
    "a body over the limit": (b'{"id": "' + b"x" * 1100 + b'"}', "decode", "too_large", ""),
}


@pytest.mark.parametrize("body, stage, reason, rule", BAD.values(), ids=BAD)
async def test_a_bad_message_becomes_a_dead_letter_with_everything_needed_to_act_and_costs_only_itself(
    bench: Bench, body: bytes, stage: str, reason: str, rule: str
) -> None:
    bad = message(body, content_type="application/json", headers={"x-tenant": 7}, delivery_count=3)
    await bench.handle(paid("before"), bad, paid("after"))
    before, arrival, after = bench.hub.arrivals
    (letter,) = arrival.dead_letters
    assert (letter.stage, letter.reason, letter.rule) == (stage, reason, rule)
    assert (letter.source, letter.body, letter.content_type) == ("orders", body, "application/json")
    assert (letter.headers, letter.tries, letter.config_hash, letter.revision) == ({"x-tenant": "7"}, 3, "c0ffee", "v7")
    assert letter.detail
    for good in (before, after):
        assert (len(good.notifications), good.dead_letters) == (2, ())


@pytest.mark.parametrize(
    ("body", "person"),
    [
        (b'{"customer": "Ann", "kind": "paid"}', "Ann"),  # no id
        (b'{"id": "x", "kind": "paid", "customer": "Ann"}', "Ann"),  # a rule fails
        (b'{"id": "x", "user": "Eve", "customer": "", "kind": "paid"}', "eve"),  # a rule fails, another names the user
        (b'{"id": "x"}', ""),
        (b'{"id": "x", "customer": "Ann"', ""),
    ],
)
async def test_a_dead_letter_says_whom_its_message_is_about_where_that_could_be_mapped(
    bench: Bench, body: bytes, person: str
) -> None:
    await bench.handle(message(body, "of-people"))
    (arrival,) = bench.hub.arrivals
    assert arrival.dead_letters[0].person == person
    mapped = person if person != "eve" else ""
    assert [one.person for one in arrival.notifications] == [mapped for _ in arrival.notifications]


async def test_a_body_of_five_megabytes_is_refused_and_the_next_message_goes_on(bench: Bench) -> None:
    answers = await bench.handle(message(b'"' + b"x" * 5_000_000 + b'"'), paid("after"))
    assert [answer.reason for answer in answers] == ["too_large", ""]


async def test_a_crash_of_our_own_costs_only_its_message_and_is_told_without_the_values(bench: Bench) -> None:
    sound = bench.routes["orders"].decode

    def decode(message: Message) -> Decoded:
        if b"canary" in message.body:
            raise ZeroDivisionError("canary")
        return sound(message)

    bench.decode_with(decode)
    answers = await bench.handle(paid("1"), message("canary", id="m-7"), paid("2"))
    assert [answer.reason for answer in answers] == ["", "crash", ""]
    (letter,) = bench.hub.arrivals[1].dead_letters
    assert (letter.stage, letter.reason, letter.body) == ("decode", "crash", b"canary")
    assert "ZeroDivisionError" in letter.detail
    assert "canary" not in letter.detail
    ((what, error),) = bench.told.crashes
    assert what == "decode of 'm-7' from orders"
    assert isinstance(error, ZeroDivisionError)


async def test_a_rule_that_fails_leaves_the_notifications_of_the_others(bench: Bench) -> None:
    unsafe = paid("1", customer="4711 && vip")
    assert await bench.handle(unsafe) == [ACK]
    (arrival,) = bench.hub.arrivals
    assert [notification.rule for notification in arrival.notifications] == ["with-amount"]
    assert [(letter.rule, letter.body) for letter in arrival.dead_letters] == [("to-customer", unsafe.body)]
    assert bench.told.stored[0].outcome is EventOutcome.ACCEPTED


async def test_an_event_of_which_every_rule_fails_is_a_dead_letter_for_each(bench: Bench) -> None:
    (answer,) = await bench.handle(message('{"id": "1", "kind": "paid", "customer": "a b"}'))
    assert [letter.rule for letter in bench.hub.arrivals[0].dead_letters] == ["to-customer", "with-amount"]
    assert bench.told.stored[0].outcome is EventOutcome.DEAD_LETTER
    assert answer.reason == "tag_unsafe"
    assert answer.detail.startswith("rule to-customer: ")


ENDS = {
    "accepted": (paid("1"), EventOutcome.ACCEPTED, 2, 0),
    "accepted in part": (paid("1", customer="a b"), EventOutcome.ACCEPTED, 1, 1),
    "no rule matches": (message('{"id": "1"}'), EventOutcome.NO_MATCH, 0, 0),
    "no rule matches, and that is a mistake": (message('{"id": "1"}', "strict"), EventOutcome.DEAD_LETTER, 0, 1),
    "undecodable": (message("{"), EventOutcome.DEAD_LETTER, 0, 1),
    "undecodable, and not to be kept": (message("{", "lenient"), EventOutcome.REJECTED, 0, 0),
    "unmappable, which is always kept": (message("{}", "lenient"), EventOutcome.DEAD_LETTER, 0, 1),
}


@pytest.mark.parametrize("given, end, notifications, letters", ENDS.values(), ids=ENDS)
async def test_an_event_has_exactly_one_end(
    bench: Bench, given: Message, end: EventOutcome, notifications: int, letters: int
) -> None:
    await bench.handle(given)
    (passage,), (arrival,) = bench.told.stored, bench.hub.arrivals
    assert passage.outcome is end
    assert (len(arrival.notifications), len(arrival.dead_letters)) == (notifications, letters)
    assert (passage.reason is not None) == (end in (EventOutcome.DEAD_LETTER, EventOutcome.REJECTED))


async def test_a_repeated_event_is_a_duplicate_and_acknowledged(bench: Bench) -> None:
    assert await bench.handle(paid("1"), paid("1")) == [ACK, ACK]
    assert await bench.handle(paid("1")) == [ACK]
    assert [passage.outcome for passage in bench.told.stored] == [
        EventOutcome.ACCEPTED,
        EventOutcome.DUPLICATE,
        EventOutcome.DUPLICATE,
    ]


async def test_what_never_became_an_event_is_never_taken_for_a_repetition(bench: Bench) -> None:
    await bench.handle(message("{", id="m-1"), message("{", id="m-1"))
    assert [passage.outcome for passage in bench.told.stored] == [EventOutcome.DEAD_LETTER, EventOutcome.DEAD_LETTER]


async def test_cloudevents_of_one_id_from_two_sources_are_two_events(bench: Bench) -> None:
    await bench.handle(cloud_event("/shop"), cloud_event("/bank"), cloud_event("/shop"))
    assert [passage.outcome for passage in bench.told.stored] == [
        EventOutcome.ACCEPTED,
        EventOutcome.ACCEPTED,
        EventOutcome.DUPLICATE,
    ]
    ids = {notification.id for arrival in bench.hub.arrivals[:2] for notification in arrival.notifications}
    assert len(ids) == 2


async def test_one_id_at_two_of_our_sources_is_two_events(bench: Bench) -> None:
    await bench.handle(paid("1"), paid("1", source="strict"))
    assert [passage.outcome for passage in bench.told.stored] == [EventOutcome.ACCEPTED, EventOutcome.ACCEPTED]


SETTLEMENTS = {
    "kept here, done for the broker": (message("{"), Settlement.ACK, "decode"),
    "the broker's own dead-lettering": (message("{", "broker"), Settlement.REJECT, "decode"),
    "no match that is a mistake": (message('{"id": "1"}', "broker"), Settlement.REJECT, "no_match"),
    "one rule of two failed": (paid("1", "a b", source="broker"), Settlement.ACK, ""),
    "accepted": (paid("1", source="broker"), Settlement.ACK, ""),
    "to be acknowledged though undecodable": (message("{", "deaf"), Settlement.ACK, "decode"),
    "unmappable": (message("{}", "deaf"), Settlement.REJECT, "map"),
}


@pytest.mark.parametrize("given, settlement, reason", SETTLEMENTS.values(), ids=SETTLEMENTS)
async def test_only_native_dead_lettering_rejects_at_the_broker(
    bench: Bench, given: Message, settlement: Settlement, reason: str
) -> None:
    (answer,) = await bench.handle(given)
    assert (answer.settlement, answer.reason) == (settlement, reason)


async def test_a_dead_letter_names_the_publisher_that_sends_it_on(bench: Bench) -> None:
    await bench.handle(message("{", "sent-on"), message("{", "orders"), message("{", "broker"))
    assert [arrival.dead_letters[0].relay for arrival in bench.hub.arrivals] == ["sent-on", None, None]


async def test_what_has_no_event_is_known_by_what_the_broker_calls_it(bench: Bench) -> None:
    await bench.handle(message("{", id="m-1", position="p-1"), message("{", position="p-2"), message("{"))
    assert [arrival.dead_letters[0].event_id for arrival in bench.hub.arrivals] == ["m-1", "p-2", ""]


async def test_order_is_kept(bench: Bench) -> None:
    messages = [paid(f"{number}") if number % 3 else message("{") for number in range(50)]
    await bench.handle(*messages)
    accepted = [arrival.event_id for arrival in bench.hub.arrivals]
    assert accepted == [f"{number}" if number % 3 else "" for number in range(50)]
    assert len(bench.hub.batches) == 1


async def test_nothing_is_settled_before_the_store_has_it(bench: Bench) -> None:
    bench.hub.hold()
    handling = asyncio.create_task(bench.handle(paid("1")))
    while not bench.hub.batches:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not handling.done()
    assert bench.told.stored == []
    bench.hub.let_go()
    assert await handling == [ACK]


async def test_a_store_that_gives_up_settles_nothing(bench: Bench) -> None:
    bench.hub.error = StoreError("disk full")
    with pytest.raises(StoreError):
        await bench.handle(paid("1"))
    assert bench.told.stored == []
    assert await bench.handle(paid("1")) == [ACK]


async def test_a_long_batch_lets_the_event_loop_have_its_turns(bench: Bench) -> None:
    sound = bench.routes["orders"].decode

    def slow(message: Message) -> Decoded:
        be_busy()
        return sound(message)

    bench.decode_with(slow)
    assert await turns_during(bench.handle(*(paid(f"{number}") for number in range(20)))) >= 20


async def test_telling_of_a_long_batch_lets_the_event_loop_have_its_turns(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[str]] = []

    def slow(fact: EventsStored) -> None:
        be_busy()
        told.append([passage.event_id for passage in fact.events])

    monkeypatch.setattr(bench.told, "observe", slow)
    ids = [f"{number}" for number in range(500)]
    assert await turns_during(bench.handle(*map(paid, ids))) >= len(told) >= 5
    assert [id for part in told for id in part] == ids


async def test_a_batch_in_the_store_is_told_of_whole_though_its_connection_ends_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def slow(fact: EventsStored) -> None:
        be_busy()
        told.extend(passage.event_id for passage in fact.events)

    monkeypatch.setattr(bench.told, "observe", slow)
    ids = [f"{number}" for number in range(300)]
    handling = asyncio.create_task(bench.handle(*map(paid, ids)))
    while not told:
        await asyncio.sleep(0)
    assert len(told) < len(ids)
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    assert told == ids


def be_busy() -> None:
    """Have the event loop for as long as anybody may."""
    until = time.perf_counter() + SLICE
    while time.perf_counter() < until:
        pass


async def turns_during(work: Coroutine[Any, Any, object]) -> int:
    """How often something else could run."""
    doing = asyncio.create_task(work)
    turns = 0
    while not doing.done():
        await asyncio.sleep(0)
        turns += 1
    await doing
    return turns


async def test_rules_may_be_exchanged_between_batches(bench: Bench, tmp_path: Path) -> None:
    await bench.handle(paid("1"))
    ruleless = read(tmp_path, SOURCES, "hubs: { app: {} }\nrules: []").rules
    bench.pipeline.exchange(bench.routes, ruleless, configuration=ConfigurationVersion(hash="another"))
    await bench.handle(paid("2"))
    assert [passage.outcome for passage in bench.told.stored] == [EventOutcome.ACCEPTED, EventOutcome.NO_MATCH]


async def test_a_message_that_the_broker_took_back_is_given_up_and_costs_the_others_nothing(bench: Bench) -> None:
    body = '{"id": "%s", "kind": "paid", "customer": "c9", "amount": 1}'
    gone = message(body % "gone", is_lost=lambda: True)
    assert await bench.handle(message(body % "a"), gone, message(body % "b")) == [ACK, NACK, ACK]
    assert [arrival.event_id for arrival in bench.hub.arrivals] == ["a", "b"]
    assert [passage.event_id for passage in bench.told.stored] == ["a", "b"]
    assert [passage.event_id for passage in bench.told.given_up] == ["gone"]


async def test_a_message_that_is_lost_while_the_store_fails_is_not_accepted_any_more(bench: Bench) -> None:
    body = '{"id": "%s", "kind": "paid", "customer": "c9", "amount": 1}'
    lost = False
    bench.hub.hold()
    handling = asyncio.create_task(bench.handle(message(body % "a", is_lost=lambda: lost), message(body % "b")))
    await asyncio.sleep(0)
    lost = True
    bench.hub.let_go()
    assert await handling == [NACK, ACK]
    assert [arrival.event_id for arrival in bench.hub.batches[-1]] == ["b"]
    assert [passage.event_id for passage in bench.told.stored] == ["b"]
    assert [passage.event_id for passage in bench.told.given_up] == ["a"]


async def test_a_batch_that_is_lost_as_a_whole_asks_nothing_of_the_store(bench: Bench) -> None:
    assert await bench.handle(message("{}", is_lost=lambda: True)) == [NACK]
    assert bench.hub.batches == []


LARGE = " " * 20_000


@pytest.mark.slow
async def test_a_large_body_that_takes_too_long_is_a_dead_letter_and_the_others_go_on(bench: Bench) -> None:
    def decode(message: Message) -> Decoded:
        while message.id == "endless":
            pass
        return Decoded(data={"id": message.id, "kind": "paid", "customer": "4711", "amount": 1})

    bench.decode_with(decode)
    large = [message(LARGE, id=id) for id in ("one", "endless", "two")]
    assert [answer.reason for answer in await bench.handle(*large)] == ["", "too_large", ""]
    one, endless, two = bench.hub.arrivals
    assert [len(one.notifications), len(endless.notifications), len(two.notifications)] == [2, 0, 2]
    (letter,) = endless.dead_letters
    assert letter.detail == "reading and matching the body of 20000 bytes takes longer than 0.5 s"
    assert letter.body == LARGE.encode()


async def test_a_defect_that_meets_a_large_body_is_told_of_like_any_other(bench: Bench) -> None:
    def decode(message: Message) -> Decoded:
        raise ZeroDivisionError

    bench.decode_with(decode)
    (answer,) = await bench.handle(message(LARGE, id="m"))
    assert answer.reason == "crash"
    assert [(what, type(error)) for what, error in bench.told.crashes] == [
        ("decode of 'm' from orders", ZeroDivisionError)
    ]


def rule_fails(id: str) -> bytes:
    """Matches both rules, and neither can be filled."""
    return b'{"id": "%s", "kind": "paid", "customer": "a || b"}' % id.encode()


POSTED: dict[str, tuple[bytes, bool, Settlement, dict[str, Any], int]] = {
    "a rule fires": (
        b'{"id": "1", "kind": "paid", "customer": "4711", "amount": 1}',
        True,
        Settlement.ACK,
        {"id": "1", "outcome": "accepted", "rules": ["to-customer", "with-amount"]},
        0,
    ),
    "no rule": (b'{"id": "1"}', True, Settlement.ACK, {"id": "1", "outcome": "no_rule"}, 0),
    "one rule fails": (
        b'{"id": "1", "kind": "paid", "customer": "4711"}',
        True,
        Settlement.ACK,
        {"id": "1", "outcome": "accepted", "failures": [("with-amount", "render")]},
        1,
    ),
    "every rule fails": (
        rule_fails("1"),
        True,
        Settlement.ACK,
        {"outcome": "dead_letter", "failures": [("to-customer", "tag_unsafe"), ("with-amount", "render")]},
        2,
    ),
    "no JSON": (b"{", True, Settlement.REJECT, {"outcome": "rejected", "reason": "decode"}, 0),
    "no id": (b"{}", True, Settlement.REJECT, {"outcome": "rejected", "reason": "map"}, 0),
    "no JSON, in a batch": (b"{", False, Settlement.ACK, {"outcome": "dead_letter", "reason": "decode"}, 1),
}


@pytest.mark.parametrize("body, is_alone, settlement, told, letters", POSTED.values(), ids=POSTED)
async def test_a_sender_that_waits_is_told_what_became_of_its_event(
    bench: Bench, body: bytes, is_alone: bool, settlement: Settlement, told: dict[str, Any], letters: int
) -> None:
    (disposition,) = await bench.handle(message(body, "posted", is_alone=is_alone))
    assert disposition.settlement is settlement
    assert disposition.answer is not None
    found = dict(disposition.answer)
    if "failures" in found:
        found["failures"] = [(failure["rule"], failure["reason"]) for failure in found["failures"]]
    assert found | told == found
    (arrival,) = bench.hub.arrivals
    assert len(arrival.dead_letters) == letters
    assert [one["id"] for one in found.get("notifications", ())] == [one.id for one in arrival.notifications]


async def test_what_failed_over_http_is_remembered_so_that_a_repetition_is_kept_once(bench: Bench) -> None:
    await bench.handle(message(rule_fails("1"), "posted"), message(rule_fails("1"), "orders"))
    assert [arrival.remember for arrival in bench.hub.arrivals] == [True, False]


async def test_what_found_no_rule_over_http_may_find_one_the_next_time(bench: Bench) -> None:
    await bench.handle(message(b'{"id": "1"}', "posted"))
    (arrival,) = bench.hub.arrivals
    assert not arrival.remember


async def test_what_cannot_be_read_in_a_repeated_batch_is_known_by_its_bytes(bench: Bench) -> None:
    await bench.handle(*(message(body, "posted", is_alone=False) for body in (b"{", b"{", b"[")))
    one, same, other = bench.hub.arrivals
    assert one.remember
    assert (one.source, one.event_id) == (same.source, same.event_id)
    assert one.event_id != other.event_id


async def test_what_is_for_full_push_services_alone_ends_as_a_dead_letter_and_costs_no_other_rule(bench: Bench) -> None:
    bench.hub.full = {"to-customer"}
    (answer,) = await bench.handle(paid("1"))
    assert answer.settlement is Settlement.ACK
    (ingest,) = bench.hub.arrivals
    assert [one.rule for one in ingest.notifications] == ["with-amount"]
    assert [(letter.rule, letter.reason) for letter in ingest.dead_letters] == [("to-customer", "service_full")]


async def test_a_sender_that_waits_is_refused_for_now_what_is_for_full_push_services_alone(bench: Bench) -> None:
    """It has the event still; a broker would only count a delivery."""
    bench.hub.full = {"to-customer", "with-amount"}
    one = paid("1", source="posted")
    (answer,) = await bench.handle(replace(one, is_alone=True))
    assert (answer.settlement, answer.reason) == (Settlement.NACK, "service_full")
    assert all(not (each.notifications or each.dead_letters) for each in bench.hub.arrivals)
    (answer,) = await bench.handle(replace(one, is_alone=False))
    assert answer.settlement is Settlement.ACK
    assert len(bench.hub.arrivals[-1].dead_letters) == 2


async def test_what_a_remote_hub_has_already_is_not_for_the_store_and_its_event_is_known_again(bench: Bench) -> None:
    bench.hub.at_once = {"app"}
    (answer,) = await bench.handle(paid("1"))
    assert answer == ACK
    assert sorted(each.rule for each in bench.hub.handed_over) == ["to-customer", "with-amount"]
    (ingest,) = bench.hub.arrivals
    assert not ingest.notifications
    assert ingest.remember
    (nothing,) = await bench.handle(message('{"id": "2", "kind": "other"}'))
    assert nothing == ACK
    assert not bench.hub.arrivals[-1].remember, "an event without a rule may find one the next time"


async def test_what_a_remote_hub_will_never_take_is_the_brokers_dead_letter(bench: Bench) -> None:
    bench.hub.at_once = {"app"}
    bench.hub.refused = {"to-customer": "HTTP 400: no such tag", "with-amount": "HTTP 400: no such tag"}
    (answer,) = await bench.handle(paid("1", source="broker"))
    assert (answer.settlement, answer.reason) == (Settlement.REJECT, "hub_reject")
    (letter, _) = bench.hub.arrivals[-1].dead_letters
    assert (letter.rule, letter.detail) == ("to-customer", "HTTP 400: no such tag")


async def test_a_sender_that_waits_hears_that_a_remote_hub_will_never_take_it(bench: Bench) -> None:
    bench.hub.at_once = {"app"}
    bench.hub.refused = {"to-customer": "HTTP 400: no such tag", "with-amount": "HTTP 400: no such tag"}
    (answer,) = await bench.handle(paid("1", source="posted"))
    assert (answer.settlement, answer.reason) == (Settlement.REJECT, "hub_reject")
    assert not bench.hub.arrivals[-1].dead_letters


@pytest.fixture
def secretive(tmp_path: Path) -> Bench:
    """The same with a source, and with a rule, of which nothing is to be kept."""
    return Bench(
        tmp_path,
        SOURCES.replace("strict: { ", "strict: { sensitive: true, "),
        RULES.replace('push: { to: "customer', 'push: { sensitive: true, to: "customer'),
    )


@pytest.mark.parametrize("body, stage, reason, rule", BAD.values(), ids=BAD)
async def test_no_letter_of_a_sensitive_source_has_body_headers_or_envelope(
    secretive: Bench, body: bytes, stage: str, reason: str, rule: str
) -> None:
    await secretive.handle(message(body, "strict", headers={"x-code": "482913"}))
    for letter in secretive.hub.arrivals[0].dead_letters:
        assert (letter.body, letter.headers, letter.envelope, letter.withheld) == (b"", {}, "", len(body))
        assert "a || b" not in letter.detail


async def test_no_letter_of_an_event_that_a_sensitive_rule_matched_has_a_body(secretive: Bench) -> None:
    """Also that of another rule: it is the same body."""
    await secretive.handle(
        message('{"id": "x", "kind": "paid", "customer": "a"}'), message('{"id": "y", "user": "||"}')
    )
    matched, other = secretive.hub.arrivals
    assert [(each.rule, each.body, each.withheld) for each in matched.dead_letters] == [("with-amount", b"", 44)]
    assert [each.sensitive for each in matched.notifications] == [True]
    assert [each.withheld for each in other.dead_letters] == [None], "an event of ordinary rules is kept as before"


async def test_a_defect_in_the_rules_keeps_no_body_where_a_rule_is_sensitive(secretive: Bench) -> None:
    def fail(message: Message) -> Decoded:
        raise RuntimeError("x")

    secretive.decode_with(fail)
    await secretive.handle(paid("1"))
    assert [letter.body for letter in secretive.hub.arrivals[0].dead_letters] == [b""]


@pytest.mark.parametrize(("read", "body"), [("broker, posted", b""), ("orders", None)])
async def test_an_event_that_no_rule_matches_keeps_no_body_where_a_sensitive_rule_is_for_its_source(
    tmp_path: Path, read: str, body: bytes | None
) -> None:
    """It may have missed that rule by a condition, with the code in it. Other sources keep what they have."""
    bench = Bench(tmp_path, rules=sensitive_rule_for(read))
    sent = message('{"id": "1", "kind": "unpaid", "code": "482913"}', "broker", headers={"x-code": "482913"})
    await bench.handle(sent)
    (letter,) = bench.hub.arrivals[0].dead_letters
    assert (letter.reason, letter.body) == ("no_match", sent.body if body is None else body)
    assert (letter.withheld, letter.headers) == ((None, {"x-code": "482913"}) if body is None else (len(sent.body), {}))


@pytest.mark.parametrize("body", [b"{482913", b'{"code": "482913"}'], ids=["not decoded", "not mapped"])
@pytest.mark.parametrize(
    ("source", "read", "is_kept"), [("posted", "posted", False), ("posted", "orders", True), ("orders", "orders", True)]
)
async def test_a_bad_message_of_a_batch_over_http_keeps_no_body_where_a_sensitive_rule_is_for_its_source(
    tmp_path: Path, source: str, read: str, is_kept: bool, body: bytes
) -> None:
    """Its sender has it still; what came from a broker is nowhere else, and `check` says that it is kept."""
    bench = Bench(tmp_path, rules=sensitive_rule_for(read))
    await bench.handle(message(body, source, is_alone=False))
    (letter,) = bench.hub.arrivals[0].dead_letters
    assert (letter.body, letter.withheld) == ((body, None) if is_kept else (b"", len(body)))


def sensitive_rule_for(sources: str) -> str:
    """The rules, of which one is for these sources and sensitive."""
    return RULES.replace("name: to-customer,", f"name: to-customer, source: [{sources}],").replace(
        'push: { to: "customer', 'push: { sensitive: true, to: "customer'
    )
