"""The way of each of the latest events, whatever the order in which its steps are told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.errors import Reason
from bridge.observe.facts import EventOutcome, EventsStored, InFlightEvent
from bridge.observe.recent import HUB_API, Entry, RecentEvents
from connectors.base import Message
from hub.acceptance import DeadLetter
from hub.facts import (
    AudienceFound,
    NotificationsSilenced,
    NotificationUnreached,
    PersonErased,
    PushesDeferred,
    PushesEnded,
    RemoteAnswered,
    SendAccepted,
)
from hub.notification import EVERYONE, NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Unreached
from hub.silence import Silence, SilenceAction
from rules.decision import Decision, Intent
from rules.event import Event
from tests.bridge.examples import passage_of, take
from tests.hub.examples import notification

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def passage(
    id: str, *notifications: Notification, outcome: EventOutcome = EventOutcome.ACCEPTED, **changes: Any
) -> InFlightEvent:
    rules = tuple(one.rule for one in notifications)
    return passage_of(
        Message(source="orders", body=b"canary"),
        event=Event(id=id, origin="orders", source="/shop", type="order.paid", time=NOW, data={"card": "canary"}),
        decision=Decision(tuple(Intent(rule=one.rule, notification=one) for one in notifications), matched=rules),
        outcome=outcome,
        **changes,
    )


def entries(recent: RecentEvents) -> Sequence[dict[str, Any]]:
    return [entry.as_dict() for entry in recent.entries()]


HELLO = notification("customer:1 && vip", rule="paid", event_id="1")


def test_an_event_is_shown_from_receipt_to_outcome() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", HELLO)]))
    take(recent, AudienceFound(notification=HELLO, counts={Platform.APNS: 2, Platform.FCM: 1}))
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    take(
        recent,
        PushesEnded(
            notification=HELLO,
            platform=Platform.FCM,
            outcomes={OutcomeName.EXPIRED_CHANNEL: 1},
            reason="UNREGISTERED",
            seconds=0.1,
        ),
    )
    assert entries(recent) == [
        {
            "number": 1,
            "id": "1",
            "source": "orders",
            "type": "order.paid",
            "received_at": "2027-01-15T08:00:00+00:00",
            "outcome": "accepted",
            "reason": "",
            "detail": "",
            "silenced": "",
            "rules": ["paid"],
            "notifications": [
                {
                    "id": HELLO.id,
                    "rule": "paid",
                    "hub": "main",
                    "expression": "customer:1 && vip",
                    "schedule_at": None,
                    "targeted": 3,
                    "pushes": {"apns": 2, "fcmv1": 1},
                    "outcomes": {"apns": {"Success": 2}, "fcmv1": {"ExpiredChannel": 1}},
                    "waits": {},
                    "reason": "UNREGISTERED",
                    "unreached": "",
                }
            ],
            "dead_letters": [],
            "suppressed": [],
            "more": 0,
        }
    ]


def test_work_may_be_dispatched_before_its_batch_is_told_of() -> None:
    early, late = RecentEvents(clock=lambda: NOW), RecentEvents(clock=lambda: NOW)
    take(early, AudienceFound(notification=HELLO, counts={Platform.APNS: 1}))
    take(early, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1))
    take(early, EventsStored(events=[passage("1", HELLO)]))
    take(late, EventsStored(events=[passage("1", HELLO)]))
    take(late, AudienceFound(notification=HELLO, counts={Platform.APNS: 1}))
    take(late, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1))
    assert entries(early) == entries(late)


@pytest.mark.parametrize(
    ("send", "kind", "expression"),
    [
        (notification("team:hr"), "template", "team:hr"),
        (notification("$InstallationId:{a-1}"), "template", "$InstallationId:{a-1}"),
        (notification(EVERYONE), "template", "everyone"),
        (notification("vip", content=NativeContent(platform=Platform.APNS, payload=b"canary")), "native apns", "vip"),
        (notification(EVERYONE, content=NativeContent(platform=Platform.WNS, payload=b"")), "native wns", "everyone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("is_dispatched_early", [False, True])
def test_a_send_of_the_api_is_shown_like_an_event(
    send: Notification, kind: str, expression: str, is_dispatched_early: bool
) -> None:
    recent = RecentEvents(clock=lambda: NOW)
    if not is_dispatched_early:
        take(recent, SendAccepted(notification=send))
    take(recent, AudienceFound(notification=send, counts={Platform.APNS: 2}))
    if is_dispatched_early:
        take(recent, SendAccepted(notification=send))
    take(
        recent,
        PushesEnded(
            notification=send,
            platform=Platform.APNS,
            outcomes={OutcomeName.SUCCESS: 1, OutcomeName.BAD_CHANNEL: 1},
            seconds=0.1,
        ),
    )
    (entry,) = entries(recent)
    assert (entry["source"], entry["id"], entry["type"], entry["outcome"]) == (HUB_API, send.id, kind, "accepted")
    (step,) = entry["notifications"]
    assert (step["expression"], step["targeted"]) == (expression, 2)
    assert step["outcomes"] == {"apns": {"Success": 1, "BadChannel": 1}}
    assert recent.count == 1
    assert "canary" not in str(entry)


def test_what_an_entry_tells_is_bounded_and_says_how_much_it_left_out() -> None:
    long = "x" * 65_536
    letters = [
        DeadLetter(source="orders", event_id="1", rule="r", stage="rule", reason="render", detail=long, body=b"")
    ]
    recent = RecentEvents(clock=lambda: NOW)
    take(
        recent,
        EventsStored(
            events=[
                passage(
                    long, *(notification(f"tag:{'y' * 100}") for _ in range(60)), detail=long, dead_letters=letters * 70
                )
            ]
        ),
    )
    (entry,) = entries(recent)
    assert (len(entry["id"]), entry["id"][-1]) == (500, "…")
    assert (len(entry["notifications"]), len(entry["dead_letters"]), entry["more"]) == (50, 50, 30)
    assert len(str(entry)) < 100_000


def test_a_broadcast_and_an_audience_not_known_yet_are_called_so() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", replace(HELLO, audience=EVERYONE))]))
    (step,) = entries(recent)[0]["notifications"]
    assert (step["expression"], step["targeted"], step["outcomes"]) == ("everyone", None, {})


def test_a_dead_letter_shows_why_and_never_what() -> None:
    letter = DeadLetter(
        source="orders", event_id="1", rule="paid", stage="rule", reason="render", detail="d", body=b"canary"
    )
    recent = RecentEvents(clock=lambda: NOW)
    rejected = passage("1", outcome=EventOutcome.DEAD_LETTER, reason=Reason.RENDER, detail="d", dead_letters=[letter])
    take(recent, EventsStored(events=[rejected]))
    (entry,) = entries(recent)
    assert (entry["outcome"], entry["reason"], entry["detail"]) == ("dead_letter", "render", "d")
    assert entry["dead_letters"] == [{"rule": "paid", "stage": "rule", "reason": "render", "detail": "d"}]
    assert "canary" not in str(entry)


def test_what_never_became_an_event_is_shown_by_what_the_broker_calls_it() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    broken = passage_of(
        Message(source="orders", body=b"{", id="m-1"), outcome=EventOutcome.DEAD_LETTER, reason=Reason.DECODE
    )
    take(recent, EventsStored(events=[broken]))
    (entry,) = entries(recent)
    assert (entry["id"], entry["type"]) == ("m-1", "")


def test_a_repetition_is_an_entry_of_its_own_and_takes_nothing_from_the_first() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", HELLO), passage("1", HELLO, outcome=EventOutcome.DUPLICATE)]))
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    first, second = entries(recent)
    assert first["notifications"][0]["outcomes"] == {"apns": {"Success": 1}}
    assert (second["outcome"], second["notifications"], second["dead_letters"]) == ("duplicate", [], [])


def test_the_oldest_goes_when_a_new_one_comes_and_the_count_goes_on() -> None:
    recent = RecentEvents(size=3, clock=lambda: NOW)
    for batch in (["1", "2"], ["3", "4"], ["5", "6", "7", "8", "9"]):
        take(recent, EventsStored(events=[passage(id) for id in batch]))
    assert [(entry.number, entry.id) for entry in recent.entries()] == [(7, "7"), (8, "8"), (9, "9")]
    assert recent.count == 9


def test_what_is_told_of_forgotten_events_and_of_sends_before_a_restart_is_bounded_too() -> None:
    recent = RecentEvents(size=3, clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", HELLO), passage("2"), passage("3"), passage("4")]))
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    sends = [notification() for _ in range(10)]
    for send in sends:
        take(recent, AudienceFound(notification=send, counts={Platform.APNS: 1}))
    assert [entry.id for entry in recent.entries()] == ["2", "3", "4"]
    assert len(recent._early) == 3


def test_listeners_hear_of_what_is_new_and_of_what_changed_until_they_leave() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    heard: list[Entry] = []
    leave = recent.subscribe(heard.append)
    take(recent, EventsStored(events=[passage("1", HELLO), passage("2")]))
    take(recent, AudienceFound(notification=HELLO, counts={Platform.APNS: 1}))
    assert [entry.id for entry in heard] == ["1", "2", "1"]
    leave()
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    assert len(heard) == 3


def test_what_waits_says_why_and_until_when_until_it_has_come_to_its_end() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", HELLO)]))
    take(recent, PushesDeferred(notification=HELLO, platform=Platform.APNS, reason="InvalidProviderToken", due_at=1.0))
    take(recent, PushesDeferred(notification=HELLO, platform=Platform.FCM, reason="UNAVAILABLE", due_at=2.0))
    take(recent, PushesEnded(notification=HELLO, platform=Platform.FCM, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1))
    (step,) = entries(recent)[0]["notifications"]
    assert step["waits"] == {"apns": {"reason": "InvalidProviderToken", "until": 1.0}}


def test_what_goes_to_a_hub_elsewhere_is_shown_until_that_hub_has_it() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, SendAccepted(notification=HELLO))
    take(recent, PushesDeferred(notification=HELLO, platform=None, reason="x" * 65_536, due_at=1.0))
    (step,) = entries(recent)[0]["notifications"]
    assert (len(step["waits"]["remote"]["reason"]), step["outcomes"]) == (500, {})
    take(recent, RemoteAnswered(notification=HELLO, outcome=OutcomeName.SUCCESS, reason="", due_at=None))
    (step,) = entries(recent)[0]["notifications"]
    assert (step["waits"], step["outcomes"]) == ({}, {"remote": {"Success": 1}})


def test_a_silence_is_named_until_what_it_held_goes_out() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    other = notification("team:hr", rule="paid")
    silence = Silence(
        id="s1", action=SilenceAction.HOLD, rule="paid", source="", hub="", reason="why", actor="ann", at=0.0, until=9.0
    )
    take(recent, EventsStored(events=[passage("1", HELLO, other)]))
    take(recent, NotificationsSilenced(silenced=[(other, silence)]))
    (entry,) = entries(recent)
    assert entry["silenced"] == "1 of 2 notifications held by silence s1 of ann: why"
    assert [each["reason"] for each in entry["notifications"]] == ["", "held by silence s1 of ann: why"]
    take(recent, NotificationsSilenced(silenced=[(HELLO, silence)]))
    assert entries(recent)[0]["silenced"] == "held by silence s1 of ann: why"
    take(recent, AudienceFound(notification=HELLO, counts={}))
    assert entries(recent)[0]["silenced"] == "1 of 2 notifications held by silence s1 of ann: why"
    take(recent, RemoteAnswered(notification=other, outcome=OutcomeName.SUCCESS, reason="", due_at=None))
    (entry,) = entries(recent)
    assert (entry["silenced"], [each["reason"] for each in entry["notifications"]]) == ("", ["", ""])


def test_why_nobody_was_reached_is_shown() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    take(recent, EventsStored(events=[passage("1", HELLO)]))
    take(recent, AudienceFound(notification=HELLO, counts={}))
    take(recent, NotificationUnreached(notification=HELLO, why=Unreached.NO_TEMPLATE))
    (step,) = entries(recent)[0]["notifications"]
    assert (step["targeted"], step["unreached"]) == (0, "no_template")


def test_events_of_a_person_who_is_erased_are_forgotten() -> None:
    recent = RecentEvents(clock=lambda: NOW)
    other = notification("team:hr")
    take(recent, EventsStored(events=[passage("1", HELLO), passage("2", other)]))
    early = notification("team:hr")
    take(recent, AudienceFound(notification=early, counts={}))
    erased = PersonErased(digest="d", rows={}, notifications=[HELLO.id, early.id], is_overwritten=True, actor="eve")
    take(recent, erased)
    assert [entry["id"] for entry in entries(recent)] == ["2"]
    take(
        recent, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
    )
    assert [entry["id"] for entry in entries(recent)] == ["2"]
