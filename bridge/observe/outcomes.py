"""The closed table of outcomes, stages, reasons and states as a page: `python -m bridge.observe.outcomes`.

`docs/outcomes.md` is this page. Code, metrics and log lines take their names from the same sets.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

from bridge.observe.delivery_metrics import ENDED
from bridge.observe.facts import (
    SENDER_OUTCOMES,
    AuthReason,
    AuthScheme,
    EventOutcome,
    Limit,
    NotKept,
    ReplayOutcome,
    ReportType,
    SourceState,
    SpanOutcome,
)
from bridge.observe.intake_metrics import INGEST
from bridge.observe.loop_holds import LoopHold
from bridge.observe.stages import HeartbeatStage
from bridge.schemas.client import LookupResult
from hub.acceptance import Reason, Stage
from hub.books import Discrepancy
from hub.explained import Explained
from hub.facts import CannotMove, ImportAnswer
from hub.fallback import Fallback
from hub.flow import SuppressionCause
from hub.follow_up import FollowedPushes, FollowUpOutcome
from hub.outcome import DELIVERY_LABELS, DeviceAnswer, OutcomeName, State, Unreached
from hub.phone import PhoneOperation, PhoneOutcome
from hub.phone_report import PhoneEvent, ReportLimit, ReportOutcome
from hub.quiet import Fate
from hub.silence import SilenceAction
from hub.store.contracts.people import Kept

_INTRODUCTION = """# Outcomes, stages and reasons

Each name below is one of a closed set: log lines, metrics, answers of the hub API and the console use no other. Every
combination of metric labels that can happen exists from the start, so a zero is visible.

