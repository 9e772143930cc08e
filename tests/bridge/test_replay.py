"""Dead letters once more: the same message, today's rules, and nothing twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.app import Daemon
from bridge.intake.envelope import envelope_of, message_of
from bridge.observe.facts import ReplayOutcome
from bridge.observe.replay import Replay
from connectors.base import Message
from hub.acceptance import Ingest, Reason
from hub.delivery.refused import letter_of, notification_from
from hub.errors import NotFoundError
from hub.notification import NativeContent, Notification, Platform, Priority
from hub.quiet import QuietHours
from hub.store.contracts.dead_letters import KeptLetter, LetterFilter
from hub.windows import Window
from tests.bridge.examples import read
from tests.hub.examples import notification

BASE = """
bridge: { http: { listen: "127.0.0.1:0" }, store: { allow_ephemeral: true } }
hub_api: { listen: "127.0.0.1:0" }
sources: { shop: { http: { path: /in }, on_no_match: dead_letter, map: { id: "{{ data.id }}" } } }
hubs: { app: {} }
rules:
"""
SALES = '  - { name: sales, match: { data: { kind: paid } }, push: { to: "team:sales", with: { text: hi } } }\n'
AMOUNT = SALES.replace("sales", "amount").replace("text: hi", 'text: "{{ data.amount }}"')
AMOUNT_NOW = AMOUNT.replace("data.amount", "data.amount | default('?')")
ROUTED = (
    "  - { name: routed, match: { meta: { routing_key: eu, headers: { size: 7 } } },"
    ' push: { to: "team:eu", with: { text: hi } } }\n'
)
PAID = b'{"id": "1", "kind": "paid"}'


class Bench:
    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self._directory = directory

    async def rules(self, *rules: str) -> None:
        await self.daemon.apply(read(self._directory, BASE + "".join(rules)), config_hash="later")

    async def letters(self, body: bytes = PAID, **properties: object) -> list[KeptLetter]:
        """Take a message; the letters of it."""
        before = {kept.id for kept in await self.kept()}
        message = Message(
            source="shop",
            body=body,
            is_alone=False,
            headers={"size": 7},
            properties={"routing_key": "eu", **properties},
        )
        await self.daemon.pipeline.handle([message])
        return [kept for kept in await self.kept() if kept.id not in before]

    async def kept(self, **chosen: object) -> list[KeptLetter]:
        return list((await self.daemon.store.letters(LetterFilter(**chosen), limit=100)).items)  # type: ignore[arg-type]

    async def replay(self, kept: KeptLetter) -> Replay:
        """As the preview said, unless it was all known."""
        before = await self.sent()
        preview = await self.daemon.replayer.preview(kept.id)
        assert await self.sent() == before
        replay = await self.daemon.replayer.replay(kept.id, actor="ann")
        assert (replay.outcome, replay.reason, list(replay.rules)) == (
            preview.outcome,
            preview.reason,
            list(preview.rules),
        )
        assert set(replay.known) == set(preview.known)
        return replay

    async def sent(self) -> list[str]:
        return [one.rule for one in (await self.daemon.store.notifications(limit=100)).items]


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Bench]:
    daemon = Daemon(read(directory, BASE + SALES + AMOUNT), config="c.yaml", config_hash="first")
    async with daemon.running():
        yield Bench(daemon, directory)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path) as bench:
        yield bench


async def test_a_letter_of_a_rule_that_was_mended_comes_through_once_and_to_that_rule_alone(bench: Bench) -> None:
    (kept,) = await bench.letters()
    assert (kept.letter.rule, kept.letter.reason, await bench.sent()) == ("amount", "render", ["sales"])
    assert (await bench.replay(kept)).outcome is ReplayOutcome.FAILED
    (still,) = await bench.kept()
    assert still.replay.startswith("render: rule amount: ")
    await bench.rules(SALES.replace("sales, match", "of-today, match"), AMOUNT_NOW)
    replay = await bench.replay(still)
    assert (replay.outcome, [one.rule for one in replay.notifications]) == (ReplayOutcome.ACCEPTED, ["amount"])
    assert sorted(await bench.sent()) == ["amount", "sales"]
    version = (await bench.daemon.store.notification(replay.notifications[0].id)).configuration
    assert version.hash == "later"
    assert (await bench.replay(kept)).outcome is ReplayOutcome.REPEATED
    assert sorted(await bench.sent()) == ["amount", "sales"]
    assert [one.id for one in await bench.kept(open_only=True)] == []


async def test_a_letter_of_a_rule_that_is_no_more_goes_to_all_and_what_was_accepted_causes_nothing(
    bench: Bench,
) -> None:
    (kept,) = await bench.letters()
    await bench.rules(SALES, AMOUNT_NOW.replace("name: amount", "name: total"))
    replay = await bench.replay(kept)
    assert replay.outcome is ReplayOutcome.ACCEPTED
    new = [one.rule for one in replay.notifications if one.id not in replay.known]
    assert (list(replay.rules), new) == (["sales", "total"], ["total"])
    assert sorted(await bench.sent()) == ["sales", "total"]


async def test_a_whole_message_is_decided_again_by_all_that_it_said_when_it_came(bench: Bench) -> None:
    (kept,) = await bench.letters(b'{"id": "2"}')
    assert (kept.letter.reason, (await bench.replay(kept)).outcome) == ("no_match", ReplayOutcome.NO_MATCH)
    await bench.rules(ROUTED, ROUTED.replace("routed", "gap").replace("text: hi", 'text: "{{ data.gap }}"'))
    replay = await bench.replay(kept)
    assert (replay.outcome, [failure.rule for failure in replay.failures]) == (ReplayOutcome.ACCEPTED, ["gap"])
    assert await bench.sent() == ["routed"]
    assert [one.letter.rule for one in await bench.kept(open_only=True)] == ["gap"]
    metric = "pushbridge_dead_letters_replayed_total"
    counts = [bench.daemon.metrics.registry.get_sample_value(metric, {"outcome": each.value}) for each in ReplayOutcome]
    assert counts == [1, 0, 0, 1, 0]


async def test_letters_of_one_event_cause_its_notifications_once(bench: Bench) -> None:
    (first,) = await bench.letters(b'{"id": "3"}')
    whole = (await bench.daemon.store.letter(first.id)).letter
    await bench.daemon.store.accept([Ingest(source="shop", event_id="", dead_letters=[whole])], start=0)
    second, _ = await bench.kept()
    await bench.rules(ROUTED)
    assert (await bench.replay(first)).outcome is ReplayOutcome.ACCEPTED
    assert (await bench.replay(second)).outcome is ReplayOutcome.REPEATED
    assert await bench.sent() == ["routed"]


async def test_what_cannot_be_read_still_stays_with_its_reason(bench: Bench) -> None:
    (kept,) = await bench.letters(b"{")
    replay = await bench.replay(kept)
    assert (replay.outcome, replay.reason) == (ReplayOutcome.FAILED, "decode")
    assert (await bench.kept())[0].replay.startswith("decode: ")


async def test_a_letter_of_a_source_that_is_no_more_says_so(bench: Bench) -> None:
    (kept,) = await bench.letters(b"{")
    await bench.daemon.store.accept(
        [Ingest(source="gone", event_id="", dead_letters=[replace(kept.letter, source="gone")])], start=0
    )
    replay = await bench.replay((await bench.kept(source="gone"))[0])
    assert (replay.outcome, replay.detail) == (ReplayOutcome.FAILED, "the configuration has no source gone")


async def test_a_letter_that_is_not_there_cannot_be_replayed(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await bench.daemon.replayer.replay(4711, actor="ann")


@pytest.mark.parametrize("hub, outcome", {"app": ReplayOutcome.ACCEPTED, "away": ReplayOutcome.FAILED}.items())
async def test_a_notification_that_a_remote_hub_refused_goes_again_under_another_id(
    bench: Bench, hub: str, outcome: ReplayOutcome
) -> None:
    refused = notification("a && b", hub=hub, rule="r", event_id="e", source="shop")
    letter = letter_of(refused, Reason.HUB_REJECT, "no", accepted_at=0.0)
    await bench.daemon.store.accept([Ingest(source="shop", event_id="", dead_letters=[letter])], start=0)
    (kept,) = await bench.kept()
    replay = await bench.replay(kept)
    assert replay.outcome is outcome
    if outcome is ReplayOutcome.ACCEPTED:
        (again,) = replay.notifications
        assert again.id != refused.id
        assert replace(again, id=refused.id) == refused
        assert (await bench.replay(kept)).outcome is ReplayOutcome.REPEATED
    else:
        assert replay.detail == "the configuration has no hub away"


async def test_a_letter_whose_body_is_not_kept_says_so_and_stays(bench: Bench) -> None:
    refused = replace(notification("a", rule="r", source="shop"), sensitive=True)
    letter = letter_of(refused, Reason.HUB_REJECT, "no", accepted_at=0.0)
    assert b"hello" not in letter.body
    await bench.daemon.store.accept([Ingest(source="shop", event_id="", dead_letters=[letter])], start=0)
    (kept,) = await bench.kept()
    replay = await bench.replay(kept)
    assert (replay.outcome, replay.reason) == (ReplayOutcome.FAILED, "withheld")
    assert "send the event again" in replay.detail
    assert len(await bench.kept()) == 1


NIGHT = QuietHours(window=Window(name="night", times=((22 * 60, 7 * 60),)), zone="Europe/Zurich")


@pytest.mark.parametrize("quiet", [None, NIGHT], ids=["by day and night", "not at night"])
def test_a_refused_notification_keeps_all_it_says_and_lives_as_long_as_the_first(quiet: QuietHours | None) -> None:
    given = Notification(
        id="ab" * 16,
        hub="app",
        audience=notification("a || b").audience,
        content=NativeContent(platform=Platform.FCM, payload=b"{}", headers={"apns-x": "1"}),
        platforms=frozenset([Platform.FCM]),
        schedule_at=datetime.fromtimestamp(50, UTC),
        expires_at=datetime.fromtimestamp(160, UTC),
        priority=Priority.NORMAL,
        collapse_key="k",
        source="s",
        event_id="e",
        rule="r",
        quiet=quiet,
    )
    letter = letter_of(given, Reason.EXPIRED, "old", accepted_at=100.0)
    again = notification_from(letter, 7, now=datetime.fromtimestamp(1000, UTC))
    assert again == replace(given, id=again.id, schedule_at=None, expires_at=datetime.fromtimestamp(1060, UTC))
    assert again.id == notification_from(letter, 7, now=datetime.fromtimestamp(2000, UTC)).id
    assert again.id != notification_from(letter, 8, now=datetime.fromtimestamp(1000, UTC)).id
    with pytest.raises(ValueError, match="no whole notification"):
        notification_from(replace(letter, envelope="{}"), 7, now=datetime.fromtimestamp(0, UTC))


def test_a_message_comes_out_of_its_envelope_as_it_was() -> None:
    given = Message(
        source="s",
        body=b"x",
        id="m",
        position="p/1",
        content_type="t",
        headers={
            "b": b"\xff",
            "n": 2**70,
            "d": Decimal("1.10"),
            "$bytes": "text",
            "l": [None, True, {"$d": 1.5}],
            "": "\ud800",
        },
        properties={"f": float("inf"), "routing_key": "ü"},
        enqueued_at=datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=UTC),
        unreadable="header x",
        is_alone=False,
    )
    again = message_of(envelope_of(given), source="s", body=b"x", content_type="t", otherwise_id="o")
    assert again == given
    assert {name: type(value) for name, value in again.headers.items()} == {
        name: type(value) for name, value in given.headers.items()
    }
    bare = Message(source="s", body=b"x")
    assert message_of(envelope_of(bare), source="s", body=b"x", content_type=None, otherwise_id="o").id == "o"
