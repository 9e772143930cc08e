"""Which phones have not opened a notification, decided from what is kept of its pushes; pure.

A phone may have several registrations, which need not end together: some are tried again, in pages of their own. Each page
that ends has follow-ups of its own, and of those one tells of the phone: the one whose page has its first delivery, or,
where nothing was delivered, its last failure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hub.follow_up import FollowedPushes, FollowUpOutcome, UnopenedPush
from hub.notification import Notification
from hub.outcome import DeviceAnswer, OutcomeName, State, Unreached
from hub.phone_report import KeptReport, PhoneEvent
from hub.store.decide.device import StoredDevice
from hub.store.decide.tracing import Failure, Sent, push_answer

_OPENS = frozenset([PhoneEvent.OPENED, PhoneEvent.ACTED])
"""Who chose an action of a notification has seen it."""


class DueFollowUp(NamedTuple):
    """A row of follow-ups. `page` 0: the notification's own row."""

    queue: int
    n: int
    page: int
    about: FollowedPushes
    sent_at: float
    sinks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What is kept of a notification that was pushed. `pages` are by number; `devices`, dead ones too, and `failures` by
    the ordinals of registrations; `said` is what phones reported, by the id of their installation."""

    notification: Notification
    state: State
    pages: Mapping[int, Sent]
    unreached: Unreached | None
    failures: Mapping[int, Failure]
    devices: Mapping[int, StoredDevice]
    said: Mapping[str, Sequence[KeptReport]]


class Found(NamedTuple):
    """What a follow-up came to for each phone, and what of it sinks are told."""

    outcomes: Sequence[FollowUpOutcome]
    unopened: Sequence[UnopenedPush]


class _Push(NamedTuple):
    """A push to one registration: the row with its last try. None of its results is known while it waits."""

    ordinal: int
    page: int
    attempt: int
    answer: DeviceAnswer


def found(due: DueFollowUp, followed: Followed, *, now: float) -> Found:
    """An operator who cancelled a notification wants nothing more of it: its phones are not looked at."""
    if followed.state is State.CANCELLED:
        return Found([], [])
    if due.about is FollowedPushes.EXPANDED:
        return Found([FollowUpOutcome.TOO_MANY], [])
    if not any(sent.ordinals for sent in followed.pages.values()):
        return _told(due, followed, now, FollowUpOutcome.NO_PHONE)
    pushes = _pushes(followed)
    phones: dict[str | int, list[_Push]] = {}
    for push in pushes:
        if (device := followed.devices.get(push.ordinal)) is not None:
            phones.setdefault(device.installation_id or device.ordinal, []).append(push)
    if not phones:
        has_opened = any(map(_has_opened, followed.said.values()))
        is_meant = _meant(due.about, pushes) == due.page
        return _told(due, followed, now, FollowUpOutcome.UNREGISTERED) if is_meant and not has_opened else Found([], [])
    outcomes: list[FollowUpOutcome] = []
    unopened: list[UnopenedPush] = []
    for of_phone in phones.values():
        if _meant(due.about, of_phone) != due.page:
            continue
        device = followed.devices[of_phone[0].ordinal]
        if _has_opened(followed.said.get(device.installation_id or "", ())):
            outcomes.append(FollowUpOutcome.OPENED)
            continue
        others = [each for each in phones.values() if each is not of_phone]
        one = replace(
            _unopened(due, followed, device, of_phone, now),
            others_delivered=sum(any(push.answer is DeviceAnswer.DELIVERED for push in each) for each in others),
            others_opened=sum(_has_opened(reports) for reports in followed.said.values()),
        )
        outcomes.append(one.outcome)
        unopened.append(one)
    return Found(outcomes, unopened)


def _pushes(followed: Followed) -> list[_Push]:
    last: dict[int, tuple[int, Sent]] = {}
    for number, sent in followed.pages.items():
        for ordinal in sent.ordinals:
            if ordinal not in last or last[ordinal][1].attempt < sent.attempt:
                last[ordinal] = number, sent
    pages = list(followed.pages.values())
    pushes = []
    for ordinal, (number, sent) in last.items():
        said = push_answer(pages, ordinal, followed.failures.get(ordinal))
        if said is not None:
            pushes.append(_Push(ordinal, number, sent.attempt, said[0]))
    return pushes


def _meant(about: FollowedPushes, pushes: Sequence[_Push]) -> int | None:
    """The page whose follow-up tells of the phone that these pushes are for; None: none that is about these."""
    delivered = [(push.attempt, push.ordinal, push.page) for push in pushes if push.answer is DeviceAnswer.DELIVERED]
    if about is FollowedPushes.DELIVERED:
        return min(delivered)[2] if delivered else None
    failed = [(push.attempt, push.ordinal, push.page) for push in pushes if push.answer is DeviceAnswer.FAILED]
    return max(failed)[2] if len(failed) == len(pushes) else None


def _has_opened(reports: Sequence[KeptReport]) -> bool:
    return any(each.event in _OPENS for each in reports)


def _told(due: DueFollowUp, followed: Followed, now: float, outcome: FollowUpOutcome) -> Found:
    """Of the notification, where no single phone is meant."""
    sent_at = due.sent_at if due.about is FollowedPushes.DELIVERED else None
    one = UnopenedPush(
        notification=followed.notification,
        sinks=due.sinks,
        outcome=outcome,
        at=now,
        sent_at=sent_at,
        why=followed.unreached,
    )
    return Found([outcome], [one])


def _unopened(
    due: DueFollowUp, followed: Followed, device: StoredDevice, pushes: Sequence[_Push], now: float
) -> UnopenedPush:
    is_delivered = due.about is FollowedPushes.DELIVERED
    failure = None if is_delivered else followed.failures.get(max(pushes, key=lambda push: push.attempt).ordinal)
    reports = followed.said.get(device.installation_id or "", ())
    # A phone that was registered again since may be another user's by now.
    is_same = device.registered_at <= due.sent_at
    return UnopenedPush(
        notification=followed.notification,
        sinks=due.sinks,
        outcome=FollowUpOutcome.NOT_OPENED if is_delivered else FollowUpOutcome.FAILED,
        at=now,
        installation_id=device.installation_id or "",
        registration_id=device.registration_id or "" if device.installation_id is None else "",
        user_id=(device.user_id or "") if is_same else "",
        platform=device.platform,
        sent_at=due.sent_at if is_delivered else None,
        received_at=next((each.at for each in reports if each.event is PhoneEvent.RECEIVED), None),
        failure=None if failure is None else OutcomeName(failure.outcome),
        detail="" if failure is None else failure.reason,
    )
