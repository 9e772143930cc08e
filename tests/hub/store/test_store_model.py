"""The outbox against a model of dictionaries: no order of calls, crashes and lost queues loses or doubles anything."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pyroaring import BitMap

from hub.acceptance import Ingest
from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.contracts.outbox import Audience, PageResult, RetryPage, Service, Work
from hub.store.outbox.remembering import SeenWindow
from hub.store.store import SqlStore
from hub.work import Lane
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import everything
from tests.hub.store.test_store import DatabaseStores, SqliteStores

T = TypeVar("T")
FCM, APNS = (HUB, Platform.FCM), (HUB, Platform.APNS)
SUCCESS = OutcomeName.SUCCESS
WINDOW = 600.0
PAGE = 10
"""Registrations in a page of this model."""


@dataclass(slots=True)
class Piece:
    """A piece of work as it should stand: done so far, of so many registrations; `again` are to be tried again."""

    notification: str
    service: Service | None
    lane: Lane
    ordinals: BitMap
    due: float
    is_own: bool = False
    done: int = 0
    again: BitMap = field(default_factory=BitMap)
    attempt: int = 0
    held: Work | None = None


class OutboxMachine(RuleBasedStateMachine):
    """Each piece is found by its row's number; the model knows the number from the first time that the piece is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self.stores = self.make_stores()
        self.pieces: list[Piece] = []
        self.ended: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.events: dict[str, float] = {}
        self.users: set[str] = set()
        self.store: SqlStore

    def make_stores(self) -> DatabaseStores:
        """On a database of this machine alone."""
        self._folder = tempfile.TemporaryDirectory()
        return SqliteStores(Path(self._folder.name) / "hub.db")

    def remove_stores(self) -> None:
        self._folder.cleanup()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(call)

    @initialize()
    def open(self) -> None:
        self.store = self.run(self.stores.open(window=SeenWindow(seconds=WINDOW)))

    def teardown(self) -> None:
        self.run(self.stores.close())
        self._loop.close()
        self.remove_stores()

    @property
    def now(self) -> float:
        return self.stores.clock()

    # Acceptance

    @rule(events=st.lists(st.integers(0, 9), min_size=1, max_size=4), start=st.integers(0, 3))
    def accept(self, events: list[int], start: int) -> None:
        batch = []
        new = []
        for event in events:
            one = notification()
            batch.append(Ingest(source="orders", event_id=f"e-{event}", notifications=[one]))
            at = self.events.get(f"e-{event}")
            if at is None or int(self.now - WINDOW) > int(at):  # marks are kept in whole seconds
                self.events[f"e-{event}"] = self.now
                new.append(one)
        result = self.run(self.store.accept(batch, start=start))
        assert len(result.duplicates) == len(events) - len(new)
        assert [work.notification for work in result.work] == new[:start]
        works = {work.notification.id: work for work in result.work}
        for one in new:
            piece = Piece(one.id, None, Lane.SINGLE, BitMap(range(PAGE)), self.now, is_own=True)
            piece.held = works.get(one.id)
            self.pieces.append(piece)
            self.counts[one.id] = 0

    # Taking

    @rule(lane=st.sampled_from(list(Lane)), limit=st.integers(1, 5), service=st.sampled_from([None, FCM, APNS, "all"]))
    def take(self, lane: Lane, limit: int, service: Any) -> None:
        wanted = everything(limit=limit) if service == "all" else {service: limit}
        taken = self.run(self.store.take(lane, wanted))
        due = [one for one in self.pieces if one.lane is lane and one.held is None and one.due <= self.now]
        for key, most in wanted.items():
            mine = sorted(one.due for one in due if one.service == key)[:most]
            assert [work.due_at for work in taken if work.service == key] == mine
        for work in taken:
            self._held(work, due)

    def _held(self, work: Work, due: list[Piece]) -> None:
        """Of the pieces that look alike, one is in hand now."""
        piece = next(
            one
            for one in due
            if one.held is None
            and (one.notification, one.service, one.due) == (work.notification.id, work.service, work.due_at)
            and (one.is_own or one.ordinals == work.ordinals)
        )
        assert (work.done, work.again or BitMap(), work.attempt) == (piece.done, piece.again, piece.attempt)
        piece.held = work

    def _pick(self, data: st.DataObject, *, own: bool | None = None) -> Piece:
        held = [one for one in self.pieces if one.held is not None and own in (None, one.is_own and not one.done)]
        return data.draw(st.sampled_from(held))

    def _has_held(self) -> bool:
        return any(one.held is not None for one in self.pieces)

    # What becomes of work

    @precondition(_has_held)
    @rule(data=st.data(), count=st.integers(1, PAGE), retried=st.booleans())
    def record_a_piece(self, data: st.DataObject, count: int, retried: bool) -> None:
        piece = self._pick(data)
        assert piece.held is not None
        done = min(piece.done + count, len(piece.ordinals))
        if done == len(piece.ordinals):
            return
        again = piece.again | (BitMap([piece.ordinals[done - 1]]) if retried else BitMap())
        well = done - piece.done - retried
        result = PageResult(
            work=piece.held,
            counts={Platform.FCM: {SUCCESS: well}} if well else {},
            done_before=piece.done,
            done=done,
            is_last=False,
            again=again,
            ordinals=piece.ordinals if piece.is_own and not piece.done else None,
        )
        assert self.run(self.store.record([result])).late == 0
        assert self.run(self.store.record([result])).late == 1
        piece.done, piece.again = done, again
        self.counts[piece.notification] += well

    @precondition(_has_held)
    @rule(data=st.data(), delay=st.integers(0, 20))
    def record_the_last(self, data: st.DataObject, delay: int) -> None:
        piece = self._pick(data)
        assert piece.held is not None
        well = len(piece.ordinals) - piece.done
        retries = []
        if piece.again:
            retries = [RetryPage(platform=Platform.FCM, ordinals=piece.again, delay=delay, attempt=piece.attempt + 1)]
            self.pieces.append(
                Piece(piece.notification, FCM, piece.lane, piece.again, self.now + delay, attempt=piece.attempt + 1)
            )
        result = PageResult(
            work=piece.held,
            counts={Platform.FCM: {SUCCESS: well}},
            done_before=piece.done,
            done=len(piece.ordinals),
            retries=retries,
        )
        recorded = self.run(self.store.record([result]))
        assert recorded.late == 0
        self.pieces.remove(piece)
        self.counts[piece.notification] += well
        ends_at_once = piece.is_own and not retries
        assert recorded.ended == ({(HUB, State.COMPLETED): 1} if ends_at_once else {})
        if ends_at_once:
            self.ended[piece.notification] = self.counts[piece.notification]
        assert self.run(self.store.record([result])).late == 1

    @precondition(lambda self: any(one.held is not None and one.is_own and not one.done for one in self.pieces))
    @rule(data=st.data(), pages=st.lists(st.sampled_from([Platform.FCM, Platform.APNS]), min_size=1, max_size=3))
    def expand(self, data: st.DataObject, pages: list[Platform]) -> None:
        piece = self._pick(data, own=True)
        assert piece.held is not None
        found = [(platform, BitMap(range(n * PAGE, n * PAGE + PAGE))) for n, platform in enumerate(pages)]
        self.run(self.store.expand(piece.held, Audience(pages=found)))
        self.pieces.remove(piece)
        for platform, ordinals in found:
            self.pieces.append(Piece(piece.notification, (HUB, platform), Lane.BROADCAST, ordinals, self.now))

    @precondition(_has_held)
    @rule(data=st.data(), delay=st.integers(0, 20))
    def postpone(self, data: st.DataObject, delay: int) -> None:
        piece = self._pick(data)
        assert piece.held is not None
        service = piece.service or data.draw(st.sampled_from([None, FCM, APNS]))
        self.run(self.store.postpone([piece.held], delay=delay, service=service))
        piece.held, piece.service, piece.due = None, service, self.now + delay

    @precondition(_has_held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        piece = self._pick(data)
        assert piece.held is not None
        self.run(self.store.give_back([piece.held]))
        piece.held = None

    # Time, and what goes wrong

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, WINDOW + 1]))
    def wait(self, seconds: float) -> None:
        self.stores.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-7200.0, 7200.0]))
    def set_the_clock(self, seconds: float) -> None:
        self.stores.clock.set_by(seconds)
        self.run(self.store.tick())
        for piece in self.pieces:
            piece.due += seconds
        self.events = {event: at + seconds for event, at in self.events.items()}

    @rule()
    def crash(self) -> None:
        self.run(self.stores.crash())
        self.store = self.run(self.stores.open(window=SeenWindow(seconds=WINDOW)))
        for piece in self.pieces:
            piece.held = None

    @rule()
    def take_over(self) -> None:
        before = self.store
        self.store = self.run(self.stores.take_over(window=SeenWindow(seconds=WINDOW)))
        late = [
            PageResult(work=one.held, counts={}, done_before=one.done) for one in self.pieces if one.held is not None
        ]
        assert self.run(before.record(late)).late == len(late)
        for piece in self.pieces:
            piece.held = None

    @rule()
    def forget(self) -> None:
        while self.run(self.store.forget_ended(kept=0)):
            pass

    @rule(user=st.sampled_from(["ann", "bob"]), erased=st.booleans())
    def register_or_erase(self, user: str, erased: bool) -> None:
        if erased:
            self.run(self.store.erase_user(HUB, user))
            self.users.discard(user)
        else:
            phone = installation(user, templates=False)
            self.run(self.store.put_installations(HUB, [phone]))
            self.users.add(user)

    @rule()
    def sum_up(self) -> None:
        open_ones = {one.notification for one in self.pieces}
        ready = self.counts.keys() - open_ones - self.ended.keys()
        recorded = self.run(self.store.sum_up())
        assert sum(recorded.ended.values()) == len(ready)
        self.ended |= {one: self.counts[one] for one in ready}

    @invariant()
    def what_waits_is_counted(self) -> None:
        if not hasattr(self, "store"):
            return
        backlog = self.run(self.store.backlog())
        mine: dict[Service | None, int] = {}
        for piece in self.pieces:
            mine[piece.service] = mine.get(piece.service, 0) + 1
        assert {service: count for service, count in backlog.items() if count} == mine


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestOutbox = pytest.mark.slow(OutboxMachine.TestCase)
