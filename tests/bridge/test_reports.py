"""What sinks are told, by a configuration: who of what, in CloudEvents that hold no text of a notification."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from bridge.config.load import check
from bridge.observe.fact_log import FactLog
from bridge.observe.facts import FollowUpsMeasured, PushesFollowedUp, ReportsDropped, ReportsPublished, SinksMeasured
from bridge.observe.metrics import Metrics
from bridge.reports.reporter import ConfiguredReporter
from hub.follow_up import FollowedUp, FollowUp, FollowUpOutcome, FollowUpUsage, UnopenedPush
from hub.notification import Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.phone_report import PhoneEvent, ReportedPush
from hub.report import EndedNotification, RemovedDevices
from hub.store.contracts.sinks import SinkUsage
from tests.bridge.examples import complaints, read
from tests.hub.examples import notification

CONFIGURATION = """
bridge: { name: acme }
sources: { orders: { http: { path: /in/orders }, map: { id: "{{ data.id }}" } } }
sinks:
  crm: { http: { url: "https://crm.example/hook", secret: "0123456789abcdef" } }
  audit: { rabbitmq: { url: "amqp://u:p@broker/", key: push.outcomes }, max_rows: 7, retention: 1h }
rules:
  - { name: paid, push: { to: "a:b", with: { title: x } }, report_to: [crm, audit, crm] }
  - { name: shipped, push: { to: "a:b", with: { title: x } } }
