"""What an operator allows of a hub's audiences, whoever sends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hub.notification import Everyone, Notification
from hub.tags import And, TagExpression, is_direct


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceGuard:
    """`only_to` is joined by AND to every audience of the hub; None lets all of its registrations be reached.

    A notification for more than `confirm_above` registrations is held until somebody approves it; None: none is.
    """

    only_to: TagExpression | None = None
    confirm_above: int | None = None

    def __bool__(self) -> bool:
        return self.only_to is not None or self.confirm_above is not None


Guards = Mapping[str, AudienceGuard]
"""By hub, for hubs that have one."""


def only_to(notification: Notification, guards: Guards) -> TagExpression | None:
    """What the audience of a notification is joined with, None where nothing is."""
    guard = guards.get(notification.hub)
    return None if guard is None else guard.only_to


def guarded(notification: Notification, guards: Guards) -> Notification:
    """The notification with the audience that its hub's guard leaves, the same one where it leaves all.

    Push channels of a direct send have no tags: their audience stays, and who delivers looks at their registrations.
    """
    expression = only_to(notification, guards) if guards else None
    if expression is None or is_direct(notification.audience):
        return notification
    audience = notification.audience
    joined = expression if isinstance(audience, Everyone) else And((*_operands(expression), *_operands(audience)))
    return replace(notification, audience=joined)


def needs_approval(notification: Notification, count: int, guards: Guards) -> bool:
    """Whether a notification for so many registrations is held without an approval; a direct send names them itself."""
    guard = guards.get(notification.hub)
    above = None if guard is None else guard.confirm_above
    return above is not None and count > above and not is_direct(notification.audience)


def _operands(expression: TagExpression) -> tuple[TagExpression, ...]:
    return expression.operands if isinstance(expression, And) else (expression,)
