"""Which phones of a test have not opened what was pushed, as `unless_opened` of its rule asks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.trial.suite.compare import SeenPush, SeenUnopened
from hub.follow_up import MOST_PHONES, FollowUpOutcome


@dataclass(slots=True, kw_only=True)
class _Look:
    """Phones of a notification that were pushed to and are looked at later."""

    due: datetime
    rule: str
    sinks: Sequence[str]
    phones: list[str]


class FollowedPhones:
    """Phones that somebody is to be told of. A push service takes each push of a test as it is sent."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []

    def pushed(self, pushes: Sequence[SeenPush], *, now: datetime) -> list[SeenUnopened]:
        """Notifications leave; what is told of them at once, as no phone gets them."""
        told: list[SeenUnopened] = []
        for push in pushes:
            tried = push.tried
            asked = tried.unless_opened
            if asked is None or tried.remote or sum((tried.audience or {}).values()) > MOST_PHONES:
                continue  # phones of a remote hub report there, and those of a large audience are not followed
            nobody = {} if push.devices or push.failed else {"": FollowUpOutcome.NO_PHONE}
            for phone, outcome in (nobody | dict.fromkeys(push.failed, FollowUpOutcome.FAILED)).items():
                told.append(
                    SeenUnopened(rule=tried.rule, device=phone, outcome=outcome.value, sinks=tuple(asked.sinks))
                )
            if push.devices:
                sent_at = max(now, tried.notification.schedule_at or now)
                due = sent_at + timedelta(seconds=asked.after)
                self._looks.append(_Look(due=due, rule=tried.rule, sinks=asked.sinks, phones=list(push.devices)))
        return told

    def opened(self, phones: Collection[str]) -> None:
        """The users of these open all that has come to them."""
        for look in self._looks:
            look.phones = [phone for phone in look.phones if phone not in phones]

    def due(self, *, now: datetime) -> list[SeenUnopened]:
        """What is told by now of phones whose time has passed."""
        due = [look for look in self._looks if look.due <= now]
        self._looks = [look for look in self._looks if look.due > now]
        outcome = FollowUpOutcome.NOT_OPENED.value
        return [
            SeenUnopened(rule=look.rule, device=phone, outcome=outcome, sinks=tuple(look.sinks))
            for look in sorted(due, key=lambda look: look.due)
            for phone in look.phones
        ]
