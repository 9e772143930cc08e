"""What became of a notification for one registration, decided from what is kept of both; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyroaring import BitMap

from hub.notification import Audience, Everyone, Platform
from hub.outcome import DeviceAnswer, OutcomeName, State
from hub.quiet import Fate, QuietHours, held_text, reason_for
from hub.store.contracts.telemetry import TracedRegistration
from hub.store.decide.device import StoredDevice
from hub.tags import And, Or, TagExpression, matches, tag_key


class Failure(NamedTuple):
    """How a push ended badly, and when."""

    outcome: str
    reason: str
    at: float


class QuietPage(NamedTuple):
    """A page that quiet hours hold until a time of day by the clocks of some zones, or whose pushes they ended so."""

    until: float | None
    zones: Sequence[str]
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A row of pushes: the notification's own or a page. `due` None: all of it has its result, or is in pages."""

    due: float | None
    attempt: int
    ordinals: BitMap
    open: BitMap
    """Those without a result yet."""
    quiet: "QuietPage | None" = None
    """What quiet hours do with it."""

    @classmethod
    def of(
        cls,
        due: float | None,
        attempt: int,
        ordinals: bytes,
        done: int,
        again: bytes | None,
        quiet: QuietPage | None = None,
    ) -> "Sent":
        """From the columns of its row."""
        all_ = BitMap.deserialize(ordinals)
        open_ = BitMap() if due is None else all_[done:]
        return cls(
            due, attempt, all_, open_ if again is None or due is None else open_ | BitMap.deserialize(again), quiet
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedNotification:
    """What is kept of a notification. `platforms` None: all. `sent` is empty while no audience is known. `only_to` is what
    its hub joins every audience with. With `has_text` phones without a template get a text held here.

    With `is_deferred` no push could be attempted: its audience is looked for again, at `deferred_until` if that is known,
    else as soon as its push service takes pushes.
    """

    audience: Audience
    is_template: bool
    has_text: bool = False
    platforms: frozenset[Platform] | None
    state: State
    started_at: float | None
    sent: Sequence[Sent]
    only_to: TagExpression | None = None
    is_deferred: bool = False
    deferred_until: float | None = None
    quiet: QuietHours | None = None
    quiet_until: float | None = None
    """Until when quiet hours that are the same for all phones hold, or held, all of it."""


def answer_for(
    notification: TracedNotification,
    device: StoredDevice,
    ordinal: int,
    template: str | None,
    failure: Failure | None,
) -> TracedRegistration:
    """What became of it for the registration `ordinal`, which has that template."""
    tags = device.native_tags
    for each in device.templates:
        if each.ordinal == ordinal:
            tags = (*tags, *device.tags_of(each))
    traced = push_answer(notification.sent, ordinal, failure)
    if traced is None:
        answer, unmet = _why_not(notification, device, template, frozenset(map(tag_key, tags)))
        return TracedRegistration(
            template=template,
            platform=device.platform,
            answer=answer,
            unmet=unmet,
            due_at=notification.deferred_until if answer in _LATER else None,
            at=device.dead_at if answer is DeviceAnswer.DEAD else None,
            reason=_reason(notification, device, answer),
        )
    answer, due_at, attempt = traced
    if answer in (DeviceAnswer.WAITING, DeviceAnswer.FAILED) and notification.quiet is not None:
        page = quiet_page(notification.sent, ordinal)
        if page is not None and (page.fate is None) is (answer is DeviceAnswer.WAITING):
            return _in_quiet_hours(notification.quiet, page, device, template)
    return TracedRegistration(
        template=template,
        platform=device.platform,
        answer=answer,
        outcome=failure.outcome if answer is DeviceAnswer.FAILED and failure is not None else "",
        reason=failure.reason if answer is DeviceAnswer.FAILED and failure is not None else "",
        at=failure.at if answer is DeviceAnswer.FAILED and failure is not None else None,
        due_at=due_at,
        attempt=attempt,
    )


def quiet_page(sent: Sequence[Sent], ordinal: int) -> QuietPage | None:
    """The page in which quiet hours hold a push, or ended it."""
    pages = (row for row in sent if row.quiet is not None and ordinal in row.ordinals)
    found = [
        row.quiet for row in pages if row.quiet is not None and (row.quiet.fate is not None or ordinal in row.open)
    ]
    return found[-1] if found else None


def _in_quiet_hours(
    quiet: QuietHours, page: QuietPage, device: StoredDevice, template: str | None
) -> TracedRegistration:
    if page.fate is None:
        return TracedRegistration(
            template=template,
            platform=device.platform,
            answer=DeviceAnswer.QUIET_HOURS,
            reason=held_text(quiet, page.until or 0.0, page.zones),
            due_at=page.until,
        )
    return TracedRegistration(
        template=template,
        platform=device.platform,
        answer=DeviceAnswer.FAILED,
        outcome=OutcomeName.ABANDONED.value,
        reason=reason_for(quiet, page.fate),
    )


def push_answer(
    sent: Sequence[Sent], ordinal: int, failure: Failure | None
) -> tuple[DeviceAnswer, float | None, int] | None:
    """What became of the push, when it is due again, and of which attempt that is known; None: the registration is not in
    the audience. A failure counts for nothing while a retry is open."""
    meant = [row for row in sent if ordinal in row.ordinals]
    for row in meant:
        if ordinal in row.open:
            return DeviceAnswer.WAITING, row.due, row.attempt
    if failure is not None and failure.outcome != OutcomeName.SUCCESS.value:
        return DeviceAnswer.FAILED, None, 0
    if any(row.quiet is not None and row.quiet.fate is not None for row in meant):
        return DeviceAnswer.FAILED, None, 0
    if not meant:
        return None
    return DeviceAnswer.DELIVERED, None, max(row.attempt for row in meant)


def _why_not(
    notification: TracedNotification, device: StoredDevice, template: str | None, tags: frozenset[str]
) -> tuple[DeviceAnswer, str]:
    """The most telling reason why a registration is not in the audience, and the part of it that is not met."""
    unmet = None if isinstance(notification.audience, Everyone) else unmet_part(notification.audience, tags)
    if unmet is not None:
        return DeviceAnswer.TAGS, str(unmet)
    if notification.only_to is not None and not matches(notification.only_to, tags):
        return DeviceAnswer.ONLY_TO, str(notification.only_to)
    if notification.is_template and template is None and not (notification.has_text and not device.templates):
        return DeviceAnswer.NO_TEMPLATE, ""
    if not notification.is_template and template is not None:
        return DeviceAnswer.TEMPLATE, ""
    if notification.platforms is not None and device.platform not in notification.platforms:
        return DeviceAnswer.OTHER_PLATFORM, ""
    if device.dead_at is not None:
        return DeviceAnswer.DEAD, ""
    if notification.state is State.HELD:
        return DeviceAnswer.HELD, ""
    if notification.state is State.SCHEDULED and notification.quiet_until is not None:
        return DeviceAnswer.QUIET_HOURS, ""
    if not notification.sent and notification.state is not State.SCHEDULED and notification.is_deferred:
        return DeviceAnswer.WAITING, ""
    if not notification.sent and notification.state in (State.ENQUEUED, State.SCHEDULED):
        return DeviceAnswer.AUDIENCE_UNKNOWN, ""
    if notification.state is State.PROCESSING and not notification.sent:
        return DeviceAnswer.UNDER_WAY, ""
    if notification.started_at is not None and device.registered_at > notification.started_at:
        return DeviceAnswer.CHANGED_SINCE, ""
    return DeviceAnswer.NOT_MEANT, ""


def unmet_part(expression: TagExpression, tags: frozenset[str]) -> TagExpression | None:
    """The smallest part of an expression that decides that it does not match; None where it matches."""
    if matches(expression, tags):
        return None
    match expression:
        case And(operands):
            return next(found for each in operands if (found := unmet_part(each, tags)) is not None)
        case Or():
            return expression
    return expression


_LATER = frozenset([DeviceAnswer.WAITING, DeviceAnswer.QUIET_HOURS])


def _reason(notification: TracedNotification, device: StoredDevice, answer: DeviceAnswer) -> str:
    """Of a registration that there is no push for yet."""
    if answer is DeviceAnswer.DEAD:
        return device.dead_reason or ""
    quiet, until = notification.quiet, notification.quiet_until
    if answer is DeviceAnswer.QUIET_HOURS and quiet is not None and until is not None:
        return held_text(quiet, until, [quiet.window.zone])
    return ""
