"""Flow control as stores keep it: what is sent once, throttled, gathered into a digest, withdrawn, and sent in order."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.acceptance import DeadLetter, DigestError, Ingest, JournalEntry
from hub.flow import Dedupe, Digest, RuleFlow, SuppressionCause, Throttle, flow_key, part_of_digest, shared_key
from hub.notification import EVERYONE, NativeContent, Notification, Platform, TemplateContent
from hub.outcome import State
from hub.store.contracts.outbox import AcceptanceResult
from hub.store.outbox import flow_sweep
from hub.store.rows import moment
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.accepting import dead_letter
from tests.hub.store.suite.harness import WHOLE, Stores, Suite, begin, take, went_well
from tests.hub.store.suite.quieting import with_one_held
from tests.hub.store.suite.sinks import Told, bodies

TIME = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE = "spike"
ENTRY = JournalEntry(source="bank", event_id="", outcome="accepted", detail=b"{}")


def said(title: str, rule: str = RULE, **changes: Any) -> Notification:
    return notification(EVERYONE, content=TemplateContent(properties={"title": title}), rule=rule, **changes)


def once(id_: str, key: str, *, seconds: float = 60.0) -> Ingest:
    """An event of a rule with `dedupe`."""
    flow = RuleFlow(rule=RULE, event_id=id_, dedupe=Dedupe(key=flow_key("dedupe", RULE, key), seconds=seconds))
    return event(id_, said(id_), flow)


def throttled(
    id_: str,
    key: str = "k",
    *,
    most: int = 1,
    seconds: float = 60.0,
    digest: bool = True,
    native: bool = False,
    failing: DeadLetter | None = None,
    under: str = "",
) -> Ingest:
    """An event of a rule with `throttle`, whose digest says how many there were and which was the last."""
    flow_key_ = shared_key(under) if under else b""
    own = [said(id_, flow_key=flow_key_)]
    if native:
        own.append(replace(said(id_, flow_key=flow_key_), content=NativeContent(platform=Platform.APNS, payload=b"{}")))

    def digest_of(digest: Digest) -> Sequence[Notification]:
        if failing is not None:
            raise DigestError(failing)
        span = f"{digest.first:%H:%M:%S}-{digest.last:%H:%M:%S}"
        title = TemplateContent(properties={"title": f"{digest.count} {span} {id_}"})
        return [
            replace(
                each,
                id=part_of_digest(digest.id, each.content),
                content=title if isinstance(each.content, TemplateContent) else each.content,
                schedule_at=digest.at,
            )
            for each in own
        ]

    throttle = Throttle(
        key=flow_key("throttle", RULE, key),
        most=most,
        seconds=seconds,
        time=TIME + timedelta(seconds=int(id_)),
        digest=digest_of if digest else None,
    )
    return event(id_, own, RuleFlow(rule=RULE, event_id=id_, throttle=throttle))


def cancelling(id_: str, key: str) -> Ingest:
    return event(id_, [], RuleFlow(rule="paid", event_id=id_, cancels=shared_key(key)))


def in_turn(id_: str, key: str) -> Ingest:
    """An event of a rule with `order: key`."""
    return event(id_, said(id_, flow_key=shared_key(key), in_order=True), RuleFlow(rule=RULE))


def event(id_: str, own: Notification | Sequence[Notification], flow: RuleFlow) -> Ingest:
    sent = [own] if isinstance(own, Notification) else own
    return Ingest(source="bank", event_id=id_, notifications=sent, flow=[flow], journal=replace(ENTRY, event_id=id_))


def later(clock: HostClock, seconds: float, key: str, title: str = "later") -> Ingest:
    """An event whose notification waits for its time under a key."""
    waiting = said(title, rule="remind", schedule_at=moment(clock() + seconds), flow_key=shared_key(key))
    return event(title, waiting, RuleFlow(rule="remind"))


async def accept(store: SqlStore, *batch: Ingest, start: int = WHOLE) -> AcceptanceResult:
    return await store.accept(batch, start=start)


def causes(result: AcceptanceResult) -> dict[int, list[str]]:
    return {index: [each.cause.value for each in those] for index, those in result.suppressed.items()}


def titles(result: AcceptanceResult) -> list[str]:
    return [title_of(piece.notification) for piece in result.work]


def title_of(sent: Notification) -> str:
    return sent.content.properties["title"] if isinstance(sent.content, TemplateContent) else "native"


async def end(store: SqlStore, result: AcceptanceResult) -> None:
    await store.record([went_well(piece) for piece in result.work])


class FlowControl(Suite):
    async def test_a_key_fires_once_within_its_time_in_one_batch_and_in_many(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        first = await accept(store, once("1", "a"), once("2", "a"), once("3", "b"))
        assert (titles(first), causes(first)) == (["1", "3"], {1: ["dedupe"]})
        clock.advance(59)
        assert causes(await accept(store, once("4", "a"))) == {0: ["dedupe"]}
        clock.advance(2)
        assert titles(await accept(store, once("5", "a"))) == ["5"], "what was suppressed makes it no longer"

    async def test_a_repeated_event_counts_nothing(self, store: SqlStore) -> None:
        await accept(store, throttled("1", most=2))
        again = await accept(store, throttled("1", most=2), throttled("1", most=2))
        assert again.duplicates == {0, 1}
        assert not causes(again)
        assert titles(await accept(store, throttled("2", most=2))) == ["2"]

    async def test_what_is_too_much_in_a_window_is_dropped_and_the_next_window_begins_anew(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        batch = [throttled(str(number), most=2, digest=False) for number in range(5)]
        result = await accept(store, *batch)
        assert titles(result) == ["0", "1"]
        assert causes(result) == {key: ["throttle"] for key in (2, 3, 4)}
        assert result.not_sent == 3
        clock.advance(60)
        assert titles(await accept(store, throttled("9", most=2, digest=False))) == ["9"]

    async def test_a_digest_tells_of_the_rest_once_at_the_end_of_the_window(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await end(store, await accept(store, throttled("1")))
        clock.advance(10)
        second = await accept(store, throttled("2"), throttled("3"))
        assert (list(second.work), second.not_sent) == ([], 1)
        await accept(store, throttled("4"))
        (suppression,) = second.suppressed[0]
        details = await store.details(HUB, suppression.digest)
        assert details.state is State.SCHEDULED
        clock.advance(49)
        assert not await take(store)
        clock.advance(1)
        (digest,) = await take(store)
        assert title_of(digest.notification) == "3 12:00:02-12:00:04 4"
        assert (digest.notification.id, digest.notification.event_id) == (suppression.digest, "")
        await store.record([went_well(digest)])
        clock.advance(60)
        assert not await take(store), "one digest a window"
        assert titles(await accept(store, throttled("5"))) == ["5"]

    async def test_all_that_a_rule_says_of_an_event_counts_once(self, store: SqlStore, clock: HostClock) -> None:
        first = await accept(store, throttled("1", native=True))
        assert len(first.work) == 2
        await end(store, first)
        result = await accept(store, throttled("2", native=True), throttled("3", native=True))
        assert (causes(result), result.not_sent) == ({0: ["throttle"], 1: ["throttle"]}, 2)
        await accept(store, throttled("4", native=True))
        clock.advance(60)
        assert sorted(title_of(each.notification) for each in await take(store)) == ["3 12:00:02-12:00:04 4", "native"]

    async def test_a_changed_window_holds_for_the_next_one(self, store: SqlStore, clock: HostClock) -> None:
        await end(store, await accept(store, throttled("1", seconds=60)))
        await accept(store, throttled("2", seconds=600))
        clock.advance(60)
        assert [title_of(each.notification) for each in await take(store)] == ["1 12:00:02-12:00:02 2"]
        assert titles(await accept(store, throttled("3", seconds=600))) == ["3"]
        await accept(store, throttled("4", seconds=60))
        clock.advance(60)
        assert "4" not in {title_of(each.notification)[-1] for each in await take(store)}

    async def test_a_digest_goes_on_after_a_restart(self, stores: Stores) -> None:
        store = await stores.open()
        await end(store, await accept(store, throttled("1")))
        await accept(store, throttled("2"))
        await stores.crash()
        store = await stores.open()
        await accept(store, throttled("3"))
        stores.clock.advance(60)
        assert [title_of(each.notification) for each in await take(store)] == ["2 12:00:02-12:00:03 3"]

    async def test_a_digest_that_cannot_be_filled_is_a_dead_letter_of_its_event_alone(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await end(store, await accept(store, throttled("1")))
        await accept(store, throttled("2"))
        failed = await accept(store, throttled("3", failing=dead_letter(event_id="3")))
        assert [each.event_id for each in failed.failed[0]] == ["3"]
        assert [each.letter.event_id for each in (await store.letters(limit=9)).items] == ["3"]
        clock.advance(60)
        assert [title_of(each.notification) for each in await take(store)] == ["1 12:00:02-12:00:02 2"]

    async def test_a_key_withdraws_what_waits_under_it_and_says_who_did_it(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        store.report_to(Told("crm"))
        await accept(store, later(clock, 600, "a"), later(clock, 600, "b", "other"))
        await end(store, await accept(store, throttled("1", under="a")))
        await accept(store, throttled("2", under="a"))
        result = await accept(store, cancelling("9", "a"))
        assert sorted(each.of for each in result.withdrawn[0]) == ["remind", "spike"]
        for each in result.withdrawn[0]:
            kept = await store.notification(each.notification)
            assert (kept.state, kept.cancelled_by) == (State.CANCELLED, "rule paid, event 9")
        assert sorted(await bodies(store)) == ["remind Cancelled", "spike Cancelled", "spike Completed"]
        clock.advance(600)
        assert [title_of(each.notification) for each in await take(store)] == ["other"]

    async def test_what_a_batch_makes_wait_the_same_batch_can_withdraw(self, store: SqlStore, clock: HostClock) -> None:
        result = await accept(
            store,
            cancelling("0", "a"),
            later(clock, 600, "a"),
            throttled("1", under="a"),
            throttled("2", under="a"),
            cancelling("9", "a"),
            throttled("3", under="a"),
        )
        assert [len(result.withdrawn.get(index, ())) for index in (0, 4)] == [0, 2]
        assert titles(result) == ["1"]
        clock.advance(600)
        assert [title_of(each.notification) for each in await take(store)] == ["1 12:00:03-12:00:03 3"]

    async def test_a_repeated_cancel_withdraws_nothing_of_what_came_after_it(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await accept(store, cancelling("9", "a"))
        await accept(store, later(clock, 600, "a"))
        again = await accept(store, cancelling("9", "a"))
        assert again.duplicates == {0}
        assert not again.withdrawn

    async def test_what_quiet_hours_hold_is_withdrawn_and_what_was_sent_stays_counted(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        work, _ = await with_one_held(store, clock() + 3600, flow_key=shared_key("a"))
        (withdrawal,) = (await accept(store, cancelling("9", "a"))).withdrawn[0]
        kept = await store.notification(withdrawal.notification)
        assert (kept.id, kept.state, kept.cancelled_by) == (work.notification.id, State.CANCELLED, "rule paid, event 9")
        assert kept.counts == {"fcmv1": {"Success": 1}}
        clock.advance(3600)
        assert not await take(store)
        assert not (await accept(store, cancelling("10", "a"))).withdrawn

    async def test_what_has_started_is_not_recalled(self, store: SqlStore) -> None:
        (work,) = await begin(store, said("x", flow_key=shared_key("a")))
        assert not (await accept(store, cancelling("9", "a"))).withdrawn
        await store.record([went_well(work)])
        assert (await store.details(HUB, work.notification.id)).state is State.COMPLETED

    async def test_in_order_of_a_key_one_starts_when_the_one_before_has_ended(self, store: SqlStore) -> None:
        first = await accept(store, in_turn("1", "a"), in_turn("2", "a"), in_turn("3", "b"))
        assert titles(first) == ["1", "3"]
        assert titles(await accept(store, in_turn("4", "a"))) == []
        assert not await take(store)
        await store.record([went_well(first.work[1])])
        assert not await take(store), "another key's end is not the one"
        await store.record([went_well(first.work[0])])
        (second,) = await take(store)
        assert title_of(second.notification) == "2"
        await store.record([went_well(second)])
        (third,) = await take(store)
        assert title_of(third.notification) == "4"
        await store.record([went_well(third)])
        assert titles(await accept(store, in_turn("5", "a"))) == ["5"]

    async def test_one_that_waited_long_for_the_one_before_is_as_young_as_its_turn(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        first = await accept(store, in_turn("1", "a"), in_turn("2", "a"), in_turn("3", "a"))
        clock.advance(3600)
        turn = moment(clock())
        await end(store, first)
        (second,) = await take(store)
        assert second.notification.schedule_at == turn

    @pytest.mark.parametrize("batches", [1, 2])
    async def test_a_key_withdraws_what_waits_for_its_turn_and_not_what_has_begun(
        self, store: SqlStore, batches: int
    ) -> None:
        batch = [in_turn("1", "a"), in_turn("2", "a"), in_turn("3", "a"), cancelling("9", "a"), in_turn("4", "a")]
        if batches == 1:
            result = await accept(store, *batch)
            work, withdrawn = result.work, result.withdrawn[3]
        else:
            work = (await accept(store, *batch[:3])).work
            withdrawn = (await accept(store, *batch[3:])).withdrawn[0]
        sent = [notification for ingest in batch for notification in ingest.notifications]
        assert {each.notification for each in withdrawn} == {each.id for each in sent[1:3]}
        assert [title_of(piece.notification) for piece in work] == ["1"]
        assert (await store.details(HUB, sent[1].id)).state is State.CANCELLED
        await store.record([went_well(piece) for piece in work])
        assert [title_of(piece.notification) for piece in await take(store)] == ["4"]

    async def test_a_clock_that_is_set_forward_makes_no_digest_of_each_event(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await accept(store, *[throttled(str(number), seconds=600.0) for number in range(3)])
        clock.set_by(3600)
        await store.tick()
        assert len(await take(store)) == 1
        for number in range(3, 6):
            await accept(store, throttled(str(number), seconds=600.0))
            assert not await take(store)
        clock.advance(600)
        (digest,) = await take(store)
        assert title_of(digest.notification).startswith("3 ")

    async def test_what_begins_to_wait_while_others_are_released_goes_out_at_its_time(
        self, store: SqlStore, clock: HostClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await accept(store, later(clock, 10, "a", "first"))
        clock.advance(10)
        release = store._outbox.releaser._release_held

        async def with_another(queue: int, next_due: float) -> float:
            monkeypatch.setattr(store._outbox.releaser, "_release_held", release)
            await accept(store, later(clock, 10, "a", "second"))
            return await release(queue, next_due)

        monkeypatch.setattr(store._outbox.releaser, "_release_held", with_another)
        assert [title_of(piece.notification) for piece in await take(store)] == ["first"]
        clock.advance(10)
        assert [title_of(piece.notification) for piece in await take(store)] == ["second"]

    async def test_the_journal_says_what_became_of_each_rule(self, store: SqlStore) -> None:
        other = replace(throttled("2"), notifications=[said("2"), said("x", rule="other")])
        result = await accept(store, throttled("1"), other, throttled("3"))
        (digest,) = {each.digest for those in result.suppressed.values() for each in those}
        outcomes = {each.event_id: (each.outcome, each.flow) for each in (await store.journal(limit=9)).items}
        suppressed = f'{{"suppressed":[["spike","throttle","{digest}"]]}}'
        assert outcomes == {"1": ("accepted", ""), "2": ("accepted", suppressed), "3": ("suppressed", suppressed)}

    async def test_states_that_say_nothing_any_more_are_forgotten(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await accept(store, *(once(uuid.uuid4().hex, str(key)) for key in range(300)))
        await accept(store, once("x", "long", seconds=86_400))
        assert await stores.read(flow_sweep.COUNT) == [(301,)]
        clock.advance(60 + 61 + flow_sweep.EVERY)
        await store.tick()
        assert await stores.read(flow_sweep.COUNT) == [(1,)]
        assert causes(await accept(store, once("y", "long", seconds=86_400))) == {0: [SuppressionCause.DEDUPE.value]}
