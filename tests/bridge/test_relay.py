"""Dead letters reach the broker: confirmed, then marked; the same id on every try; a broker away costs time only."""

import asyncio
from collections.abc import Sequence

import pytest

from bridge.intake.publishing import OutgoingLetters
from bridge.relay import Relay, message_id, noting
from connectors.base import OutMessage
from connectors.errors import NotConnectedError, PublishError
from hub.acceptance import DeadLetter
from hub.errors import StoreError
from tests.fakes.publishers import FakePublisher
from tests.fakes.virtual_time import in_virtual_time

LETTER = DeadLetter(
    source="orders",
    event_id="e-1",
    rule="paid",
    stage="rule",
    reason="render",
    detail="data.amount is missing",
    body=b'{"kind": "paid"}',
    content_type="application/json",
    headers={"x-tenant": "7"},
    tries=2,
    config_hash="c0ffee",
    relay="orders",
)


class LetterStore:
    """Letters in memory. `errors` are raised by the next call of an operation."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.letters = dict(enumerate(letters, 1))
        self.asked: list[str] = []
        self.marked: list[int] = []
        self.errors: dict[str, Exception] = {}

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        self._fail("dead_letters")
        self.asked.append(relay)
        return [(number, 0.0, letter) for number, letter in self.letters.items()][:limit]

    async def published(self, ids: Sequence[int]) -> None:
        self._fail("relayed")
        self.marked += ids
        for number in ids:
            del self.letters[number]

    def _fail(self, operation: str) -> None:
        if operation in self.errors:
            raise self.errors.pop(operation)


def ids(*rows: int) -> list[str]:
    return [message_id("orders", row, at=0.0, body=LETTER.body) for row in rows]


class Bench:
    def __init__(self, publisher: FakePublisher, *letters: DeadLetter) -> None:
        self.publisher = publisher
        self.store = LetterStore(*letters)
        self.troubles: list[str] = []
        self._relay = Relay(
            "orders",
            publisher,
            OutgoingLetters("orders", self.store, destination="letters"),
            observe=self._observe,
        )

    async def run_for(self, seconds: float) -> None:
        running = asyncio.create_task(self._relay.run())
        await asyncio.sleep(seconds)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    def _observe(self, name: str, trouble: str) -> None:
        assert name == "orders"
        if self.troubles[-1:] != [trouble]:
            self.troubles.append(trouble)


@in_virtual_time
async def test_a_letter_goes_out_with_its_bytes_its_headers_and_why_it_came_here() -> None:
    bench = Bench(FakePublisher(), LETTER)
    await bench.run_for(3)
    assert bench.publisher.published == [
        [
            OutMessage(
                id=ids(1)[0],
                body=LETTER.body,
                destination="letters",
                content_type="application/json",
                headers={
                    "x-tenant": "7",
                    "x-pushbridge-source": "orders",
                    "x-pushbridge-event-id": "e-1",
                    "x-pushbridge-rule": "paid",
                    "x-pushbridge-stage": "rule",
                    "x-pushbridge-reason": "render",
                    "x-pushbridge-detail": "data.amount is missing",
                    "x-pushbridge-tries": "2",
                    "x-pushbridge-config-hash": "c0ffee",
                },
            )
        ]
    ]
    assert bench.store.marked == [1]
    assert set(bench.store.asked) == {"orders"}
    assert bench.troubles == [""]
    assert bench.publisher.closes == 1


@in_virtual_time
async def test_what_is_not_confirmed_is_published_again_under_the_same_id_and_marked_only_then() -> None:
    bench = Bench(FakePublisher(publish_errors=[PublishError("returned: no route")]), LETTER)
    await bench.run_for(0.1)
    assert bench.store.marked == []
    assert bench.troubles == ["returned: no route"]
    await bench.run_for(3)
    first, second = bench.publisher.published
    assert first == second
    assert bench.store.marked == [1]
    assert bench.troubles[-1] == ""


@in_virtual_time
async def test_what_was_confirmed_beside_what_was_not_is_not_published_again() -> None:
    error = PublishError("the queue is full", published=frozenset(ids(1, 3)))
    bench = Bench(FakePublisher(publish_errors=[error]), *[LETTER] * 4)
    await bench.run_for(3)
    tries = [[message.id for message in messages] for messages in bench.publisher.published]
    assert tries == [ids(1, 2, 3, 4), ids(2, 4)]
    assert bench.store.marked == [1, 3, 2, 4]
    assert bench.troubles == ["the queue is full", ""]


@in_virtual_time
async def test_a_letter_that_could_not_be_marked_goes_out_again_under_the_same_id() -> None:
    bench = Bench(FakePublisher(), LETTER)
    bench.store.errors["relayed"] = StoreError("disk full")
    await bench.run_for(3)
    first, second = bench.publisher.published
    assert [message.id for message in first] == [message.id for message in second] == ids(1)
    assert bench.store.letters == {}


@in_virtual_time
async def test_a_broker_that_is_away_is_asked_with_growing_pauses_and_gets_everything_in_the_end() -> None:
    gone = NotConnectedError("the network is gone")
    bench = Bench(FakePublisher(connect_errors=[gone] * 4), LETTER)
    await bench.run_for(1 + 2 + 4 + 0.5)
    assert bench.publisher.connects == 4
    assert bench.troubles == ["the network is gone"]
    bench = Bench(FakePublisher(connect_errors=[gone] * 4), LETTER)
    await bench.run_for(1 + 2 + 4 + 8 + 0.5)
    assert bench.store.marked == [1]
    assert bench.troubles == ["the network is gone", ""]


@in_virtual_time
async def test_a_broker_that_is_away_for_an_hour_is_asked_seldom_and_gets_everything_soon_after() -> None:
    publisher = FakePublisher(connect_errors=[NotConnectedError("the network is gone")] * 1000)
    bench = Bench(publisher, *[LETTER] * 250)
    running = asyncio.create_task(bench.run_for(3600 + 60))
    await asyncio.sleep(3600)
    assert 60 <= publisher.connects <= 180
    assert len(bench.store.letters) == 250
    publisher.connect_errors.clear()
    await running
    assert bench.store.marked == list(range(1, 251))
    assert bench.troubles == ["the network is gone", ""]


@in_virtual_time
async def test_a_broker_that_refuses_every_letter_is_not_asked_every_second() -> None:
    bench = Bench(FakePublisher(publish_errors=[PublishError("no route")] * 100), LETTER)
    await bench.run_for(120)
    assert len(bench.publisher.published) <= 8
    assert bench.troubles == ["no route"]


class Reports:
    """Two reports, of which the receiver refuses the first by itself: it is tried again after ten minutes."""

    def __init__(self) -> None:
        self.due = {1: 0.0, 2: 0.0}

    async def waiting(self, limit: int) -> dict[int, OutMessage]:
        now = asyncio.get_running_loop().time()
        ready = [row for row, due in self.due.items() if due <= now]
        return {row: OutMessage(id=f"crm-{row}", body=b"{}", destination="") for row in ready}

    async def published(self, rows: Sequence[int]) -> None:
        for row in rows:
            del self.due[row]

    async def refused(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.due[row] = asyncio.get_running_loop().time() + 600


@in_virtual_time
async def test_a_report_that_is_refused_by_itself_is_trouble_until_it_is_taken_and_each_change_is_told_once() -> None:
    """Readiness said ok of a sink that refused reports, and no line of the log did."""
    error = PublishError("crm-1: HTTP 400", published=frozenset({"crm-2"}))
    publisher, troubles, told = FakePublisher(publish_errors=[error, error]), dict[str, str](), []
    relay = Relay("crm", publisher, Reports(), observe=noting(troubles, lambda name, trouble: told.append(trouble)))
    running = asyncio.create_task(relay.run())
    for seconds in (300, 400):
        await asyncio.sleep(seconds)
        assert troubles == {"crm": "crm-1: HTTP 400"}
    await asyncio.sleep(700)
    assert troubles == {"crm": ""}
    assert told == ["crm-1: HTTP 400", ""]
    running.cancel()


@in_virtual_time
async def test_many_letters_go_out_in_batches_of_a_hundred_oldest_first() -> None:
    bench = Bench(FakePublisher(), *[LETTER] * 250)
    await bench.run_for(0.5)
    assert [len(batch) for batch in bench.publisher.published] == [100, 100, 50]
    assert bench.store.marked == list(range(1, 251))


@in_virtual_time
async def test_a_store_that_fails_is_asked_again() -> None:
    bench = Bench(FakePublisher(), LETTER)
    bench.store.errors["dead_letters"] = StoreError("locked")
    await bench.run_for(3)
    assert bench.troubles == ["locked", ""]
    assert bench.store.marked == [1]


@in_virtual_time
async def test_a_defect_of_ours_is_shown_without_its_text_and_outlived() -> None:
    bench = Bench(FakePublisher(publish_errors=[ZeroDivisionError("canary")]), LETTER)
    await bench.run_for(3)
    assert bench.troubles == ["ZeroDivisionError: a defect of ours", ""]
    assert bench.store.marked == [1]


def test_a_row_has_one_id_and_a_row_of_a_new_store_another() -> None:
    """A queue of Service Bus that looks for duplicates would drop what has the id of an earlier message."""
    row = message_id("crm", 7, at=1_800_000_000.25, body=b"{}")
    assert row == message_id("crm", 7, at=1_800_000_000.25, body=b"{}") == "crm-7-71debcbac95d2ca7"
    others = [
        message_id("crm", 7, at=1_800_000_000.5, body=b"{}"),  # written by a new store, a moment later
        message_id("crm", 7, at=1_800_000_000.25, body=b"[]"),
        message_id("crm", 8, at=1_800_000_000.25, body=b"{}"),
        message_id("desk", 7, at=1_800_000_000.25, body=b"{}"),
    ]
    assert len({row, *others}) == 5
