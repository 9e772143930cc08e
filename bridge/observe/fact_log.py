"""A log line for each fact worth one; the lines of an event, from receipt to outcome, carry one event id."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from bridge.logger import structlog
from bridge.observe.facts import (
    REMOTE,
    ConfigurationApplied,
    DeadLetterReplayed,
    EventOutcome,
    EventsStored,
    InFlightEvent,
    LoopHeld,
    LoopStillHeld,
    MessagesGivenUp,
    PlaygroundOutcome,
    PlaygroundTried,
    PushesFollowedUp,
    RelayChanged,
    ReportsDropped,
    SourceChanged,
    SourceLate,
    SourceState,
    StageStalled,
    StageWorks,
    Started,
    WrongCredentialsHeldBack,
)
from bridge.observe.lines import MAX_REASON, about
from bridge.observe.log import error_at_once, info_lines
from bridge.observe.loop_holds import LoopHold
from bridge.observe.repeats import RepeatedWarnings
from bridge.observe.telemetry import Takes
from hub.acceptance import DeadLetter
from hub.facts import (
    BooksChecked,
    BreakerClosed,
    BreakerOpened,
    ChannelsGone,
    Crashed,
    DeadLettersStored,
    JobEnded,
    NotificationApproved,
    NotificationHeld,
    NotificationUnreached,
    PersonErased,
    PhoneAnswered,
    PhonesUnwritten,
    PropertiesMissing,
    PushesDeferred,
    PushesDelivered,
    PushesEnded,
    PushesRetried,
    QuietHoursKept,
    RemoteAnswered,
    RemovalBrakeChanged,
    ResultsLate,
    SendAccepted,
    StoreFailed,
    StoreRecovered,
)
from hub.follow_up import MOST_PHONES
from hub.job import JobStatus
from hub.notification import Platform, TemplateContent
from hub.outcome import ENDED_WELL, OutcomeName, Unreached
from hub.phone import PhoneOperation, PhoneOutcome
from hub.trace_context import trace_id_of

_MAX_NAMES = 20
"""Properties of a template or a notification that a line names."""

_HOLDS_TOLD_EVERY = 10.0
"""Seconds between two lines on holds of the event loop at one place."""

_ORDINARY = frozenset(
    [
        Unreached.NO_REGISTRATION,
        Unreached.NO_TAG,
        Unreached.OTHER_PLATFORM,
        Unreached.GONE,
        Unreached.QUIET_HOURS,
    ]
)
"""What happens with nothing wrong: a customer without the app, a phone of the other make. The others need an operator."""

_SUSPECT_PHONES = frozenset([PhoneOutcome.FORBIDDEN_TAG, PhoneOutcome.FORBIDDEN_PHONE])
"""What an app that works does not bring about."""

_ANSWERED = frozenset([PhoneOutcome.DONE, PhoneOutcome.UNCHANGED, PhoneOutcome.TOOK_OVER])
_SIGN_INS = frozenset([PhoneOperation.REGISTER, PhoneOperation.SIGN_OFF])

_log = structlog.get_logger("pushbridge")


class FactLog:
    """Writes lines; a store that fails is a line for each operation and cause until everything works again.

    Warnings of single events and notifications are written as `RepeatedWarnings` says; `close` tells of the last ones.
    """

    def __init__(self) -> None:
        self._repeated = RepeatedWarnings()
        self._store_failures: set[tuple[str, str]] = set()
        self._phone_causes: set[tuple[str, str]] = set()
        self._loop_holds: dict[tuple[LoopHold, str], tuple[float, int]] = {}
        self.takes: Takes = {
            EventsStored: self._events_stored,
            MessagesGivenUp: self._messages_given_up,
            SourceChanged: self._source_changed,
            SourceLate: self._source_late,
            SendAccepted: self._send_accepted,
            PropertiesMissing: self._properties_missing,
            PushesEnded: self._pushes_ended,
            PushesDelivered: self._pushes_delivered,
            PushesRetried: self._pushes_retried,
            PushesDeferred: self._pushes_deferred,
            RemoteAnswered: self._remote_answered,
            NotificationUnreached: self._notification_unreached,
            NotificationHeld: self._notification_held,
            QuietHoursKept: self._quiet_hours_kept,
            NotificationApproved: self._notification_approved,
            ChannelsGone: self._channels_gone,
            BreakerOpened: self._breaker_opened,
            BreakerClosed: self._breaker_closed,
            RemovalBrakeChanged: self._removal_brake_changed,
            DeadLettersStored: self._dead_letters_stored,
            DeadLetterReplayed: self._dead_letter_replayed,
            PersonErased: self._person_erased,
            JobEnded: self._job_ended,
            PhoneAnswered: self._phone_answered,
            PhonesUnwritten: self._phones_unwritten,
            ResultsLate: self._results_late,
            StoreFailed: self._store_failed,
            StoreRecovered: self._store_recovered,
            BooksChecked: self._books_checked,
            ReportsDropped: self._reports_dropped,
            RelayChanged: self._relay_changed,
            PushesFollowedUp: self._pushes_followed_up,
            Crashed: self._crashed,
            Started: self._started,
            WrongCredentialsHeldBack: self._held_back,
            PlaygroundTried: self._playground_tried,
            StageStalled: self._stage_stalled,
            StageWorks: self._stage_works,
            LoopHeld: self._loop_held,
            LoopStillHeld: self._loop_still_held,
            ConfigurationApplied: self._configuration_applied,
        }

    def close(self) -> None:
        """Call it when nothing comes any more."""
        self._repeated.end()

    # The process

    def _started(self, fact: Started) -> None:
        _log.info("started", **{name: getattr(fact, name) for name in Started.__slots__})

    def _held_back(self, fact: WrongCredentialsHeldBack) -> None:
        if fact.is_news:
            _log.warning(
                "too many wrong credentials: the client is held back", listener=fact.listener, client=fact.client
            )

    def _playground_tried(self, fact: PlaygroundTried) -> None:
        if fact.outcome is PlaygroundOutcome.FAILED:
            _log.warning("a try in the playground failed: nothing else is touched by it", reason=fact.detail)

    def _stage_stalled(self, fact: StageStalled) -> None:
        _log.error(
            "the daemon's heartbeat does not pass a stage: its work stands still",
            stage=fact.stage.value,
            seconds=round(fact.seconds, 1),
            meaning=fact.stage.meaning,
        )

    def _stage_works(self, fact: StageWorks) -> None:
        _log.info("the daemon's heartbeat passes again", stage=fact.stage.value, seconds=round(fact.seconds, 1))

    def _loop_held(self, fact: LoopHeld) -> None:
        """A line for the first hold of a place, and then one in ten seconds, which says how many it stands for."""
        now = monotonic()
        place = fact.cause, fact.stack[0].rpartition(" ")[2] if fact.stack else fact.task
        told_at, unsaid = self._loop_holds.get(place, (-_HOLDS_TOLD_EVERY, 0))
        if now - told_at < _HOLDS_TOLD_EVERY:
            self._loop_holds[place] = told_at, unsaid + 1
            return
        self._loop_holds[place] = now, 0
        more = {"times": unsaid + 1} if unsaid else {}
        _log.warning(
            "the event loop was held",
            seconds=round(fact.seconds, 3),
            cpu_seconds=round(fact.cpu_seconds, 3),
            cause=fact.cause.value,
            task=fact.task,
            calls=list(fact.stack),  # `stack` is a word of structlog's
            **more,
            meaning=fact.cause.meaning,
        )

    def _loop_still_held(self, fact: LoopStillHeld) -> None:
        """Comes from another thread, while the loop's own lines wait for its turn."""
        error_at_once(
            "the event loop is held and does not come back: nothing is taken, pushed or answered",
            seconds=round(fact.seconds, 1),
            task=fact.task,
            calls=list(fact.stack),  # `stack` is a word of structlog's
        )

    def _configuration_applied(self, fact: ConfigurationApplied) -> None:
        _log.info(
            "configuration applied",
            revision=fact.revision,
            config_hash=fact.config_hash,
            stopped=fact.stopped,
            started=fact.started,
        )

    # Phones

    def _phone_answered(self, fact: PhoneAnswered) -> None:
        """A line for a user who came or left, and for each refusal that an app which works does not bring about.

        Where a part cannot be reached it is a line for each cause, until a phone of the hub was answered again.
        """
        said = {"hub": fact.hub, "operation": fact.operation.value, "outcome": fact.outcome.value}
        if fact.outcome in _SUSPECT_PHONES:
            self._repeated.warning("phone refused", **said, detail=fact.detail[:MAX_REASON])
        elif fact.outcome is PhoneOutcome.UNAVAILABLE:
            if (cause := (fact.hub, fact.detail)) not in self._phone_causes and len(self._phone_causes) < _MAX_NAMES:
                self._phone_causes.add(cause)
                _log.warning("phones cannot be answered", **said, detail=fact.detail[:MAX_REASON])
        elif fact.outcome in _ANSWERED:
            self._phone_causes = {cause for cause in self._phone_causes if cause[0] != fact.hub}
        if fact.outcome in (PhoneOutcome.DONE, PhoneOutcome.TOOK_OVER) and fact.operation in _SIGN_INS:
            _log.info("phone answered", **said)

    def _phones_unwritten(self, fact: PhonesUnwritten) -> None:
        _log.warning("phones not written to the hub's engine", hub=fact.hub, cause=fact.cause[:MAX_REASON])

    # Sinks

    def _relay_changed(self, fact: RelayChanged) -> None:
        if fact.trouble:
            _log.warning(f"{fact.kind} failing", **{fact.kind: fact.name}, detail=fact.trouble[:MAX_REASON])
        else:
            _log.info(f"{fact.kind} works again", **{fact.kind: fact.name})

    def _reports_dropped(self, fact: ReportsDropped) -> None:
        _log.warning("reports for a sink given up: too old, or too many", sink=fact.sink, count=fact.count)

    def _pushes_followed_up(self, fact: PushesFollowedUp) -> None:
        for notification in fact.followed.too_many:
            _log.warning(
                "phones not followed: the notification is for more than unless_opened looks at",
                notification=notification.id,
                rule=notification.rule,
                hub=notification.hub,
                most=MOST_PHONES,
            )

    # The intake

    def _events_stored(self, fact: EventsStored) -> None:
        taken: list[dict[str, Any]] = []
        for event in fact.events:
            if event.outcome is not EventOutcome.DUPLICATE and event.dead_letters:
                self._dead_letters(event.dead_letters)
            said = _received(event)
            said["end"] = event.outcome.value
            if event.outcome is EventOutcome.REJECTED:
                reason = "" if event.reason is None else event.reason.value
                self._repeated.warning("event refused", **said, reason=reason, detail=event.detail)
            else:
                said["rules"] = event.decision.matched
                if event.decision.observed:
                    said["observed"] = [each.rule for each in event.decision.observed]
                if event.suppressed:
                    said["suppressed"] = [f"{each.rule}: {each.cause.value}" for each in event.suppressed]
                if event.withdrawn:
                    said["cancelled"] = [each.notification for each in event.withdrawn]
                taken.append(said)
        if taken:
            info_lines("event taken", taken)

    def _messages_given_up(self, fact: MessagesGivenUp) -> None:
        for event in fact.events:
            detail = "it was taken back before it was stored: it comes again"
            self._repeated.warning("message given up", **_received(event), detail=detail)

    def _source_changed(self, fact: SourceChanged) -> None:
        status = fact.status
        level = _log.info if status.state in (SourceState.RUNNING, SourceState.STOPPED) else _log.warning
        level("source", source=status.name, state=status.state.value, detail=status.detail)

    def _source_late(self, fact: SourceLate) -> None:
        said = {"source": fact.source, "last": _instant(fact.last), "expect_every": fact.expect_every}
        if fact.is_late:
            _log.warning("source is late", **said, detail="no message came within expect_every")
        else:
            _log.info("source came again", **said)

    # The hub

    def _send_accepted(self, fact: SendAccepted) -> None:
        _log.info("send taken", **about(fact.notification))

    def _properties_missing(self, fact: PropertiesMissing) -> None:
        content = fact.notification.content
        given = sorted(content.properties) if isinstance(content, TemplateContent) else []
        self._repeated.warning(
            "template property missing",
            **about(fact.notification),
            platform=fact.platform.value,
            missing=sorted(fact.names)[:_MAX_NAMES],
            given=given[:_MAX_NAMES],
            detail="a template asks for what the notification has not, and the phone shows nothing in its place",
        )

    def _pushes_ended(self, fact: PushesEnded) -> None:
        """A line for each platform; a warning, which says how many and why, if one of its pushes ended badly."""
        failed = 0
        if not fact.outcomes.keys() <= ENDED_WELL:
            failed = sum([count for outcome, count in fact.outcomes.items() if outcome not in ENDED_WELL])
        said: dict[str, Any] = about(fact.notification)
        said["platform"] = fact.platform.value
        said["outcomes"] = _counts(fact.outcomes)
        if failed:
            self._repeated.warning("pushed", **said, failed=failed, reason=fact.reason[:MAX_REASON])
        else:
            info_lines("pushed", [said])

    def _pushes_delivered(self, fact: PushesDelivered) -> None:
        platform, outcomes = fact.platform.value, {OutcomeName.SUCCESS.value: 1}
        lines = [about(notification) for notification, _ in fact.pushes]
        for said in lines:
            said["platform"], said["outcomes"] = platform, outcomes
        info_lines("pushed", lines)

    def _pushes_retried(self, fact: PushesRetried) -> None:
        self._repeated.warning(
            "pushes to be tried again",
            **about(fact.notification),
            platform=fact.platform.value,
            outcomes=_counts(fact.outcomes),
            reason=fact.reason[:MAX_REASON],
            due_at=_instant(fact.due_at),
        )

    def _pushes_deferred(self, fact: PushesDeferred) -> None:
        self._repeated.warning(
            "deferred: breaker open",
            **about(fact.notification),
            platform=_service(fact.platform),
            reason=fact.reason[:MAX_REASON],
            due_at=_instant(fact.due_at),
        )

    def _remote_answered(self, fact: RemoteAnswered) -> None:
        ended = fact.due_at is None
        is_taken = fact.outcome is OutcomeName.SUCCESS
        level = _log.info if is_taken else self._repeated.warning
        level(
            "handed over" if is_taken else "not handed over" if ended else "to be handed over again",
            **about(fact.notification),
            outcome=fact.outcome.value,
            ended=ended,
            **({"reason": fact.reason[:MAX_REASON]} if fact.reason else {}),
            **({} if fact.due_at is None else {"due_at": _instant(fact.due_at)}),
        )

    def _notification_unreached(self, fact: NotificationUnreached) -> None:
        level = _log.info if fact.why in _ORDINARY else self._repeated.warning
        count = {"registrations": fact.count} if fact.count else {}
        level("no device reached", **about(fact.notification), reason=fact.why.value, **count, detail=fact.why.meaning)

    def _notification_held(self, fact: NotificationHeld) -> None:
        detail = f"pushbridge notifications approve {fact.notification.id} --by NAME lets it go, cancel ends it"
        _log.warning("held: waits for an approval", **about(fact.notification), registrations=fact.count, detail=detail)

    def _quiet_hours_kept(self, fact: QuietHoursKept) -> None:
        count = {} if fact.count is None else {"pushes": fact.count}
        until = {"until": _instant(fact.until), "zones": list(fact.zones)[:_MAX_NAMES]} if fact.zones else {}
        _log.info(
            f"quiet hours: {fact.fate.value}", **about(fact.notification), **count, **until, detail=fact.fate.meaning
        )

    def _notification_approved(self, fact: NotificationApproved) -> None:
        _log.info("approved", notification_id=fact.notification_id, hub=fact.hub, actor=fact.actor)

    def _channels_gone(self, fact: ChannelsGone) -> None:
        _log.info("push channels gone", hub=fact.hub, platform=fact.platform.value, count=fact.count)

    def _breaker_opened(self, fact: BreakerOpened) -> None:
        cause, until = fact.cause[:MAX_REASON], _instant(fact.until)
        _log.warning("breaker open", hub=fact.hub, platform=_service(fact.platform), cause=cause, until=until)

    def _breaker_closed(self, fact: BreakerClosed) -> None:
        said = {"cause": fact.why, "open_for_seconds": round(fact.seconds, 1)}
        _log.info("breaker closed", hub=fact.hub, platform=_service(fact.platform), **said)

    def _removal_brake_changed(self, fact: RemovalBrakeChanged) -> None:
        said = {"hub": fact.hub, "platform": _service(fact.platform), "share": round(fact.share, 3)}
        if fact.is_on:
            _log.warning(
                "no phone is removed: too many push channels are called dead",
                **said,
                meaning="compare topic, key, package and environment of the credential with those of the phones; "
                f"pushbridge devices restore --since 2h --hub {fact.hub} brings back what was removed before",
            )
        else:
            _log.info("phones are removed again", **said, cause=fact.why)

    def _dead_letters_stored(self, fact: DeadLettersStored) -> None:
        self._dead_letters(fact.dead_letters)

    def _dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        for letter in dead_letters:
            self._repeated.warning(
                "dead letter",
                event_id=letter.event_id,
                source=letter.source,
                rule=letter.rule,
                stage=letter.stage,
                reason=letter.reason,
                detail=letter.detail,
                **({"trace_id": trace_id_of(letter.trace)} if letter.trace else {}),
            )

    def _dead_letter_replayed(self, fact: DeadLetterReplayed) -> None:
        _log.info(
            "dead letter replayed",
            dead_letter=fact.id,
            source=fact.source,
            event_id=fact.event_id,
            outcome=fact.outcome.value,
            reason=fact.reason,
            actor=fact.actor,
        )

    def _person_erased(self, fact: PersonErased) -> None:
        _log.info(
            "person erased",
            digest=fact.digest,
            rows=dict(fact.rows),
            overwritten=fact.is_overwritten,
            actor=fact.actor,
        )

    def _job_ended(self, fact: JobEnded) -> None:
        job = fact.job
        write = _log.info if job.status is JobStatus.COMPLETED else _log.warning
        write(
            f"job {job.status.value.lower()}",
            job=job.id,
            hub=job.hub,
            type=job.type.value,
            lines=job.cursor.lines,
            failed_lines=job.cursor.failed_lines,
            **({"cause": job.failure[:MAX_REASON]} if job.failure else {}),
        )

    def _results_late(self, fact: ResultsLate) -> None:
        _log.warning("results came too late to be recorded", queue=fact.lane.value, count=fact.count)

    def _store_failed(self, fact: StoreFailed) -> None:
        failure = (fact.operation, str(fact.error))
        if failure not in self._store_failures:
            self._store_failures.add(failure)
            _log.error("store failed", operation=fact.operation, error=str(fact.error))

    def _store_recovered(self, fact: StoreRecovered) -> None:
        self._store_failures.clear()
        _log.info("store works again", failed_for_seconds=round(fact.seconds, 1))

    def _books_checked(self, fact: BooksChecked) -> None:
        for each in fact.new[:_MAX_NAMES]:
            _log.error(
                "the books of the store do not add up",
                kind=each.kind.value,
                notification=each.notification_id,
                queue=each.queue,
                number=each.number,
                meaning=each.kind.meaning,
                rows=sum(fact.counts.values()),
            )
        for each in fact.settled[:_MAX_NAMES]:
            _log.info("the books of the store add up again", kind=each.kind.value, notification=each.notification_id)

    def _crashed(self, fact: Crashed) -> None:
        error = fact.error
        while isinstance(error, ExceptionGroup):  # of a TaskGroup: what failed first is what matters
            error = error.exceptions[0]
        _log.error("defect", work=fact.work, error=type(error).__name__, trace=_trace(error))


def _service(platform: Platform | None) -> str:
    return REMOTE if platform is None else platform.value


def _counts(outcomes: Mapping[OutcomeName, int]) -> dict[str, int]:
    return {outcome.value: count for outcome, count in outcomes.items()}


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _received(event: InFlightEvent) -> dict[str, Any]:
    """Which event it is, and what its broker calls the message."""
    message = event.message
    said: dict[str, Any] = {"event_id": event.event_id, "source": message.source}
    if message.id is not None:
        said["message_id"] = message.id
    if message.position is not None:
        said["position"] = message.position
    if event.trace:
        said["trace_id"] = trace_id_of(event.trace)
    return said


def _trace(error: Exception) -> str:
    """Where it happened, without the values that an exception's text may hold."""
    frames = traceback.extract_tb(error.__traceback__ or sys.exc_info()[2])
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
