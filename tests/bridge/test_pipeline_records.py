"""Messages of many records: each is an event, all are accepted in one transaction, and the message is settled once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.intake.envelope import message_of
from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import EventOutcome
from bridge.wiring import route_of
from connectors.base import ACK, NACK, Disposition, LogPartition, Message, Settlement
from hub.acceptance import Partition
from hub.store.sqlite.store import SqliteStore
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.accepting import FakeAccepting

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
CONFIGURATION = (
    """
sources:
  lines: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, decode: { split: lines } }
  named: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, decode: { split: lines }, map: { id: "{{ data.id }}" } }
  native: { rabbitmq: {url: "amqp://127.0.0.1", queue: {name: q}}, decode: { split: data.items } }
  posted: { http: { path: /in/posted }, decode: { split: data, max_body: 300 } }
dead_letters: { sources: { native: { native: true } } }
""",
    """
hubs: { app: {} }
rules:
  - name: paid
    match: { data: { kind: paid } }
    push: { to: "customer:{{ data.customer }}", with: { n: "{{ meta.record }}" } }
""",
)
THREE = b'{"kind": "paid", "customer": "a"}\n{"kind": \n{"kind": "other"}\n'


class Bench:
    def __init__(self, directory: Path) -> None:
        settings = read(directory, *CONFIGURATION)
        self.hub = FakeAccepting()
        self.told = FakeIntakeObserver()
        routes = {name: route_of(name, source, settings) for name, source in settings.sources.items()}
        self.pipeline = Pipeline(routes, settings.rules, self.hub, observer=self.told, clock=lambda: NOW)

    async def handle(self, *messages: Message) -> Sequence[Disposition]:
        settled = await self.pipeline.handle(messages)
        assert [message for message, _ in settled] == list(messages)
        return [answer for _, answer in settled]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def message(body: bytes, source: str = "lines", **changes: Any) -> Message:
    return replace(Message(source=source, body=body, id="m"), **changes)


async def test_each_record_has_its_outcome_and_all_are_accepted_together(bench: Bench) -> None:
    assert await bench.handle(message(THREE), message(b"{}", id="other")) == [ACK, ACK]
    (batch,) = bench.hub.batches
    assert [(ingest.event_id, len(ingest.notifications), len(ingest.dead_letters)) for ingest in batch] == [
        ("m/1", 1, 0),
        ("", 0, 1),
        ("m/3", 0, 0),
        ("other/1", 0, 0),
    ]
    outcomes = [EventOutcome.ACCEPTED, EventOutcome.DEAD_LETTER, EventOutcome.NO_MATCH, EventOutcome.NO_MATCH]
    assert [event.outcome for event in bench.told.stored] == outcomes


async def test_the_dead_letter_of_a_record_is_that_record_alone(bench: Bench) -> None:
    await bench.handle(message(THREE))
    (letter,) = bench.hub.arrivals[1].dead_letters
    assert (letter.body, letter.event_id, letter.reason) == (b'{"kind": ', "m/2", "decode")
    again = message_of(letter.envelope, source="lines", body=letter.body, content_type=None, otherwise_id="x")
    assert (again.id, again.properties) == ("m/2", {"record": 2})
    assert (await bench.pipeline.route(again)).event_id == "m/2"


@pytest.mark.parametrize("body", [b"", b"\n \n"])
async def test_a_body_without_records_is_an_event_without_a_rule(bench: Bench, body: bytes) -> None:
    assert await bench.handle(message(body)) == [ACK]
    assert [event.outcome for event in bench.told.stored] == [EventOutcome.NO_MATCH]
    assert [(ingest.event_id, ingest.dead_letters) for ingest in bench.hub.arrivals] == [("", ())]


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"items": 1}'])
async def test_a_body_that_cannot_be_taken_apart_is_refused_whole(bench: Bench, body: bytes) -> None:
    (disposition,) = await bench.handle(message(body, "native"))
    assert (disposition.settlement, disposition.reason) == (Settlement.REJECT, "decode")
    (ingest,) = bench.hub.arrivals
    assert [letter.body for letter in ingest.dead_letters] == [body]


async def test_a_bad_record_is_not_for_the_broker_to_keep(bench: Bench) -> None:
    """It would keep the good records with it."""
    assert await bench.handle(message(b'{"items": [{"kind": "paid", "customer": "a b"}, {}]}', "native")) == [ACK]
    assert [letter.reason for letter in bench.hub.arrivals[0].dead_letters] == ["tag_unsafe"]


async def test_a_message_that_was_taken_back_is_given_up_with_all_its_records(bench: Bench) -> None:
    assert await bench.handle(message(THREE, is_lost=lambda: True), message(b"{}")) == [NACK, ACK]
    assert len(bench.hub.arrivals) == 1
    assert len(bench.told.given_up) == 3


async def test_a_message_that_comes_again_causes_nothing_again(bench: Bench) -> None:
    one = message(b'{"id": 1, "kind": "paid", "customer": "a"}\n{"id": 2, "kind": "paid", "customer": "a"}', "named")
    await bench.handle(one)
    await bench.handle(replace(one, id="another"))
    assert [event.outcome for event in bench.told.stored[2:]] == [EventOutcome.DUPLICATE] * 2


async def test_a_sender_is_told_what_became_of_how_many(bench: Bench) -> None:
    body = b'[{"kind": "paid", "customer": "a"}, {"kind": "paid", "customer": "a b"}, {"kind": "paid"}, {}]'
    (disposition,) = await bench.handle(message(body, "posted"))
    assert disposition.settlement is Settlement.ACK
    assert disposition.answer is not None
    assert {**disposition.answer, "failures": ()} == {
        "id": "m",
        "outcome": "split",
        "records": 4,
        "outcomes": {"accepted": 1, "dead_letter": 2, "no_rule": 1},
        "failures": (),
    }
    assert [(each["record"], each["reason"]) for each in disposition.answer["failures"]] == [
        (2, "tag_unsafe"),
        (3, "render"),
    ]


@pytest.mark.parametrize("body, reason", [(b"{}", "decode"), (b"[" + b"1," * 200 + b"1]", "too_large")])
async def test_a_sender_whose_body_cannot_be_taken_apart_has_it_still(bench: Bench, body: bytes, reason: str) -> None:
    (disposition,) = await bench.handle(message(body, "posted"))
    assert (disposition.settlement, disposition.reason) == (Settlement.REJECT, reason)
    assert bench.hub.arrivals[0].dead_letters == ()


async def test_many_records_go_to_the_store_before_more_messages_are_read(bench: Bench) -> None:
    many = [message(b"{}\n" * 2_600, id=f"{number}") for number in range(3)]
    assert await bench.handle(*many) == [ACK] * 3
    assert [len(batch) for batch in bench.hub.batches] == [5_200, 2_600]


async def test_records_of_a_log_move_its_offset_once_and_come_again_together(bench: Bench, tmp_path: Path) -> None:
    """Their offset is that of their message, in one transaction with all of them."""
    store = SqliteStore(tmp_path / "offsets.db")
    await store.open()
    partition = LogPartition(reader="r", topic="t", number=0)
    one = message(THREE, id=None, position="t/0/7", offset=(partition, 7))
    for expected in ([], [0, 1, 2]):
        await bench.handle(one)
        result = await store.accept(bench.hub.batches[-1], start=0)
        assert sorted(result.duplicates) == expected
    assert await store.offsets([Partition(*partition)]) == {Partition(*partition): 8}
    await bench.handle(message(b"", id=None, position="t/0/8", offset=(partition, 8)))
    await store.accept(bench.hub.batches[-1], start=0)
    assert await store.offsets([Partition(*partition)]) == {Partition(*partition): 9}
    await store.close()
