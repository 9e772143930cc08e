"""What is written of an event: one id on every line, and nothing of what it or a phone holds."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from bridge.errors import Reason
from bridge.observe.fact_log import FactLog
from bridge.observe.facts import (
    EventOutcome,
    EventsStored,
    InFlightEvent,
    MessagesGivenUp,
    SourceChanged,
    SourceState,
    SourceStatus,
)
from bridge.observe.metrics import Metrics
from bridge.observe.recent import RecentEvents
from bridge.observe.telemetry import Telemetry
from connectors.base import Message
from hub.acceptance import DeadLetter
from hub.errors import StoreError
from hub.facts import (
    AudienceFound,
    ChannelsGone,
    Crashed,
    NotificationsEnded,
    NotificationUnreached,
    PageAnswered,
    PropertiesMissing,
    PushesEnded,
    PushesRetried,
    RemoteAnswered,
    ResultsLate,
    StoreFailed,
    StoreRecovered,
    TextFellBack,
    WorkLeftOver,
    WorkTaken,
)
from hub.fallback import Fallback
from hub.notification import EVERYONE, Platform, TemplateContent
from hub.outcome import ENDED_WELL, OutcomeName, State, Unreached
from hub.store.contracts.outbox import QuietUsage
from hub.work import Lane
from rules.decision import Decision, Intent
from rules.event import Event
from tests.bridge.examples import passage_of
from tests.hub.examples import notification

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
HELLO = notification("customer:1", hub="app", rule="paid", source="orders", event_id="e-1")
EVENT = Event(id="e-1", origin="orders", source="/orders", type="t", time=NOW, data={"secret": "canary"})
MESSAGE = Message(source="orders", body=b"canary", id="m-1", position="p-1", headers={"x": "canary"})
LETTER = DeadLetter(
    source="orders",
    event_id="e-1",
    rule="late",
    stage="rule",
    reason="render",
    detail="data.x is missing",
    body=b"canary",
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1", sources=["orders"], rules=["paid"], hubs=["app"])


@pytest.fixture
def recent() -> RecentEvents:
    return RecentEvents(clock=lambda: NOW)


@pytest.fixture
def telemetry(metrics: Metrics, recent: RecentEvents) -> Telemetry:
    return Telemetry(metrics, recent, FactLog())


def passage(end: EventOutcome = EventOutcome.ACCEPTED, **changes: Any) -> InFlightEvent:
    decision = Decision((Intent(rule="paid", notification=HELLO),), matched=("paid", "late"))
    return passage_of(
        MESSAGE, **{"event": EVENT, "decision": decision, "outcome": end, "dead_letters": [LETTER], **changes}
    )


def everything(telemetry: Telemetry) -> list[EventDict]:
    """Tell all there is to tell."""
    with capture_logs() as lines:
        telemetry.observe(EventsStored(events=[passage()]))
        telemetry.observe(MessagesGivenUp(events=[passage()]))
        telemetry.observe(SourceChanged(status=SourceStatus("orders", state=SourceState.STALLED, detail="no progress")))
        telemetry.observe(AudienceFound(notification=HELLO, counts={Platform.APNS: 1}))
        telemetry.observe(WorkTaken(lane=Lane.SINGLE, count=1, waited=[0.1]))
        telemetry.observe(
            PageAnswered(hub="app", platform=Platform.APNS, seconds=0.1, outcomes={OutcomeName.SUCCESS: 1}, timed_out=0)
        )
        telemetry.observe(
            PushesRetried(
                notification=HELLO,
                platform=Platform.APNS,
                outcomes={OutcomeName.THROTTLED: 1},
                reason="TooManyRequests",
                due_at=1e9,
            )
        )
        telemetry.observe(
            RemoteAnswered(notification=HELLO, outcome=OutcomeName.PNS_UNAVAILABLE, reason="HTTP 503", due_at=1e9)
        )
        telemetry.observe(
            PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
        )
        telemetry.observe(NotificationUnreached(notification=HELLO, why=Unreached.NO_TEMPLATE))
        telemetry.observe(PropertiesMissing(notification=HELLO, platform=Platform.APNS, names=["titel"]))
        telemetry.observe(TextFellBack(notification=HELLO, reason=Fallback.NO_TEXT, count=1))
        telemetry.observe(NotificationsEnded(counts={("app", State.COMPLETED): 1}))
        telemetry.observe(ChannelsGone(hub="app", platform=Platform.APNS, count=1))
        telemetry.observe(ResultsLate(lane=Lane.SINGLE, count=1))
        telemetry.observe(WorkLeftOver(lane=Lane.SINGLE, count=1))
        telemetry.observe(StoreFailed(operation="accept", error=StoreError("disk full")))
        telemetry.observe(Crashed(work="hub", error=ZeroDivisionError("canary")))
    return lines


def test_one_event_id_is_on_every_line_from_receipt_to_outcome(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(EventsStored(events=[passage()]))
        telemetry.observe(
            PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=0.1)
        )
    assert [(line["event"], line["event_id"]) for line in lines] == [
        ("dead letter", "e-1"),
        ("event taken", "e-1"),
        ("pushed", "e-1"),
    ]


def test_receipt_says_what_the_broker_calls_the_message_and_which_rules_matched(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(EventsStored(events=[passage(dead_letters=())]))
    assert lines == [
        {
            "event": "event taken",
            "log_level": "info",
            "event_id": "e-1",
            "source": "orders",
            "end": "accepted",
            "rules": ("paid", "late"),
            "message_id": "m-1",
            "position": "p-1",
        }
    ]


def test_a_message_that_is_given_up_is_a_warning_that_names_event_and_message(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(MessagesGivenUp(events=[passage()]))
    assert lines == [
        {
            "event": "message given up",
            "log_level": "warning",
            "event_id": "e-1",
            "source": "orders",
            "message_id": "m-1",
            "position": "p-1",
            "detail": "it was taken back before it was stored: it comes again",
        }
    ]


def test_a_dead_letter_is_a_warning_with_everything_needed_to_find_it(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(EventsStored(events=[passage(EventOutcome.DEAD_LETTER, reason=Reason.RENDER)]))
    assert lines[0] == {
        "event": "dead letter",
        "log_level": "warning",
        "event_id": "e-1",
        "source": "orders",
        "rule": "late",
        "stage": "rule",
        "reason": "render",
        "detail": "data.x is missing",
    }


def test_a_store_that_fails_is_a_line_for_each_operation_and_cause_until_it_works_again(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        for _ in range(2):
            for _ in range(100):
                telemetry.observe(StoreFailed(operation="accept", error=StoreError("disk full")))
                telemetry.observe(StoreFailed(operation="record", error=StoreError("disk full")))
            telemetry.observe(StoreFailed(operation="record", error=StoreError("disk I/O error")))
            telemetry.observe(StoreRecovered(seconds=61.25))
    said = [(line["event"], line.get("operation"), line.get("error"), line.get("failed_for_seconds")) for line in lines]
    assert said == 2 * [
        ("store failed", "accept", "disk full", None),
        ("store failed", "record", "disk full", None),
        ("store failed", "record", "disk I/O error", None),
        ("store works again", None, None, 61.2),
    ]


def test_a_repetition_warns_of_nothing(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(EventsStored(events=[passage(EventOutcome.DUPLICATE)]))
    assert [(line["event"], line["end"]) for line in lines] == [("event taken", "duplicate")]


def test_the_outcome_says_of_whom_and_of_what(telemetry: Telemetry) -> None:
    outcomes = {OutcomeName.SUCCESS: 2, OutcomeName.BAD_CHANNEL: 1}
    with capture_logs() as lines:
        telemetry.observe(
            PushesEnded(
                notification=HELLO, platform=Platform.APNS, outcomes=outcomes, reason="BadDeviceToken", seconds=0.1
            )
        )
    assert lines == [
        {
            "event": "pushed",
            "log_level": "warning",
            "event_id": "e-1",
            "notification_id": HELLO.id,
            "source": "orders",
            "rule": "paid",
            "hub": "app",
            "platform": "apns",
            "outcomes": {"Success": 2, "BadChannel": 1},
            "failed": 1,
            "reason": "BadDeviceToken",
        }
    ]


@pytest.mark.parametrize("outcome", OutcomeName)
def test_every_outcome_but_the_good_ones_is_a_warning_that_says_how_many(
    telemetry: Telemetry, outcome: OutcomeName
) -> None:
    with capture_logs() as lines:
        telemetry.observe(
            PushesEnded(
                notification=HELLO,
                platform=Platform.APNS,
                outcomes={OutcomeName.SUCCESS: 5, outcome: 3},
                reason="x" * 10_000,
                seconds=0.1,
            )
        )
    (line,) = lines
    if outcome in ENDED_WELL:
        assert (line["log_level"], line.get("failed"), line.get("reason")) == ("info", None, None)
    else:
        assert (line["log_level"], line["failed"], line["reason"]) == ("warning", 3, "x" * 200)


@pytest.mark.parametrize("why", Unreached)
def test_a_notification_that_reached_nobody_is_a_line_and_a_count(
    telemetry: Telemetry, metrics: Metrics, why: Unreached
) -> None:
    with capture_logs() as lines:
        telemetry.observe(NotificationUnreached(notification=HELLO, why=why, count=3))
    (line,) = lines
    assert line["registrations"] == 3
    assert (line["event"], line["event_id"], line["rule"], line["reason"]) == (
        "no device reached",
        "e-1",
        "paid",
        why.value,
    )
    ordinary = why.value in ("no_registration", "no_tag", "other_platform", "gone", "quiet_hours")
    assert line["log_level"] == ("info" if ordinary else "warning")
    value = metrics.registry.get_sample_value
    for each in Unreached:
        labels = {"hub": "app", "reason": each.value}
        assert value("pushbridge_notifications_unreached_total", labels) == (each is why)


def test_a_missing_property_is_counted_by_name_and_the_names_have_a_bound(
    telemetry: Telemetry, metrics: Metrics
) -> None:
    odd = ["x" * 1000, "a\x1bb"]
    for names in (["titel"], ["titel", "body"], odd, [f"n{number}" for number in range(100)]):
        with capture_logs():
            telemetry.observe(PropertiesMissing(notification=HELLO, platform=Platform.FCM, names=names))
    counted = [
        metrics.registry.get_sample_value(
            "pushbridge_template_property_missing_total", {"hub": "app", "property": name}
        )
        for name in ("titel", "body", "n47", "n48", *odd, "_other")
    ]
    assert counted == [2, 1, 1, None, None, None, 54]


def test_a_missing_property_is_named_beside_those_that_are_there(telemetry: Telemetry) -> None:
    content = TemplateContent(properties={"title": "canary", "text": "canary"})
    with capture_logs() as lines:
        telemetry.observe(
            PropertiesMissing(
                notification=replace(HELLO, content=content), platform=Platform.FCM, names={"titel", "body"}
            )
        )
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "template property missing")
    assert (line["missing"], line["given"], line["platform"]) == (["body", "titel"], ["text", "title"], "fcmv1")
    assert "canary" not in str(line)


def test_a_retry_is_a_warning_that_says_how_many_why_and_when_next(telemetry: Telemetry) -> None:
    outcomes = {OutcomeName.PNS_UNAVAILABLE: 998, OutcomeName.PNS_UNREACHABLE: 2}
    with capture_logs() as lines:
        telemetry.observe(
            PushesRetried(
                notification=HELLO,
                platform=Platform.APNS,
                outcomes=outcomes,
                reason="ServiceUnavailable",
                due_at=NOW.timestamp(),
            )
        )
    assert lines == [
        {
            "event": "pushes to be tried again",
            "log_level": "warning",
            "event_id": "e-1",
            "notification_id": HELLO.id,
            "source": "orders",
            "rule": "paid",
            "hub": "app",
            "platform": "apns",
            "outcomes": {"PnsUnavailable": 998, "PnsUnreachable": 2},
            "reason": "ServiceUnavailable",
            "due_at": "2027-01-15T08:00:00.000+00:00",
        }
    ]


def test_what_a_hub_elsewhere_did_not_take_is_a_warning_with_its_words_and_when_next(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(RemoteAnswered(notification=HELLO, outcome=OutcomeName.SUCCESS, reason="", due_at=None))
        telemetry.observe(
            RemoteAnswered(
                notification=HELLO, outcome=OutcomeName.PNS_UNAVAILABLE, reason="HTTP 503", due_at=NOW.timestamp()
            )
        )
        telemetry.observe(
            RemoteAnswered(notification=HELLO, outcome=OutcomeName.ABANDONED, reason="not taken in time", due_at=None)
        )
    keys = ("log_level", "event", "ended", "outcome", "reason", "due_at")
    assert [[line.get(key) for key in keys] for line in lines] == [
        ["info", "handed over", True, "Success", None, None],
        [
            "warning",
            "to be handed over again",
            False,
            "PnsUnavailable",
            "HTTP 503",
            "2027-01-15T08:00:00.000+00:00",
        ],
        ["warning", "not handed over", True, "AbandonedNotificationMessages", "not taken in time", None],
    ]
    assert {(line["event_id"], line["hub"]) for line in lines} == {("e-1", "app")}


def test_what_a_service_says_is_cut(telemetry: Telemetry) -> None:
    with capture_logs() as lines:
        telemetry.observe(
            PushesRetried(
                notification=HELLO,
                platform=Platform.WNS,
                outcomes={OutcomeName.PNS_UNAVAILABLE: 1},
                reason="x" * 10_000,
                due_at=0,
            )
        )
        telemetry.observe(
            RemoteAnswered(notification=HELLO, outcome=OutcomeName.PNS_UNAVAILABLE, reason="x" * 10_000, due_at=0)
        )
    assert [len(line["reason"]) for line in lines] == [200, 200]


LEVELS = {
    SourceState.CONNECTING: "warning",
    SourceState.RUNNING: "info",
    SourceState.PAUSED: "warning",
    SourceState.LIMITED: "warning",
    SourceState.DEGRADED: "warning",
    SourceState.STALLED: "warning",
    SourceState.AWAITING_SCHEMA: "warning",
    SourceState.STOPPED: "info",
}


@pytest.mark.parametrize("state", SourceState)
def test_a_source_that_does_not_run_is_a_warning_with_the_cause(telemetry: Telemetry, state: SourceState) -> None:
    with capture_logs() as lines:
        telemetry.observe(SourceChanged(status=SourceStatus("orders", state=state, detail="why")))
    assert lines == [
        {"event": "source", "log_level": LEVELS[state], "source": "orders", "state": state.value, "detail": "why"}
    ]


def test_nothing_of_a_message_a_phone_or_an_error_is_on_any_line(telemetry: Telemetry) -> None:
    lines = everything(telemetry)
    assert {line["event"] for line in lines} >= {"event taken", "dead letter", "pushed", "source", "defect"}
    assert "canary" not in str(lines)


def test_a_defect_is_told_by_its_kind_and_place(telemetry: Telemetry) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("canary")

    with capture_logs() as lines:
        try:
            break_down()
        except ZeroDivisionError as error:
            telemetry.observe(Crashed(work="hub", error=error))
            telemetry.observe(
                Crashed(work="hub", error=ExceptionGroup("unhandled errors in a TaskGroup", [error, ValueError()]))
            )
    for line in lines:
        assert (line["event"], line["work"], line["error"]) == ("defect", "hub", "ZeroDivisionError")
        assert line["trace"].startswith("break_down:")


def test_everything_told_is_counted_and_shown_as_well(
    telemetry: Telemetry, metrics: Metrics, recent: RecentEvents
) -> None:
    everything(telemetry)
    registry = metrics.registry
    for name, labels in {
        "pushbridge_ingest_messages_total": {"source": "orders", "outcome": "accepted"},
        "pushbridge_ingest_messages_given_up_total": {"source": "orders"},
        "pushbridge_dead_letters_total": {"source": "orders", "rule": "_other", "reason": "render"},
        "pushbridge_queue_claims_total": {"queue": "single"},
        "pushbridge_queue_lease_expirations_total": {"queue": "single"},
        "pushbridge_pns_deliveries_total": {"hub": "app", "platform": "apns", "outcome": "success"},
        "pushbridge_pns_retries_total": {"platform": "apns", "reason": "throttled"},
        "pushbridge_end_to_end_seconds_count": {"platform": "apns"},
        "pushbridge_notifications_total": {"hub": "app", "outcome": "completed"},
        "pushbridge_audience_devices_count": {"kind": "expression"},
        "pushbridge_notifications_unreached_total": {"hub": "app", "reason": "no_template"},
        "pushbridge_template_properties_missing_total": {"hub": "app", "platform": "apns"},
        "pushbridge_content_fallbacks_total": {"hub": "app", "reason": "no_text"},
        "pushbridge_store_errors_total": {"engine": "sqlite", "op": "accept"},
    }.items():
        assert registry.get_sample_value(name, labels) == 1, name
    (entry,) = recent.entries()
    assert entry.notifications[0].as_dict()["outcomes"] == {"apns": {"Success": 1}}


def test_a_broadcast_is_counted_as_one(telemetry: Telemetry, metrics: Metrics) -> None:
    telemetry.observe(AudienceFound(notification=notification(EVERYONE), counts={Platform.APNS: 10, Platform.FCM: 5}))
    sums = metrics.registry.get_sample_value("pushbridge_audience_devices_sum", {"kind": "broadcast"})
    assert sums == 15


def test_what_quiet_hours_let_go_on_is_counted_by_its_kind_from_what_the_store_has_counted(metrics: Metrics) -> None:
    def released() -> list[float | None]:
        name, labels = "pushbridge_quiet_hours_total", {"hub": "app", "outcome": "released"}
        return [metrics.registry.get_sample_value(name, labels | {"kind": kind}) for kind in ("push", "notification")]

    assert released() == [0, 0]
    metrics.quiet.set_released(QuietUsage(pushes={"app": 3}))
    metrics.quiet.set_released(QuietUsage(pushes={"app": 5}, notifications={"app": 2}))
    assert released() == [5, 2]
