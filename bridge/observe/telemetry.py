"""What the pipeline, the supervisors and the hub tell, passed on to metrics, logs and the trail."""

import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from bridge.intake.pipeline import EventOutcome, InFlightEvent
from bridge.intake.supervisor import SourceState, SourceStatus
from bridge.observe.metrics import REMOTE, Metrics
from bridge.observe.recent import RecentEvents
from hub.notification import Everyone, Notification, Platform, TemplateContent
from hub.outcome import ENDED_WELL, OutcomeName, State, Unreached
from hub.store.base import DeadLetter, Lane

_MAX_REASON = 200
"""Characters of what a service said: its words are not ours, and their length neither."""

_MAX_NAMES = 20
"""Properties of a template or a notification that a line names."""

_WHY: Mapping[Unreached, str] = {
    Unreached.NO_REGISTRATION: "the hub has no registration",
    Unreached.NO_TAG: "no registration matches the audience",
    Unreached.NO_TEMPLATE: "phones match the audience, and none of them has registered a template",
    Unreached.NO_NATIVE: "phones match the audience, and have templates only, which a native payload does not reach",
    Unreached.OTHER_PLATFORM: "the phones that match the audience are of platforms that this notification is not for",
    Unreached.GONE: "the registrations of this audience were deleted, have expired, or their push channels are dead",
    Unreached.NO_CREDENTIAL: "no push service of these phones takes a credential of this hub: see the key hubs",
    Unreached.EXPIRED: "every push was given up before a push service took it",
    Unreached.REFUSED: "no push service took a push: see the warning of each platform",
}

_ORDINARY = frozenset([Unreached.NO_REGISTRATION, Unreached.NO_TAG, Unreached.OTHER_PLATFORM, Unreached.GONE])
"""What happens with nothing wrong: a customer without the app, a phone of the other make. The others need somebody."""

_log = structlog.get_logger("pushbridge")