hubs: { app: { report_to: crm } }
"""


@pytest.fixture
def reporter(tmp_path: Path) -> ConfiguredReporter:
    return ConfiguredReporter(read(tmp_path, CONFIGURATION))


def ended(**changes: Any) -> EndedNotification:
    given = notification(hub="app", source="orders", event_id="e-1", rule="paid", person="p-1")
    whole: dict[str, Any] = {
        "notification": given,
        "state": State.COMPLETED,
        "counts": {},
        "at": 1_800_000_000.25,
    } | changes
    return EndedNotification(**whole)


def test_the_sinks_of_a_rule_are_told_and_those_of_the_hub_of_what_no_rule_sent(reporter: ConfiguredReporter) -> None:
    assert reporter.sinks_of(notification(hub="app", rule="paid")) == ("crm", "audit")
    assert reporter.sinks_of(notification(hub="app", rule="shipped")) == ()
    assert reporter.sinks_of(notification(hub="app")) == ("crm",)
    assert reporter.sinks_of(notification(hub="another")) == ()
    assert reporter.sinks_of_devices("app") == ("crm",)


def test_a_report_is_a_cloudevent_with_what_became_of_the_notification(reporter: ConfiguredReporter) -> None:
    counts = {Platform.FCM: {OutcomeName.SUCCESS: 2, OutcomeName.EXPIRED_CHANNEL: 1}}
    about = ended(counts=counts)
    crm, audit = reporter.reports_of(about)
    assert (crm.sink, audit.sink, crm.body) == ("crm", "audit", audit.body)
    assert (crm.content_type, crm.person) == ("application/cloudevents+json; charset=utf-8", "p-1")
    assert orjson.loads(crm.body) == {
        "specversion": "1.0",
        "id": about.notification.id,
        "source": "/pushbridge/acme",
        "type": "pushbridge.notification.delivered",
        "subject": f"notifications/{about.notification.id}",
        "time": "2027-01-15T08:00:00.250Z",
        "datacontenttype": "application/json",
        "data": {
            "notificationId": about.notification.id,
            "hub": "app",
            "state": "Completed",
            "delivered": 2,
            "failed": 1,
            "outcomes": {"fcmv1": {"Success": 2, "ExpiredChannel": 1}},
            "rule": "paid",
            "eventSource": "orders",
            "eventId": "e-1",
        },
    }


@pytest.mark.parametrize(
    ("changes", "type_"),
    [
        ({"counts": {Platform.FCM: {OutcomeName.EXPIRED_CHANNEL: 1}}, "why": Unreached.GONE}, "failed"),
        ({"state": State.NO_TARGET_FOUND, "why": Unreached.NO_TAG}, "failed"),
        ({"state": State.ABANDONED}, "failed"),
        ({"state": State.COMPLETED}, "delivered"),  # a remote hub took it
        ({"counts": {Platform.FCM: {OutcomeName.SKIPPED: 1}}}, "delivered"),
    ],
)
def test_what_reached_no_phone_has_failed(changes: dict[str, Any], type_: str, reporter: ConfiguredReporter) -> None:
    told = orjson.loads(reporter.reports_of(ended(**changes))[0].body)
    assert told["type"] == f"pushbridge.notification.{type_}"
    why = changes.get("why")
    assert told["data"].get("why") == (None if why is None else why.value)


def test_of_removed_devices_their_ids_are_told_and_never_the_push_channel(reporter: ConfiguredReporter) -> None:
    removed = RemovedDevices(
        hub="app", platform=Platform.APNS, installations=["i/1"], registrations=[], user_id="u", reason="Unregistered"
    )
    (report,) = reporter.reports_of_devices(removed, at=1.0)
    told = orjson.loads(report.body)
    assert (told["type"], told["subject"], report.person) == ("pushbridge.device.removed", "devices/i%2F1", "u")
    assert told["data"] == {
        "hub": "app",
        "platform": "apns",
        "reason": "Unregistered",
        "installationIds": ["i/1"],
        "registrationIds": [],
        "userId": "u",
    }


def test_what_a_phone_said_of_a_push_is_told_under_an_id_of_its_own(reporter: ConfiguredReporter) -> None:
    said = ReportedPush(
        notification=ended().notification,
        installation_id="i1",
        user_id="ann",
        platform=Platform.APNS,
        event=PhoneEvent.ACTED,
        action="pay",
        at=1.0,
    )
    crm, audit = reporter.reports_of_phone(said)
    assert (crm.sink, audit.sink, crm.body, crm.person) == ("crm", "audit", audit.body, "p-1")
    told = orjson.loads(crm.body)
    assert (told["type"], told["subject"]) == (
        "pushbridge.push.acted",
        f"notifications/{said.notification.id}",
    )
    assert told["data"] == {
        "notificationId": said.notification.id,
        "hub": "app",
        "rule": "paid",
        "eventSource": "orders",
        "eventId": "e-1",
        "installationId": "i1",
        "platform": "apns",
        "event": "acted",
        "userId": "ann",
        "action": "pay",
    }
    others = [
        replace(said, event=PhoneEvent.OPENED, action=""),
        replace(said, event=PhoneEvent.RECEIVED, action=""),
        replace(said, action="refuse"),
        replace(said, installation_id="i2"),
    ]
    bodies = [orjson.loads(reporter.reports_of_phone(each)[0].body) for each in (said, replace(said, at=9.0), *others)]
    assert bodies[0]["id"] == bodies[1]["id"]
    assert len({body["id"] for body in bodies}) == 5
    assert [body["type"].rpartition(".")[2] for body in bodies[2:4]] == ["opened", "received"]
    assert reporter.reports_of_phone(replace(said, notification=notification(rule="shipped"))) == ()


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ("{ payload_key: 'a-b' }", "hubs.app.reports.payload_key"),
        ("{ accept_for: 31d }", "hubs.app.reports.accept_for"),
        ("{ by_tag: { prefix: 'coun try:', values: [ch] } }", "hubs.app.reports.by_tag.prefix"),
        ("{ by_tag: { prefix: 'country:', values: [] } }", "hubs.app.reports.by_tag.values"),
        ("{ by_tag: { prefix: 'country:', values: ['c h'] } }", "hubs.app.reports.by_tag.values[0]"),
    ],
)
def test_a_mistake_in_how_reports_are_taken_is_named_at_its_key(reports: str, said: str, tmp_path: Path) -> None:
    found = complaints(tmp_path, CONFIGURATION.replace("report_to: crm }", f"report_to: crm, reports: {reports} }}"))
    assert any(said in complaint for complaint in found), found


def test_the_page_on_reports_shows_a_configuration_that_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    for shown in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        policy = read(tmp_path, CONFIGURATION.partition("hubs:")[0] + shown).hubs["acme-bank"].reports.policy
        assert (policy.payload_key, policy.tag_prefix, policy.tag_values) == ("pushId", "country:", ("ch", "de", "at"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "report_to: [crm, audit, crm]",
            "report_to: [crm, adit]",
            "rules[0].report_to[1]: 'adit' is not one of: audit, crm",
        ),
        ("report_to: crm }", "report_to: [crm, x] }", "hubs.app.report_to[1]: there is no such sink"),
        ("report_to: [crm, audit, crm]", "report_to: crm", "sinks.audit: warning: nothing is reported to this sink"),
        ("key: push.outcomes", "kee: x", "sinks.audit.rabbitmq.kee: unknown key"),
        ('"0123456789abcdef"', "short", "a secret has 16 bytes at least"),
        ('"0123456789abcdef"', '"whsec_%%%"', "what follows whsec_ is not base64"),
        ("https://crm.example/hook", "https://user:pass@crm.example/", "not a URL to post to"),
        ('http: { url: "https', 'kafka: { topic: t, bootstrap: ["b:1"] }, http: { url: "https', "write one of"),
    ],
)
def test_a_mistake_is_named_at_its_key(before: str, after: str, said: str, tmp_path: Path) -> None:
    assert before in CONFIGURATION
    found = complaints(tmp_path, CONFIGURATION.replace(before, after))
    assert any(said in complaint for complaint in found), found


def test_the_page_on_sinks_shows_a_configuration_that_is_right_and_a_report_as_it_is(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "c.yaml").write_text(shown)
    _, problems = check(tmp_path / "c.yaml", environ={}, no_secrets=True)
    assert [str(problem) for problem in problems] == []
    settings, _ = check(tmp_path / "c.yaml", environ={}, no_secrets=True, samples=True)
    assert settings is not None
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    told = orjson.loads(example)
    given = notification(id=told["id"], hub="shop", source="orders", event_id="4711", rule="shipped")
    counts = {
        Platform.APNS: {OutcomeName.SUCCESS: 2},
        Platform.FCM: {OutcomeName.EXPIRED_CHANNEL: 1},
    }
    at = datetime.fromisoformat(told["time"]).timestamp()
    reports = ConfiguredReporter(settings).reports_of(ended(notification=given, counts=counts, at=at))
    assert [report.sink for report in reports] == ["crm", "outcomes"]
    assert orjson.loads(reports[0].body) == told


UNLESS_OPENED = CONFIGURATION.replace(
    "report_to: [crm, audit, crm] }", "report_to: [crm, audit, crm], unless_opened: { after: 15m, report_to: audit } }"
).replace("report_to: crm }", "report_to: crm, reports: { payload_key: pushId } }")


def test_a_phone_that_has_not_opened_is_told_of_without_what_is_not_known(tmp_path: Path) -> None:
    reporter = ConfiguredReporter(read(tmp_path, UNLESS_OPENED))
    given = ended().notification
    follow_up = reporter.follow_up_of(given)
    assert (follow_up, reporter.follow_up_of(replace(given, rule="shipped"))) == (
        FollowUp(after=900.0, sinks=("audit",)),
        None,
    )
    about = UnopenedPush(
        notification=given,
        sinks=["audit"],
        outcome=FollowUpOutcome.NOT_OPENED,
        at=1_800_000_900.0,
        installation_id="i1",
        user_id="u1",
        platform=Platform.APNS,
        sent_at=1_800_000_000.0,
        others_delivered=2,
    )
    nobody = UnopenedPush(
        notification=given, sinks=["audit"], outcome=FollowUpOutcome.NO_PHONE, at=1.0, why=Unreached.NO_TAG
    )
    (report,), (of_nobody,) = reporter.reports_of_unopened(about), reporter.reports_of_unopened(nobody)
    (again,) = reporter.reports_of_unopened(replace(about, at=2.0, outcome=FollowUpOutcome.FAILED))
    said, said_of_nobody = orjson.loads(report.body), orjson.loads(of_nobody.body)
    assert (report.sink, report.person, said["type"]) == ("audit", "p-1", "pushbridge.push.unopened")
    common = {"notificationId": given.id, "hub": "app", "rule": "paid", "eventSource": "orders", "eventId": "e-1"}
    assert said["data"] == common | {
        "outcome": "not_opened",
        "installationId": "i1",
        "platform": "apns",
        "userId": "u1",
        "sentAt": "2027-01-15T08:00:00.000Z",
        "othersDelivered": 2,
        "othersOpened": 0,
    }
    assert said_of_nobody["data"] == common | {
        "outcome": "no_phone",
        "why": "no_tag",
        "othersDelivered": 0,
        "othersOpened": 0,
    }
    assert said["id"] == orjson.loads(again.body)["id"] != said_of_nobody["id"]


def test_a_cancelled_notification_is_told_as_cancelled_with_what_was_delivered_and_by_whom(
    reporter: ConfiguredReporter,
) -> None:
    counts = {Platform.APNS: {OutcomeName.SUCCESS: 2}}
    told = orjson.loads(reporter.reports_of(ended(state=State.CANCELLED, counts=counts, actor="ops"))[0].body)
    assert told["type"] == "pushbridge.notification.cancelled"
    assert (told["data"]["state"], told["data"]["delivered"], told["data"]["actor"]) == ("Cancelled", 2, "ops")


REMOTE = 'remote: { connection_string: "Endpoint=sb://x.example/;SharedAccessKeyName=a;SharedAccessKey=b" }'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("after: 15m, ", "", "rules[0].unless_opened: after is missing (write after: 15m)"),
        (", report_to: audit }", " }", "rules[0].unless_opened: report_to is missing"),
        ("after: 15m", "after: 8d", "rules[0].unless_opened.after: is not from 1s to 7d"),
        ("after: 15m", "after: soon", "rules[0].unless_opened.after"),
        (
            "report_to: audit }",
            "report_to: adit }",
            "rules[0].unless_opened.report_to: 'adit' is not one of: audit, crm",
        ),
        (
            ', push: { to: "a:b", with: { title: x } }, report_to: [',
            ", stop: true, report_to: [",
            "pushes nothing that could",
        ),
        (
            "{ payload_key: pushId }",
            "{}",
            "rules[0].unless_opened: warning: no phone of hub app can say that it opened",
        ),
        (
            "{ payload_key: pushId }",
            "{ payload_key: pushId, accept_for: 10m }",
            "rules[0].unless_opened: warning: hub app takes reports of phones for 10m only",
        ),
        (
            ", reports: { payload_key: pushId }",
            f", {REMOTE}",
            "warning: the phones of hub app report to the remote hub",
        ),
    ],
)
def test_check_names_what_unless_opened_lacks(before: str, after: str, said: str, tmp_path: Path) -> None:
    assert before in UNLESS_OPENED
    assert not any("unless_opened" in complaint for complaint in complaints(tmp_path, UNLESS_OPENED))
    found = complaints(tmp_path, UNLESS_OPENED.replace(before, after))
    assert any(said in complaint for complaint in found), found


def test_what_phones_were_found_to_have_done_is_counted_and_too_many_are_logged() -> None:
    metrics = Metrics(version="1", sources=[], rules=[], hubs=["app"])
    sample = metrics.registry.get_sample_value
    labels = {"hub": "app", "outcome": "not_opened"}
    assert sample("pushbridge_follow_ups_total", labels) == 0
    one = notification(hub="app", rule="paid")
    followed = FollowedUp(counts={("app", FollowUpOutcome.NOT_OPENED): 3}, too_many=[one])
    for fact in (PushesFollowedUp(followed=followed), FollowUpsMeasured(usage=FollowUpUsage(waiting=4, overdue=2.5))):
        metrics.takes[type(fact)](fact)
    assert sample("pushbridge_follow_ups_total", labels) == 3
    assert sample("pushbridge_waiting_follow_ups") == 4
    assert sample("pushbridge_follow_ups_overdue_seconds") == 2.5
    with capture_logs() as logged:
        FactLog().takes[PushesFollowedUp](PushesFollowedUp(followed=followed))
    (line,) = logged
    assert (line["log_level"], line["notification"], line["rule"]) == ("warning", one.id, "paid")


def test_what_waits_is_counted_by_sink(tmp_path: Path) -> None:
    metrics = Metrics(version="1", sources=[], rules=[], hubs=[], sinks=["crm", "audit"])
    sample = metrics.registry.get_sample_value
    assert sample("pushbridge_sink_messages_published_total", {"sink": "audit"}) == 0
    for fact in (
        ReportsPublished(sink="crm", count=3),
        ReportsDropped(sink="crm", count=2),
        ReportsDropped(sink="gone", count=2),
        SinksMeasured(usage={"crm": SinkUsage(reports=4, bytes=40, oldest=0.0)}),
    ):
        metrics.takes[type(fact)](fact)
    assert sample("pushbridge_sink_messages_published_total", {"sink": "crm"}) == 3
    assert sample("pushbridge_sink_messages_dropped_total", {"sink": "crm"}) == 2
    assert sample("pushbridge_sink_messages_dropped_total", {"sink": "gone"}) is None
    assert sample("pushbridge_sink_waiting_messages", {"sink": "crm"}) == 4
    assert sample("pushbridge_sink_waiting_messages", {"sink": "audit"}) == 0
    assert (sample("pushbridge_sink_oldest_message_seconds", {"sink": "crm"}) or 0) > 1e9