<!-- Generated: python -m bridge.observe.outcomes > docs/outcomes.md -->
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One closed set, and where its names are read; `labels` are the metric's spelling, where that differs.

    `answers` are the spelling of the answer to a sender that waits.
    """

    title: str
    where: str
    names: type[Explained]
    labels: Mapping[Any, str] = field(default_factory=dict)
    answers: Mapping[Any, str] = field(default_factory=dict)


SECTIONS: Sequence[Section] = (
    Section(
        title="What becomes of an event",
        where="Each event has exactly one outcome: the field `end` of the log lines `event taken` and `event"
        " refused`, `outcome` of the admin API and the console, the label `outcome` of"
        " `pushbridge_ingest_messages_total`, and `outcome` in the answer of an HTTP source.",
        names=EventOutcome,
        labels=INGEST,
        answers=SENDER_OUTCOMES,
    ),
    Section(
        title="Why a rule that fired sends nothing of an event",
        where="The label `cause` of `pushbridge_rule_suppressed_total`, `suppressed` in the answer of an HTTP source and of"
        " `/api/v1/events/ID/trace`; see `flow-control.md`.",
        names=SuppressionCause,
    ),
    Section(
        title="Where a dead letter was made",
        where="The field `stage` of the log line `dead letter`.",
        names=Stage,
    ),
    Section(
        title="Why there is a dead letter",
        where="The field `reason` of the log lines `dead letter` and `event refused`, and the label `reason` of"
        " `pushbridge_dead_letters_total`.",
        names=Reason,
    ),
    Section(
        title="What becomes of the replay of a dead letter",
        where="The field `outcome` of the log line `dead letter replayed` and of the admin API, and the label `outcome` of"
        " `pushbridge_dead_letters_replayed_total`.",
        names=ReplayOutcome,
    ),
    Section(
        title="What becomes of a span",
        where="The label `outcome` of `pushbridge_trace_spans_total`; see [traces.md](traces.md).",
        names=SpanOutcome,
    ),
    Section(
        title="What becomes of a notification",
        where="The state in the notification details of the hub API; of those that end, the label `outcome` of"
        " `pushbridge_notifications_total`.",
        names=State,
        labels=ENDED,
    ),
    Section(
        title="Why no phone got a notification",
        where="The field `reason` of the log line `no device reached`, `unreached` of a notification in the admin"
        " API, and the label `reason` of `pushbridge_notifications_unreached_total`.",
        names=Unreached,
    ),
    Section(
        title="What quiet hours do with a push",
        where="The log lines `quiet hours: …`, and the label `outcome` of `pushbridge_quiet_hours_total`.",
        names=Fate,
    ),
    Section(
        title="Why a phone reads another language than its own",
        where="The label `reason` of `pushbridge_content_fallbacks_total`; see `content.md`.",
        names=Fallback,
    ),
    Section(
        title="What the journal does not keep",
        where="The label `reason` of `pushbridge_journal_not_kept_total`.",
        names=NotKept,
    ),
    Section(
        title="Why a device got a notification, or did not",
        where="The field `answer` of a registration in the answer of `/api/v1/events/ID/trace`, and in words what"
        " `pushbridge why ID DEVICE` prints.",
        names=DeviceAnswer,
    ),
    Section(
        title="What becomes of a push",
        where="The field `outcomes` of the log line `pushed`, the counts in the notification details of the hub API, and"
        " the label `outcome` of `pushbridge_pns_deliveries_total`. A deadline that passed is `PnsUnreachable`, with the"
        " label `timeout`.",
        names=OutcomeName,
        labels=DELIVERY_LABELS,
    ),
    Section(
        title="What is kept of a person",
        where="`kind` in the answers of `/api/v1/users/{id}/export` and the label `kind` of"
        " `pushbridge_people_erased_rows_total`; see `people.md`.",
        names=Kept,
    ),
    Section(
        title="What a phone asks for",
        where="The label `operation` of `pushbridge_phone_requests_total`, and the field `operation` of the log lines"
        " `phone answered` and `phone refused`; see `registration.md`.",
        names=PhoneOperation,
    ),
    Section(
        title="What a phone is answered",
        where="The label `outcome` of `pushbridge_phone_requests_total`, the field `outcome` of those log lines, and"
        " `error` in the answer to a phone that is refused.",
        names=PhoneOutcome,
    ),
    Section(
        title="What a phone reports of a push",
        where="`event` in a phone's report and in the reports of sinks, the label `event` of"
        " `pushbridge_push_reports_total` and `pushbridge_push_reports_by_tag_total`; see `reports.md`.",
        names=PhoneEvent,
    ),
    Section(
        title="What becomes of a phone's report",
        where="`outcome` in the answer to the phone, and the label `outcome` of `pushbridge_push_reports_total`.",
        names=ReportOutcome,
    ),
    Section(
        title="Why reports of phones are to come later",
        where="The label `limit` of `pushbridge_push_reports_limited_total`; see `reports.md`.",
        names=ReportLimit,
    ),
    Section(
        title="What becomes of a device that is imported",
        where="`answers` of `pushbridge import anh --json`, and the label `outcome` of `pushbridge_import_devices_total`;"
        " see `moving.md`.",
        names=ImportAnswer,
    ),
    Section(
        title="Why a device cannot be imported",
        where="The label `reason` of `pushbridge_import_refused_devices_total`.",
        names=CannotMove,
    ),
    Section(
        title="What a sink is told",
        where="The `type` of the CloudEvents that sinks get; see `sinks.md`.",
        names=ReportType,
    ),
    Section(
        title="What becomes of a phone that unless_opened asks about",
        where="`outcome` in the report `pushbridge.push.unopened` of a sink, and the label `outcome` of"
        " `pushbridge_follow_ups_total`; see `sinks.md`.",
        names=FollowUpOutcome,
    ),
    Section(
        title="Which pushes are looked at again",
        where="`about` in the `follow_ups` of a notification in the admin API, for rules with `unless_opened`.",
        names=FollowedPushes,
    ),
    Section(
        title="What a silence does",
        where="`action` of `/api/v1/silences`, and the label `action` of `pushbridge_silences`; see `flow-control.md`.",
        names=SilenceAction,
    ),
    Section(
        title="How a source fares",
        where="The field `state` of the log line `source`.",
        names=SourceState,
    ),
    Section(
        title="How a lookup of a schema ends",
        where="The label `result` of `pushbridge_schema_lookups_total`; see `avro.md`.",
        names=LookupResult,
    ),
    Section(
        title="Why a connection is refused",
        where="The label `limit` of `pushbridge_http_connections_refused_total`.",
        names=Limit,
    ),
    Section(
        title="How a request showed who sent it",
        where="The label `scheme` of `pushbridge_auth_failures_total`.",
        names=AuthScheme,
    ),
    Section(
        title="Why a request's credentials were refused",
        where="The label `reason` of `pushbridge_auth_failures_total`.",
        names=AuthReason,
    ),
    Section(
        title="What the books of the store do not explain",
        where="The label `kind` of `pushbridge_unaccounted_messages`, and the field `kind` of the log line `the books of"
        " the store do not add up`.",
        names=Discrepancy,
    ),
    Section(
        title="What the daemon's heartbeat passes",
        where="The label `stage` of `pushbridge_heartbeat_last_seen_timestamp_seconds`, in the order in which an event"
        " passes. The first that stands still is the cause of the others.",
        names=HeartbeatStage,
    ),
    Section(
        title="Why the event loop was held",
        where="The field `cause` of the log line `the event loop was held`, and the label `cause` of"
        " `pushbridge_event_loop_held_seconds_total`.",
        names=LoopHold,
    ),
)


def page() -> str:
    """All sections as Markdown."""
    return "\n".join([_INTRODUCTION, *(line for section in SECTIONS for line in _lines(section))])


def _lines(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n\n{fill(section.where, 120, break_on_hyphens=False)}\n"
    spellings = {title: names for title, names in (("Label", section.labels), ("Answer", section.answers)) if names}
    columns = ["Name", *spellings, "Meaning"]
    yield _row(columns)
    yield _row(["---"] * len(columns))
    for name in section.names:
        others = [f"`{names[name]}`" if name in names else "" for names in spellings.values()]
        yield _row([f"`{name.value}`", *others, _sentence(name.meaning)])
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sentence(meaning: str) -> str:
    return f"{meaning[0].upper()}{meaning[1:].removesuffix('.')}."


if __name__ == "__main__":
    print(page(), end="")
