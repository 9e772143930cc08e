"""A notification that a remote hub refused as a dead letter, and that letter as a notification again."""

from dataclasses import replace
from datetime import datetime, timedelta

import orjson

from hub.acceptance import DeadLetter, Reason, Stage
from hub.identity import digest_of, joined
from hub.notification import Everyone, Notification
from hub.people import people_of
from hub.quiet import quiet_text
from hub.store.rows import moment, notification_of, said_by


def letter_of(notification: Notification, reason: Reason, detail: str, *, accepted_at: float) -> DeadLetter:
    """The body is the content; the envelope holds all else that the notification says, and when it was accepted. Of a
    sensitive one neither is kept."""
    hub, source, event_id, rule, audience, format_, content, *rest = said_by(notification)
    if notification.quiet is not None:  # last, and only where there are any: the version before knows none
        rest.append(quiet_text(notification.quiet))
    letter = DeadLetter(
        source=source,
        event_id=event_id,
        rule=rule,
        stage=Stage.HUB.value,
        reason=reason.value,
        detail=f"hub {hub}: {detail}",
        body=content,
        content_type="application/json",
        headers={
            "notification-id": notification.id,
            "audience": "everyone" if isinstance(notification.audience, Everyone) else audience,
        },
        envelope=orjson.dumps([notification.id, accepted_at, hub, audience, format_, *rest]).decode(),
        person=next(iter(people_of(notification)), ""),
        trace=notification.trace,
    )
    return letter.without_body() if notification.sensitive else letter


def notification_from(letter: DeadLetter, letter_id: int, *, now: datetime) -> Notification:
    """The same notification under an id of its own, which is made of the first id and the letter.

    It may live from `now` on for as long as the first could. Raises: ValueError: the letter holds no notification.
    """
    try:
        first_id, accepted_at, hub, audience, format_, *rest = orjson.loads(letter.envelope)
        key = digest_of(joined("replay", first_id, str(letter_id)))
        headers, platforms, priority, collapse, at, until, *others = rest
        quiet = others[0] if others else None
        said = (hub, letter.source, letter.event_id, letter.rule, audience, format_, letter.body)
        limits = (headers, platforms, priority, collapse, at, until)
        notification = notification_of((key, *said, *limits, letter.person, letter.trace, None, quiet))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("the letter holds no whole notification") from error
    lived = timedelta(0) if notification.expires_at is None else notification.expires_at - moment(accepted_at)
    return replace(
        notification,
        schedule_at=None,
        expires_at=None if notification.expires_at is None else now + max(lived, timedelta(0)),
    )