class Telemetry:
    """Implements the observers of all parts. One event id goes through all lines of an event, from receipt to outcome."""

    def __init__(
        self, metrics: Metrics, trail: RecentEvents, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._metrics = metrics
        self._trail = trail
        self._clock = clock
        self._store_failures: set[tuple[str, str]] = set()

    # The pipeline

    def passed(self, passages: Sequence[InFlightEvent]) -> None:
        self._metrics.passed(passages)
        self._trail.passed(passages, now=self._clock())
        for passage in passages:
            if passage.end is not EventOutcome.SUPPRESSED and passage.dead_letters:
                self.dead_lettered(passage.dead_letters)
            if passage.end is EventOutcome.DEAD_LETTER and not passage.dead_letters:
                reason = "" if passage.reason is None else passage.reason.value
                _log.warning("event refused", **_received(passage), reason=reason, detail=passage.detail)
                continue
            _log.info("event taken", **_received(passage), end=passage.end.value, rules=passage.decision.matched)

    def given_up(self, passages: Sequence[InFlightEvent]) -> None:
        self._metrics.given_up(passages)
        for passage in passages:
            _log.warning(
                "message given up",
                **_received(passage),
                detail="it was taken back before it was stored: it comes again",
            )

    # The supervisors

    def source_changed(self, status: SourceStatus) -> None:
        self._metrics.source_changed(status)
        level = _log.info if status.state in (SourceState.RUNNING, SourceState.STOPPED) else _log.warning
        level("source", source=status.name, state=status.state.value, detail=status.detail)

    # The hub

    def sent(self, notification: Notification) -> None:
        """A send of the hub API, which no event caused."""
        self._trail.sent(notification, now=self._clock())
        _log.info("send taken", **_about(notification))

    def targeted(self, notification: Notification, counts: Mapping[Platform, int]) -> None:
        self._metrics.targeted(broadcast=isinstance(notification.audience, Everyone), count=sum(counts.values()))
        self._trail.targeted(notification, counts)

    def pushed(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str = "",
    ) -> None:
        """A line for each platform; a warning, which says how many and why, if one of its pushes ended badly."""
        self._trail.pushed(notification, platform, outcomes, reason=reason)
        failed = sum(count for outcome, count in outcomes.items() if outcome not in ENDED_WELL)
        said = {"platform": platform.value, "outcomes": _counts(outcomes)}
        if failed:
            _log.warning("pushed", **_about(notification), **said, failed=failed, reason=reason[:_MAX_REASON])
        else:
            _log.info("pushed", **_about(notification), **said)

    def unreached(self, notification: Notification, why: Unreached) -> None:
        self._metrics.unreached(notification.hub, why)
        self._trail.unreached(notification, why)
        level = _log.info if why in _ORDINARY else _log.warning
        level("nobody reached", **_about(notification), reason=why.value, detail=_WHY[why])

    def properties_missing(self, notification: Notification, platform: Platform, names: Collection[str]) -> None:
        self._metrics.properties_missing(notification.hub, platform)
        content = notification.content
        given = sorted(content.properties) if isinstance(content, TemplateContent) else []
        _log.warning(
            "template property missing",
            **_about(notification),
            platform=platform.value,
            missing=sorted(names)[:_MAX_NAMES],
            given=given[:_MAX_NAMES],
            detail="a template asks for what the notification has not, and the phone shows nothing in its place",
        )

    def retried(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str,
        due_at: float,
    ) -> None:
        self._metrics.retried(platform, outcomes)
        self._trail.put_off(notification, platform, reason=reason, until=due_at)
        _log.warning(
            "pushes to be tried again",
            **_about(notification),
            platform=platform.value,
            outcomes=_counts(outcomes),
            reason=reason[:_MAX_REASON],
            due_at=_instant(due_at),
        )

    def forwarded(self, notification: Notification, outcome: OutcomeName, *, reason: str, due_at: float | None) -> None:
        ended = due_at is None
        self._metrics.forwarded(notification.hub, outcome, ended=ended)
        if due_at is None:
            self._trail.forwarded(notification, outcome, reason=reason)
        else:
            self._trail.put_off(notification, None, reason=reason or outcome.value, until=due_at)
        taken = outcome is OutcomeName.SUCCESS
        level = _log.info if taken else _log.warning
        level(
            "handed over" if taken else "not handed over" if ended else "to be handed over again",
            **_about(notification),
            outcome=outcome.value,
            ended=ended,
            **({"reason": reason[:_MAX_REASON]} if reason else {}),
            **({} if due_at is None else {"due_at": _instant(due_at)}),
        )

    def deferred(self, notification: Notification, platform: Platform | None, *, reason: str, due_at: float) -> None:
        self._trail.put_off(notification, platform, reason=reason, until=due_at)
        _log.warning(
            "deferred: breaker open",
            **_about(notification),
            platform=_service(platform),
            reason=reason[:_MAX_REASON],
            due_at=_instant(due_at),
        )

    def breaker_opened(self, hub: str, platform: Platform | None, *, cause: str, until: float) -> None:
        _log.warning(
            "breaker open", hub=hub, platform=_service(platform), cause=cause[:_MAX_REASON], until=_instant(until)
        )

    def breaker_closed(self, hub: str, platform: Platform | None, *, seconds: float, why: str) -> None:
        facts = {"cause": why, "open_for_seconds": round(seconds, 1)}
        _log.info("breaker closed", hub=hub, platform=_service(platform), **facts)

    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        """Dead letters of any part: one line each, and counted."""
        self._metrics.dead_lettered(letters)
        for letter in letters:
            _log.warning(
                "dead letter",
                event_id=letter.event_id,
                source=letter.source,
                rule=letter.rule,
                stage=letter.stage,
                reason=letter.reason,
                detail=letter.detail,
            )

    def answered(
        self, hub: str, platform: Platform, seconds: float, results: Mapping[OutcomeName, int], timed_out: int
    ) -> None:
        self._metrics.answered(hub, platform, seconds, results, timed_out)

    def delivered(self, platform: Platform, seconds: float, count: int) -> None:
        self._metrics.delivered(platform, seconds, count)

    def claimed(self, lane: Lane, count: int, waited: Sequence[float]) -> None:
        self._metrics.claimed(lane, count, waited)

    def lease_lost(self, lane: Lane, count: int) -> None:
        _log.warning("lease lost", queue=lane.value, count=count)

    def lease_expired(self, lane: Lane, count: int) -> None:
        self._metrics.lease_expired(lane, count)
        _log.warning("lease expired", queue=lane.value, count=count)

    def ended(self, counts: Mapping[tuple[str, State], int]) -> None:
        self._metrics.ended(counts)

    def gone(self, hub: str, platform: Platform, count: int) -> None:
        _log.info("push channels gone", hub=hub, platform=platform.value, count=count)

    def store_failed(self, operation: str, error: Exception) -> None:
        """A line for each operation and cause, until everything works again; all failures are counted."""
        self._metrics.store_failed(operation)
        if (operation, str(error)) not in self._store_failures:
            self._store_failures.add((operation, str(error)))
            _log.error("store failed", operation=operation, error=str(error))

    def store_recovered(self, seconds: float) -> None:
        self._store_failures.clear()
        _log.info("store works again", failed_for_seconds=round(seconds, 1))

    def crashed(self, what: str, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):  # of a TaskGroup: what failed first is what matters
            error = error.exceptions[0]
        _log.error("defect", work=what, error=type(error).__name__, trace=_trace(error))


def _about(notification: Notification) -> dict[str, str]:
    """What names a notification on every line about it."""
    return {
        "event_id": notification.event_id,
        "notification_id": notification.id,
        "source": notification.source,
        "rule": notification.rule,
        "hub": notification.hub,
    }


def _service(platform: Platform | None) -> str:
    return REMOTE if platform is None else platform.value


def _counts(outcomes: Mapping[OutcomeName, int]) -> dict[str, int]:
    return {outcome.value: count for outcome, count in outcomes.items()}


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _received(passage: InFlightEvent) -> dict[str, str]:
    """Which event it is, and what its broker calls the message."""
    message = passage.message
    broker = {"message_id": message.id, "position": message.position}
    named = {name: value for name, value in broker.items() if value is not None}
    return {"event_id": passage.event_id, "source": message.source, **named}


def _trace(error: Exception) -> str:
    """Where it happened, without the values that an exception's text may hold."""
    frames = traceback.extract_tb(error.__traceback__ or sys.exc_info()[2])
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
