"""Names, labels and values of the metrics are promises; they are read here as Prometheus would read them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from inspect import isfunction
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from bridge.observe.delivery_metrics import ENDED
from bridge.observe.facts import (
    ConfigurationApplied,
    ConfigurationRefused,
    EventOutcome,
    EventsStored,
    InFlightEvent,
    NotKept,
    SourceChanged,
    SourceState,
    SourceStatus,
)
from bridge.observe.histogram import BatchHistogram
from bridge.observe.intake_metrics import INGEST, MAX_RULES, Owners
from bridge.observe.metric_set import values_of
from bridge.observe.metrics import Metrics
from connectors.base import Message
from hub.acceptance import DeadLetter
from hub.delivery.bulkhead import Bulkhead
from hub.errors import StoreError
from hub.facts import (
    AudienceFound,
    CannotMove,
    Compared,
    DeadLettersStored,
    DevicesImported,
    ImportAnswer,
    MirrorAnswer,
    MirrorWork,
    MirrorWrite,
    NotificationsEnded,
    PageAnswered,
    PhoneAnswered,
    PhoneReported,
    PhonesUnwritten,
    PushesEnded,
    PushesRetried,
    ReportsLimited,
    StoreFailed,
    WorkLeftOver,
    WorkTaken,
)
from hub.notification import EVERYONE, Platform
from hub.outcome import DELIVERY_LABELS, OutcomeName, State
from hub.phone import PhoneOperation, PhoneOutcome
from hub.phone_report import PhoneEvent, ReportLimit, ReportOutcome, ReportPolicies, ReportPolicy, TakenReports
from hub.platforms.table import services
from hub.push import PageVerdict
from hub.slices import TimeSlice
from hub.store.contracts.dead_letters import LetterUsage
from hub.store.contracts.fleet import OwnershipCounts
from hub.store.contracts.outbox import QueueState
from hub.store.contracts.store import Store
from hub.store.health import OPERATIONS
from hub.store.sqlite.volume import StoreSpace
from hub.work import Lane
from rules.decision import Decision
from rules.event import Event
from tests.bridge.examples import passage_of, take
from tests.fakes.clock import FakeClock
from tests.fakes.outlets import ScriptedOutlet
from tests.fakes.senders import GONE, FakeSender
from tests.hub.examples import notification

BASE_UNITS = ("seconds", "bytes", "ratio", "messages", "devices", "info")
STATES_AND_COUNTS = {
    "pushbridge_waiting_follow_ups",
    "pushbridge_silences",
    "pushbridge_schemas_cached",
    "pushbridge_source_up",
    "pushbridge_pns_circuit_open",
    "pushbridge_device_removal_braked",
    "pushbridge_remote_circuit_open",
    "pushbridge_config_last_reload_successful",
    "pushbridge_http_requests_in_flight",
    "pushbridge_pns_requests_in_flight",
    "pushbridge_queues_owned",
}
"""Gauges of things that have no unit."""

SOURCES = ["orders", "bank"]
HUBS = ["app", "desk"]
REMOTES = ["desk"]
MIRRORS = ["desk"]
REGISTRATIONS = ["shop"]


def metrics(
    rules: Sequence[str] = ("paid",), hubs: Sequence[str] = HUBS, reports: ReportPolicies | None = None
) -> Metrics:
    dead_letters = [("orders", "", "decode"), ("orders", "paid", "render")]
    return Metrics(
        version="1.2.3",
        sources=SOURCES,
        rules=rules,
        hubs=hubs,
        remotes=REMOTES,
        mirrors=MIRRORS,
        registrations=REGISTRATIONS,
        reports=reports or {},
        dead_letters=dead_letters,
    )


def families(of: Metrics) -> Iterator[Metric]:
    """Our own of a scrape, without those that every Python process has."""
    for family in text_string_to_metric_families(generate_latest(of.registry).decode()):
        if not family.name.startswith(("python_", "process_")):
            yield family


def value(of: Metrics, name: str, **labels: str) -> float:
    found = of.registry.get_sample_value(name, labels)
    assert found is not None, f"there is no {name} {labels}"
    return found


def series(of: Metrics, name: str) -> set[tuple[str, ...]]:
    """The label values of a metric's series, in the order of the labels' names."""
    samples = [sample for family in families(of) for sample in family.samples if sample.name == name]
    return {tuple(value for _, value in sorted(sample.labels.items())) for sample in samples}


def test_names_have_the_prefix_and_a_base_unit_and_counters_end_in_total() -> None:
    for family in families(metrics()):
        assert re.fullmatch(r"pushbridge_[a-z][a-z0-9_]*[a-z0-9]", family.name)
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name == f"{family.name}_total" for sample in family.samples)
        elif family.name not in STATES_AND_COUNTS:
            assert family.name.rpartition("_")[2] in BASE_UNITS, family.name
        assert not family.name.endswith("_total_total")


async def test_a_scrape_is_all_of_it_and_lets_the_event_loop_have_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    many = metrics(hubs=[f"hub-{n}" for n in range(20)])
    passes = [0]

    async def counted(turn: TimeSlice) -> None:
        passes[0] += 1

    monkeypatch.setattr(TimeSlice, "yield_if_spent", counted)
    assert ours(await many.exposition()) == ours(generate_latest(many.registry))
    assert passes[0] >= 2 * len(list(families(many)))


def ours(scrape: bytes) -> list[bytes]:
    """The lines that say the same twice; those of the process do not."""
    return [line for line in scrape.splitlines() if b"pushbridge_" in line]


def test_no_series_tells_when_another_was_created() -> None:
    assert b"_created" not in generate_latest(metrics().registry)


def test_no_label_can_hold_what_has_no_bounds() -> None:
    labels = {name for family in families(metrics()) for sample in family.samples for name in sample.labels}
    assert labels == {
        *("source", "outcome", "rule", "reason", "hub", "platform", "kind", "queue", "state", "credential"),
        *("owner", "engine", "op", "file", "le", "version", "revision", "config_hash", "listener", "limit", "scheme"),
        "action",
        "operation",
        "cause",
        "stage",
        "property",  # of each hub 50, and the rest is one
    }


PLATFORMS = [each.platform.value for each in services() if not each.is_rare]
LANES = [lane.value for lane in Lane]
DELIVERIES = [*DELIVERY_LABELS.values(), "timeout"]

COMBINATIONS: dict[str, Any] = {
    "ingest_messages_total": product(INGEST.values(), SOURCES),
    "ingest_messages_given_up_total": product(SOURCES),
    "ingest_lag_messages": product(SOURCES),
    "ingest_oldest_unacked_timestamp_seconds": product(SOURCES),
    "source_up": product(SOURCES),
    "source_rebuilds_total": product(SOURCES),
    "source_rate_limited_seconds_total": product(SOURCES),
    "source_rate_limited_requests_total": product(SOURCES),
    "source_info": [("", "orders"), ("", "bank")],
    "rule_info": [("", "paid")],
    "http_connections_refused_total": product(["total", "per_client"], ["admin", "probes", "intake", "hub_api"]),
    "rule_evaluations_total": product(["match", "observed", "error"], ["paid", "_other"]),
    "dead_letters_total": [("decode", "_none", "orders"), ("render", "paid", "orders")],
    "journal_not_kept_total": product(values_of(NotKept), SOURCES),
    "template_property_missing_total": product(HUBS, ["_other"]),
    "devices": product(HUBS, [platform.value for platform in Platform.known()]),
    "remote_sends_total": product(REMOTES, DELIVERIES),
    "remote_circuit_open": product(REMOTES),
    "mirror_sends_total": product(MIRRORS, values_of(Compared)),
    "mirror_pushes_total": product(MIRRORS, ["here", "remote"]),
    "mirror_writes_total": product(MIRRORS, values_of(MirrorWrite)),
    "mirror_listed_total": product(MIRRORS, values_of(MirrorAnswer)),
    "mirror_lists_total": product(MIRRORS),
    "mirror_failures_total": product(MIRRORS, values_of(MirrorWork)),
    "mirror_waiting_devices": product(MIRRORS),
    "mirror_refused_devices": product(MIRRORS),
    "mirror_oldest_waiting_timestamp_seconds": product(MIRRORS),
    "mirror_listed_timestamp_seconds": product(MIRRORS),
    "mirror_list_every_seconds": product(MIRRORS),
    "phone_requests_total": product(REGISTRATIONS, values_of(PhoneOperation), values_of(PhoneOutcome)),
    "phone_write_failures_total": product(REGISTRATIONS),
    "audience_devices_count": product(["broadcast", "expression"]),
    "notifications_total": product(HUBS, ENDED.values()),
    "queue_messages": product(LANES, ["ready", "leased", "delayed"]),
    "queue_capacity_messages": product(LANES),
    "queue_oldest_ready_timestamp_seconds": product(LANES),
    "queue_wait_seconds_count": product(LANES),
    "queue_claims_total": product(LANES),
    "queue_lease_expirations_total": product(LANES),
    "pns_deliveries_total": product(HUBS, DELIVERIES, PLATFORMS),
    "pns_request_duration_seconds_count": product(PLATFORMS),
    "pns_requests_in_flight": product(PLATFORMS),
    "pns_retries_total": product((*PLATFORMS, "remote"), DELIVERIES),
    "jobs_total": product(HUBS, ["completed", "failed"]),
    "pns_throttled_until_timestamp_seconds": product(HUBS, PLATFORMS),
    "pns_circuit_open": product(HUBS, PLATFORMS),
    "pns_quota_messages": product(HUBS, PLATFORMS),
    "device_removal_braked": product(HUBS, PLATFORMS),
    "pns_credential_expiry_timestamp_seconds": product(HUBS, PLATFORMS),
    "end_to_end_seconds_count": product(PLATFORMS),
    "store_transaction_seconds_count": product(["sqlite"], ["write"]),
    "store_commit_seconds_count": product(["sqlite"]),
    "store_checkpoint_seconds_count": product(["sqlite"]),
    "store_file_bytes": product(["sqlite"], ["database", "log"]),
    "store_free_bytes": product(["sqlite"]),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_combination_of_labels_is_there_from_the_start(name: str) -> None:
    assert series(metrics(), f"pushbridge_{name}") == set(COMBINATIONS[name])


def test_owners_are_those_of_the_configuration_in_force() -> None:
    told = metrics(rules=["paid", "late"])
    names: dict[str, Any] = {"sources": SOURCES, "hubs": HUBS, "remotes": REMOTES}
    owners = Owners(sources={"bank": "payments"}, rules={"paid": "shop"})
    told.declare(rules=["paid", "late"], owners=owners, **names)
    assert series(told, "pushbridge_source_info") == {("", "orders"), ("payments", "bank")}
    assert series(told, "pushbridge_rule_info") == {("shop", "paid"), ("", "late")}
    assert value(told, "pushbridge_rule_info", rule="paid", owner="shop") == 1
    told.declare(rules=["late"], owners=Owners(rules={"late": "post"}), **names)
    assert series(told, "pushbridge_rule_info") == {("post", "late")}


def test_every_operation_that_a_failing_store_is_told_of_has_a_zero() -> None:
    methods = {
        name
        for contract in Store.__mro__
        for name, method in vars(contract).items()
        if isfunction(method) and not name.startswith("_")
    }
    unwatched = methods - OPERATIONS.keys()
    without_database = {
        "now",
        "may_start",
        "serve",
        "fleet",
        "ownership",
        "report_to",
        "serves_better",
        "write_through",
        "time_of_day",
        "released",
        "paced",
    }
    assert unwatched == {"open", "close", "tend", "tends", "probe"} | without_database, (
        "a method of the store is not watched"
    )
    assert series(metrics(), "pushbridge_store_errors_total") == {("sqlite", name) for name in OPERATIONS.values()}


def test_what_became_of_the_ownership_is_counted_between_scrapes() -> None:
    told = metrics()
    counts = OwnershipCounts(owned=16, taken_over=3, lost=1, renewals_failed=2)
    told.queue.set_ownership(counts)
    counts.owned, counts.taken_over = 20, 7
    told.queue.set_ownership(counts)
    assert value(told, "pushbridge_queues_owned") == 20
    assert value(told, "pushbridge_queues_taken_over_total") == 7
    assert value(told, "pushbridge_queues_lost_total") == 1
    assert value(told, "pushbridge_ownership_renewals_failed_total") == 2


def test_twenty_hubs_and_ten_thousand_rules_stay_within_the_budget_of_series() -> None:
    many = metrics(rules=[f"rule-{number}" for number in range(10_000)], hubs=[f"hub-{n}" for n in range(20)])
    counts = {family.name: len(family.samples) for family in families(many)}
    assert counts["pushbridge_pns_deliveries"] <= 1320
    assert counts["pushbridge_rule_evaluations"] == 3 * (MAX_RULES + 1)
    assert sum(counts.values()) < 5000


def passage(end: EventOutcome, source: str = "orders", **changes: Any) -> InFlightEvent:
    return passage_of(Message(source=source, body=b""), outcome=end, **changes)


HELLO = notification("customer:1", hub="app")
LETTER = DeadLetter(source="orders", event_id="1", stage="rule", reason="render", detail="d", body=b"")


def test_messages_are_counted_by_their_end_and_those_seen_before_count_for_nothing_else() -> None:
    told = metrics()
    decision = Decision(matched=("paid",), errors=("unknown", "paid"))
    take(
        told,
        EventsStored(
            events=[
                passage(EventOutcome.ACCEPTED, decision=decision, dead_letters=[LETTER]),
                passage(EventOutcome.NO_MATCH),
            ]
        ),
    )
    take(told, EventsStored(events=[passage(EventOutcome.DUPLICATE, decision=decision, dead_letters=[LETTER])]))
    take(told, EventsStored(events=[passage(EventOutcome.DEAD_LETTER, dead_letters=[LETTER])]))
    take(told, EventsStored(events=[passage(EventOutcome.REJECTED)]))
    take(told, DeadLettersStored(dead_letters=[LETTER, replace(LETTER, rule="paid"), replace(LETTER, rule="unknown")]))
    for outcome in ("accepted", "filtered", "duplicate", "malformed", "rejected"):
        assert value(told, "pushbridge_ingest_messages_total", source="orders", outcome=outcome) == 1
    assert value(told, "pushbridge_rule_evaluations_total", rule="paid", outcome="match") == 1
    assert value(told, "pushbridge_rule_evaluations_total", rule="paid", outcome="error") == 1
    assert value(told, "pushbridge_rule_evaluations_total", rule="_other", outcome="error") == 1
    for rule, count in (("_none", 3), ("paid", 1), ("_other", 1)):
        assert value(told, "pushbridge_dead_letters_total", source="orders", rule=rule, reason="render") == count


def test_phones_are_counted_by_what_they_ask_for_and_what_becomes_of_it() -> None:
    told = metrics()
    take(
        told,
        PhoneAnswered(hub="shop", operation=PhoneOperation.REGISTER, outcome=PhoneOutcome.FORBIDDEN_TAG, detail="x"),
    )
    take(told, PhonesUnwritten(hub="shop", cause="away"))
    labels = {"hub": "shop", "operation": "register", "outcome": "forbidden_tag"}
    assert value(told, "pushbridge_phone_requests_total", **labels) == 1
    assert value(told, "pushbridge_phone_write_failures_total", hub="shop") == 1


def test_reports_of_phones_are_zero_from_the_start_and_counted_by_what_became_of_them() -> None:
    told = metrics(reports={"shop": ReportPolicy(tag_prefix="country:", tag_values=("ch",))})
    labels = {"hub": "shop", "platform": "apns", "event": "opened"}
    assert value(told, "pushbridge_push_reports_total", **labels, outcome="foreign") == 0
    for tag in ("ch", "_other", "_none"):
        assert value(told, "pushbridge_push_reports_by_tag_total", hub="shop", event="opened", value=tag) == 0
    taken = TakenReports(platform=Platform.APNS, outcomes=[ReportOutcome.ACCEPTED, ReportOutcome.REPEATED], value="ch")
    take(told, PhoneReported(hub="shop", events=[PhoneEvent.OPENED, PhoneEvent.OPENED], taken=taken))
    assert value(told, "pushbridge_push_reports_total", **labels, outcome="accepted") == 1
    assert value(told, "pushbridge_push_reports_total", **labels, outcome="repeated") == 1
    assert value(told, "pushbridge_push_reports_by_tag_total", hub="shop", event="opened", value="ch") == 1


def test_limited_reports_and_imported_devices_are_counted_by_why() -> None:
    told = metrics(hubs=["shop"])
    assert value(told, "pushbridge_push_reports_limited_total", hub="shop", limit="phone") == 0
    take(told, ReportsLimited(hub="shop", limit=ReportLimit.HUB))
    assert value(told, "pushbridge_push_reports_limited_total", hub="shop", limit="hub") == 1
    assert value(told, "pushbridge_import_refused_devices_total", hub="shop", reason="template") == 0
    for found in (7, None):
        answers, refused = {ImportAnswer.ADDED: 2, ImportAnswer.REFUSED: 1}, {CannotMove.TAG: 1}
        take(told, DevicesImported(hub="shop", answers=answers, refused=refused, found=found))
    assert value(told, "pushbridge_import_devices_total", hub="shop", outcome="added") == 4
    assert value(told, "pushbridge_import_refused_devices_total", hub="shop", reason="tag") == 2
    assert value(told, "pushbridge_import_found_devices", hub="shop") == 7


def test_rebuilds_are_counted_once_however_often_a_source_pauses() -> None:
    told = metrics()
    status = SourceStatus("orders")
    for state, rebuilds in [
        (SourceState.RUNNING, 0),
        (SourceState.CONNECTING, 0),
        (SourceState.RUNNING, 1),
        (SourceState.PAUSED, 1),
        (SourceState.RUNNING, 1),
        (SourceState.STALLED, 1),
        (SourceState.RUNNING, 2),
    ]:
        status.state, status.rebuilds = state, rebuilds
        take(told, SourceChanged(status=status))
    assert value(told, "pushbridge_source_rebuilds_total", source="orders") == 2


def test_a_source_that_another_configuration_replaced_goes_on_counting() -> None:
    told = metrics()
    for rebuilds in (0, 1, 2, 0, 1):
        take(told, SourceChanged(status=SourceStatus("orders", state=SourceState.RUNNING, rebuilds=rebuilds)))
    assert value(told, "pushbridge_source_rebuilds_total", source="orders") == 3


def test_what_waits_for_the_rate_of_a_source_is_counted_over_its_replacements() -> None:
    told = metrics()
    for seconds, requests in [(0.0, 0), (1.5, 2), (4.0, 2), (0.5, 1)]:
        told.sources.set_sources([SourceStatus("orders", limited_seconds=seconds, limited_requests=requests)])
    assert value(told, "pushbridge_source_rate_limited_seconds_total", source="orders") == 4.5
    assert value(told, "pushbridge_source_rate_limited_requests_total", source="orders") == 3


@pytest.mark.parametrize("state", SourceState)
def test_a_source_is_up_while_its_messages_can_flow(state: SourceState) -> None:
    told = metrics()
    take(told, SourceChanged(status=SourceStatus("orders", state=state)))
    up = state in (SourceState.RUNNING, SourceState.PAUSED, SourceState.LIMITED)
    assert value(told, "pushbridge_source_up", source="orders") == up


def test_what_sources_hold_is_told_when_asked() -> None:
    told = metrics()
    told.sources.set_sources(
        [SourceStatus("orders", backlog=7, unsettled_since=12.5), SourceStatus("bank", backlog=None)]
    )
    assert value(told, "pushbridge_ingest_lag_messages", source="orders") == 7
    assert series(told, "pushbridge_ingest_lag_messages") == {("orders",)}  # not known is not none
    assert value(told, "pushbridge_ingest_oldest_unacked_timestamp_seconds", source="orders") == 12.5


def test_answers_are_counted_by_label_and_deadlines_apart_from_the_unreachable() -> None:
    told = metrics()
    results = {OutcomeName.SUCCESS: 5, OutcomeName.PNS_UNREACHABLE: 4, OutcomeName.BAD_CHANNEL: 1}
    take(told, PageAnswered(hub="app", platform=Platform.FCM, seconds=0.2, outcomes=results, timed_out=3))
    counts = {"success": 5, "unreachable": 1, "timeout": 3, "invalid_token": 1}
    for outcome, count in counts.items():
        assert value(told, "pushbridge_pns_deliveries_total", hub="app", platform="fcmv1", outcome=outcome) == count
    assert value(told, "pushbridge_pns_request_duration_seconds_count", platform="fcmv1") == 10


def test_deadlines_are_taken_off_the_unreachable_once_though_two_outcomes_carry_that_label() -> None:
    told = metrics()
    results = {OutcomeName.PNS_UNREACHABLE: 1, OutcomeName.TOKEN_PROVIDER_UNREACHABLE: 4}
    take(told, PageAnswered(hub="app", platform=Platform.WNS, seconds=0.2, outcomes=results, timed_out=3))
    assert value(told, "pushbridge_pns_deliveries_total", hub="app", platform="wns", outcome="unreachable") == 2
    assert value(told, "pushbridge_pns_deliveries_total", hub="app", platform="wns", outcome="timeout") == 3


def test_deliveries_are_known_to_be_within_the_ten_seconds_that_were_promised() -> None:
    told = metrics()
    take(told, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 3}, seconds=10.0))
    take(told, PushesEnded(notification=HELLO, platform=Platform.APNS, outcomes={OutcomeName.SUCCESS: 2}, seconds=10.1))
    assert value(told, "pushbridge_end_to_end_seconds_bucket", platform="apns", le="10.0") == 3
    assert value(told, "pushbridge_end_to_end_seconds_count", platform="apns") == 5


def test_work_is_counted_from_claim_to_end() -> None:
    told = metrics()
    take(told, WorkTaken(lane=Lane.SINGLE, count=3, waited=[0.5, 2.0]))
    take(told, WorkLeftOver(lane=Lane.BROADCAST, count=2))
    take(
        told,
        PushesRetried(
            notification=HELLO,
            platform=Platform.APNS,
            outcomes={OutcomeName.THROTTLED: 4},
            reason="TooManyRequests",
            due_at=0.0,
        ),
    )
    take(told, AudienceFound(notification=notification(EVERYONE), counts={Platform.APNS: 1000}))
    take(
        told,
        NotificationsEnded(
            counts={("app", State.COMPLETED): 2, ("app", State.NO_TARGET_FOUND): 1, ("desk", State.ABANDONED): 1}
        ),
    )
    assert value(told, "pushbridge_queue_claims_total", queue="single") == 3
    assert value(told, "pushbridge_queue_wait_seconds_sum", queue="single") == 2.5
    assert value(told, "pushbridge_queue_lease_expirations_total", queue="broadcast") == 2
    assert value(told, "pushbridge_pns_retries_total", platform="apns", reason="throttled") == 4
    assert value(told, "pushbridge_audience_devices_bucket", kind="broadcast", le="1000.0") == 1
    assert value(told, "pushbridge_audience_devices_bucket", kind="broadcast", le="100.0") == 0
    assert value(told, "pushbridge_notifications_total", hub="app", outcome="completed") == 2
    assert value(told, "pushbridge_notifications_total", hub="app", outcome="no_target") == 1
    assert value(told, "pushbridge_notifications_total", hub="desk", outcome="expired") == 1


def test_every_state_in_which_a_notification_ends_has_a_label() -> None:
    open_states = {State.ENQUEUED, State.SCHEDULED, State.HELD, State.PROCESSING, State.UNKNOWN}
    assert set(ENDED) == set(State) - open_states


def test_queues_phones_and_breakers_are_told_when_asked() -> None:
    told = metrics()
    told.queue.set_queues({Lane.SINGLE: QueueState(ready=1, in_hand=2, delayed=3, oldest_ready=4.5)}, 100)
    told.delivery.set_devices({("app", Platform.WNS): 8})
    clock = FakeClock()
    bulkhead = Bulkhead(FakeSender(Platform.WNS), clock=clock)
    bulkhead.closed_until = bulkhead.throttled_until = clock() + 30
    bulkhead.in_flight = 5
    bulkhead.brake.weigh(PageVerdict.of([GONE] * 1001))
    bulkhead.quota.know(600.0)
    told.delivery.set_bulkheads({("app", Platform.WNS): bulkhead})
    elsewhere = Bulkhead(ScriptedOutlet(), clock=clock)
    elsewhere.closed_until = clock() + 30
    told.delivery.set_remotes({"desk": elsewhere})
    assert value(told, "pushbridge_remote_circuit_open", hub="desk") == 1
    for state, count in {"ready": 1, "leased": 2, "delayed": 3}.items():
        assert value(told, "pushbridge_queue_messages", queue="single", state=state) == count
    assert value(told, "pushbridge_queue_oldest_ready_timestamp_seconds", queue="single") == 4.5
    assert value(told, "pushbridge_queue_capacity_messages", queue="single") == 100
    assert value(told, "pushbridge_devices", hub="app", platform="wns") == 8
    assert value(told, "pushbridge_pns_circuit_open", platform="wns", credential="app") == 1
    assert value(told, "pushbridge_device_removal_braked", platform="wns", credential="app") == 1
    assert value(told, "pushbridge_pns_quota_messages", platform="wns", credential="app") == 600
    assert (
        value(told, "pushbridge_pns_throttled_until_timestamp_seconds", platform="wns", credential="app")
        == clock() + 30
    )
    assert value(told, "pushbridge_pns_requests_in_flight", platform="wns") == 5
    assert value(told, "pushbridge_pns_requests_in_flight", platform="apns") == 0


def test_a_service_that_few_hubs_have_is_measured_from_its_first_push_on_and_while_it_is_configured() -> None:
    told = metrics()
    labels = {"platform": "adm", "credential": "app"}
    assert told.registry.get_sample_value("pushbridge_pns_circuit_open", labels) is None
    bulkhead = Bulkhead(FakeSender(Platform("adm")), clock=(clock := FakeClock()))
    bulkhead.closed_until = clock() + 30
    bulkhead.in_flight = 2
    told.delivery.set_bulkheads({("app", Platform("adm")): bulkhead})
    assert value(told, "pushbridge_pns_circuit_open", platform="adm", credential="app") == 1
    assert value(told, "pushbridge_pns_requests_in_flight", platform="adm") == 2
    told.delivery.set_bulkheads({})
    assert told.registry.get_sample_value("pushbridge_pns_circuit_open", labels) is None


def test_when_a_credential_ends_is_told_until_another_one_is_configured() -> None:
    told = metrics()
    told.delivery.set_expiries({("app", Platform.APNS): 9.0})
    assert value(told, "pushbridge_pns_credential_expiry_timestamp_seconds", platform="apns", credential="app") == 9
    told.delivery.set_expiries({})
    assert value(told, "pushbridge_pns_credential_expiry_timestamp_seconds", platform="apns", credential="app") == 0


def test_gauges_of_what_a_configuration_took_away_go_and_its_counts_stay() -> None:
    """A source that nobody wants any more is not down, and its last backlog is none."""
    told = metrics()
    clock = FakeClock()
    bulkhead, elsewhere = Bulkhead(FakeSender(Platform.WNS), clock=clock), Bulkhead(ScriptedOutlet(), clock=clock)
    bulkhead.closed_until = bulkhead.throttled_until = elsewhere.closed_until = clock() + 30
    told.sources.set_sources([SourceStatus("orders", state=SourceState.RUNNING, backlog=7, unsettled_since=12.5)])
    told.delivery.set_bulkheads({("app", Platform.WNS): bulkhead})
    told.delivery.set_remotes({"desk": elsewhere})
    told.delivery.set_devices({("app", Platform.WNS): 8})
    take(told, EventsStored(events=[passage(EventOutcome.ACCEPTED)]))
    gauges: dict[str, dict[str, str]] = {
        "ingest_lag_messages": {"source": "orders"},
        "ingest_oldest_unacked_timestamp_seconds": {"source": "orders"},
        "source_up": {"source": "orders"},
        "pns_circuit_open": {"platform": "wns", "credential": "app"},
        "pns_throttled_until_timestamp_seconds": {"platform": "wns", "credential": "app"},
        "remote_circuit_open": {"hub": "desk"},
        "devices": {"hub": "app", "platform": "wns"},
    }
    for name, labels in gauges.items():
        assert value(told, f"pushbridge_{name}", **labels) > 0, name
    take(told, SourceChanged(status=SourceStatus("orders", state=SourceState.STOPPED)))
    told.declare(sources=["bank"], rules=["paid"], hubs=["kiosk"])
    for name, labels in gauges.items():
        assert told.registry.get_sample_value(f"pushbridge_{name}", labels) is None, name
    assert value(told, "pushbridge_source_up", source="bank") == 0
    assert value(told, "pushbridge_ingest_messages_total", source="orders", outcome="accepted") == 1
    told.declare(sources=SOURCES, rules=["paid"], hubs=HUBS, remotes=REMOTES)
    for name, labels in gauges.items():
        assert value(told, f"pushbridge_{name}", **labels) == 0, name


def test_a_hub_without_phones_any_more_has_none() -> None:
    told = metrics()
    for counts in ({("app", Platform.WNS): 8}, {}):
        told.delivery.set_devices(counts)
        assert value(told, "pushbridge_devices", hub="app", platform="wns") == counts.get(("app", Platform.WNS), 0)


def test_the_store_is_timed_and_its_failures_are_counted() -> None:
    told = metrics()
    for operation in ("write", "commit", "checkpoint"):
        told.store.observe(operation, 0.003)
    take(told, StoreFailed(operation="accept", error=StoreError("disk full")))
    assert value(told, "pushbridge_store_transaction_seconds_bucket", engine="sqlite", op="write", le="0.005") == 1
    for name in ("commit", "checkpoint"):
        assert value(told, f"pushbridge_store_{name}_seconds_bucket", engine="sqlite", le="0.005") == 1
    assert value(told, "pushbridge_store_errors_total", engine="sqlite", op="accept") == 1


def test_the_files_of_the_store_and_its_dead_letters_are_shown_with_their_bounds() -> None:
    told = metrics()
    told.store.set_space(StoreSpace(database=1, log=2, free=3))
    told.store.set_letters(LetterUsage(letters=4, bytes=5), max_letters=6, max_bytes=7)
    sizes = [value(told, "pushbridge_store_file_bytes", engine="sqlite", file=file) for file in ("database", "log")]
    assert (sizes, value(told, "pushbridge_store_free_bytes", engine="sqlite")) == ([1, 2], 3)
    kept = [value(told, f"pushbridge_dead_letter_store_{name}") for name in ("messages", "bytes")]
    bounds = [value(told, f"pushbridge_dead_letter_store_capacity_{name}") for name in ("messages", "bytes")]
    assert (kept, bounds) == ([4, 5], [6, 7])


def test_what_runs_is_one_series_with_version_revision_and_configuration() -> None:
    told = metrics()
    assert value(told, "pushbridge_build_info", version="1.2.3", revision="", config_hash="") == 1
    for config_hash in ("aaa", "bbb"):
        take(told, ConfigurationApplied(revision="v7", config_hash=config_hash, stopped=[], started=[]))
    assert series(told, "pushbridge_build_info") == {("bbb", "v7", "1.2.3")}


def test_a_refused_configuration_is_told_until_another_is_applied() -> None:
    told = metrics()
    applied = ConfigurationApplied(revision="", config_hash="aaa", stopped=[], started=[])
    for fact, ok in ((applied, 1), (ConfigurationRefused(), 0), (applied, 1)):
        take(told, fact)
        assert value(told, "pushbridge_config_last_reload_successful") == ok


BUCKETS = (0.01, 0.1, 1.0, 10.0)
VALUES = st.sampled_from([*BUCKETS, 0.0, 0.05, 10.5]) | st.floats(0, 100)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), VALUES, st.integers(1, 5))))
def test_a_histogram_shows_what_the_client_library_would_show(observations: list[tuple[str, float, int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batch = BatchHistogram("x_seconds", "X.", ("kind",), buckets=BUCKETS)
    batch.labels("a")
    ours.register(batch)
    single = Histogram("x_seconds", "X.", ("kind",), buckets=BUCKETS, registry=theirs)
    single.labels("a")
    for kind, seconds, count in observations:
        batch.observe((kind,), seconds, count)
        for _ in range(count):
            single.labels(kind).observe(seconds)
    mine, other = _samples(ours), _samples(theirs)
    assert mine.keys() == other.keys()
    for name, number in mine.items():
        assert number == pytest.approx(other[name])


def _samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_the_age_of_an_event_is_counted_when_it_is_accepted_and_at_no_other_end() -> None:
    told = metrics()
    clock = FakeClock()
    told.intake._clock = clock

    def arrived(seconds: float, outcome: EventOutcome = EventOutcome.ACCEPTED) -> InFlightEvent:
        time = datetime.fromtimestamp(clock() - seconds, UTC)
        event = Event(id="e", origin="orders", source="/orders", type="paid", time=time, data={})
        return passage_of(Message(source="orders", body=b"{}"), event=event, outcome=outcome)

    old, future, again = arrived(7200), arrived(-60), arrived(86_400, EventOutcome.DUPLICATE)
    take(told, EventsStored(events=[old, future, again]))
    assert value(told, "pushbridge_event_age_seconds_count", source="orders") == 2
    assert value(told, "pushbridge_event_age_seconds_sum", source="orders") == 7200
    assert value(told, "pushbridge_event_age_seconds_bucket", source="orders", le="0.1") == 1
    assert value(told, "pushbridge_event_age_seconds_count", source="bank") == 0
