"""Who is told of what, and in which words: reports are CloudEvents 1.0 in JSON (structured mode)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import orjson

from bridge.config.models.document import Settings
from bridge.observe.facts import ReportType
from hub.follow_up import FollowUp, UnopenedPush
from hub.notification import Notification
from hub.outcome import ENDED_WELL, State
from hub.phone_report import PhoneEvent, ReportedPush
from hub.report import EndedNotification, RemovedDevices, Report

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


class ConfiguredReporter:
    """`hub.report.Reporter` by a configuration: rules and hubs name the sinks.

    A notification of a rule goes to the sinks of that rule, one that was sent through the API to those of its hub. A hub's
    sinks hear of its devices too. A report holds no text of a notification and no push channel.
    """

    def __init__(self, settings: Settings) -> None:
        self._source = f"/pushbridge/{quote(settings.bridge.name)}"
        self._rules: Mapping[str, Collection[str]] = settings.rules.report_to
        self._follow_ups: Mapping[str, FollowUp] = settings.rules.follow_ups
        self._hubs: Mapping[str, Collection[str]] = {
            name: hub.report_to for name, hub in settings.hubs.items() if hub.report_to
        }

    @property
    def tells(self) -> bool:
        """Whether anybody is told of anything."""
        return bool(self._rules or self._hubs or self._follow_ups)

    def sinks_of(self, notification: Notification) -> Collection[str]:
        return self._rules.get(notification.rule, ()) if notification.rule else self._hubs.get(notification.hub, ())

    def sinks_of_devices(self, hub: str) -> Collection[str]:
        return self._hubs.get(hub, ())

    def reports_of(self, ended: EndedNotification) -> Sequence[Report]:
        notification = ended.notification
        sinks = self.sinks_of(notification)
        if not sinks:
            return ()
        outcomes = [(outcome, count) for by_outcome in ended.counts.values() for outcome, count in by_outcome.items()]
        delivered = sum(count for outcome, count in outcomes if outcome in ENDED_WELL)
        # A remote hub pushes by itself: what it has taken counts as delivered there.
        is_delivered = delivered > 0 or (not ended.counts and ended.state is State.COMPLETED)
        data: dict[str, Any] = _of_notification(notification) | {
            "state": ended.state.value,
            "delivered": delivered,
            "failed": sum(count for _, count in outcomes) - delivered,
            "outcomes": {
                platform.value: {outcome.value: count for outcome, count in by_outcome.items()}
                for platform, by_outcome in ended.counts.items()
            },
        }
        if ended.why is not None:
            data["why"] = ended.why.value
        if ended.actor:
            data["actor"] = ended.actor
        type_ = ReportType.DELIVERED if is_delivered else ReportType.FAILED
        body = self._event(
            ReportType.CANCELLED if ended.state is State.CANCELLED else type_,
            id=notification.id,
            subject=f"notifications/{notification.id}",
            at=ended.at,
            data=data,
        )
        return [Report(sink=sink, body=body, content_type=CONTENT_TYPE, person=notification.person) for sink in sinks]

    def reports_of_devices(self, removed: RemovedDevices, *, at: float) -> Sequence[Report]:
        sinks = self.sinks_of_devices(removed.hub)
        ids = [*removed.installations, *removed.registrations]
        if not (sinks and ids):
            return ()
        data: dict[str, Any] = {
            "hub": removed.hub,
            "platform": removed.platform.value,
            "reason": removed.reason,
            "installationIds": list(removed.installations),
            "registrationIds": list(removed.registrations),
        }
        if removed.user_id:
            data["userId"] = removed.user_id
        digest = _digest(removed.hub, *ids, repr(at))
        body = self._event(
            ReportType.DEVICE_REMOVED, id=digest, subject=f"devices/{quote(ids[0], safe='')}", at=at, data=data
        )
        return [Report(sink=sink, body=body, content_type=CONTENT_TYPE, person=removed.user_id) for sink in sinks]

    def follow_up_of(self, notification: Notification) -> FollowUp | None:
        return self._follow_ups.get(notification.rule)

    def reports_of_unopened(self, unopened: UnopenedPush) -> Sequence[Report]:
        notification = unopened.notification
        said: dict[str, Any] = {
            "outcome": unopened.outcome.value,
            "installationId": unopened.installation_id,
            "registrationId": unopened.registration_id,
            "platform": "" if unopened.platform is None else unopened.platform.value,
            "userId": unopened.user_id,
            "sentAt": _time(unopened.sent_at),
            "receivedAt": _time(unopened.received_at),
            "failure": "" if unopened.failure is None else unopened.failure.value,
            "detail": unopened.detail,
            "why": "" if unopened.why is None else unopened.why.value,
        }
        body = self._event(
            ReportType.PUSH_UNOPENED,
            id=_digest(notification.id, unopened.installation_id, unopened.registration_id, "unopened"),
            subject=f"notifications/{notification.id}",
            at=unopened.at,
            data=_of_notification(notification)
            | {name: value for name, value in said.items() if value}
            | {"othersDelivered": unopened.others_delivered, "othersOpened": unopened.others_opened},
        )
        person = notification.person or unopened.user_id
        return [Report(sink=sink, body=body, content_type=CONTENT_TYPE, person=person) for sink in unopened.sinks]

    def reports_of_phone(self, reported: ReportedPush) -> Sequence[Report]:
        notification = reported.notification
        sinks = self.sinks_of(notification)
        if not sinks:
            return ()
        data = _of_notification(notification) | {
            "installationId": reported.installation_id,
            "platform": reported.platform.value,
            "event": reported.event.value,
        }
        if reported.user_id:
            data["userId"] = reported.user_id
        if reported.action:
            data["action"] = reported.action
        body = self._event(
            _REPORTED[reported.event],
            id=_digest(notification.id, reported.installation_id, reported.event.value, reported.action),
            subject=f"notifications/{notification.id}",
            at=reported.at,
            data=data,
        )
        person = notification.person or reported.user_id
        return [Report(sink=sink, body=body, content_type=CONTENT_TYPE, person=person) for sink in sinks]

    def _event(self, type_: ReportType, *, id: str, subject: str, at: float, data: Mapping[str, Any]) -> bytes:
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": id,
                "source": self._source,
                "type": type_.value,
                "subject": subject,
                "time": _time(at),
                "datacontenttype": "application/json",
                "data": data,
            }
        )


_REPORTED = {
    PhoneEvent.RECEIVED: ReportType.PUSH_RECEIVED,
    PhoneEvent.OPENED: ReportType.PUSH_OPENED,
    PhoneEvent.ACTED: ReportType.PUSH_ACTED,
}


def _of_notification(notification: Notification) -> dict[str, Any]:
    """What every report on a notification begins with."""
    data: dict[str, Any] = {"notificationId": notification.id, "hub": notification.hub}
    if notification.rule:
        data |= {"rule": notification.rule, "eventSource": notification.source, "eventId": notification.event_id}
    return data


def _time(at: float | None) -> str:
    """Empty for None."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _digest(*parts: str) -> str:
    """The id of a report, the same for the same parts."""
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
