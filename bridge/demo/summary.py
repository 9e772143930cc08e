"""What happened, as JSON and as text.

Each event by what the daemon tells, the subscription by what its broker counted, each phone by what its push service took.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bridge.demo.phones import DemoPhone
from bridge.observe.recent import Entry
from sandbox.journal import Journal
from sandbox.phones import VirtualPhone
from sandbox.servicebus import EntityNotFoundError, ServiceBus

_ID_IN_PUSH_ID = 20
"""So many hex digits of a notification's id begin the id of each of its pushes."""


def event_summary(entry: Entry, journal: Journal) -> dict[str, Any]:
    """One event: its rules, and of each notification the expression, the audience and what became of the pushes.

    `pushes` is how often the push services were asked, tries that they refused included.
    """
    pushes = Counter(push.push_id.replace("-", "")[:_ID_IN_PUSH_ID] for push in journal)
    event = entry.as_dict()
    return {
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "end": event["outcome"],
        "rules_fired": event["rules"],
        "notifications": [
            {
                "rule": notification["rule"],
                "expression": notification["expression"],
                "installations_targeted": notification["targeted"],
                "pushes": pushes[notification["id"][:_ID_IN_PUSH_ID]],
                "outcomes": notification["outcomes"],
            }
            for notification in event["notifications"]
        ],
        "dead_letters": event["dead_letters"],
    }


def subscription_summary(broker: ServiceBus, path: str) -> dict[str, Any]:
    """How many messages the subscription was given, how many of them were completed, and how many wait."""
    try:
        queue = broker.queue(path)
    except EntityNotFoundError:
        return {"path": path, "enqueued": 0, "completed": 0, "waiting": 0}
    return {
        "path": path,
        "enqueued": queue.counts.enqueued,
        "completed": queue.counts.completed,
        "waiting": len(queue),
    }


def phone_summary(role: DemoPhone, phone: VirtualPhone) -> dict[str, Any]:
    """One phone, and all that it received."""
    return {
        "id": role.id,
        "name": role.name,
        "platform": role.platform,
        "user": role.user,
        "tags": list(role.tags),
        "received": [
            {"title": shown.title, "body": shown.body, "push_id": shown.push_id, "at": shown.at.isoformat()}
            | ({"hidden": shown.hidden} if shown.hidden else {})
            for shown in phone.received
        ],
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary for people."""
    lines = ["Events"]
    for event in summary["events"]:
        lines.append(f"  {event['id'] or '(no id)'} from {event['source']}: {event['end'].replace('_', ' ')}")
        lines += [f"    {_way(notification)}" for notification in event["notifications"]]
    subscription = summary["subscription"]
    lines.append(f"Subscription {subscription['path']}")
    lines.append(f"    {subscription['completed']} of {subscription['enqueued']} messages completed")
    lines.append("Phones")
    for phone in summary["phones"]:
        lines.append(f"  {phone['name']}")
        lines += [f"    {shown['title']}: {shown['body']}" for shown in phone["received"]]
    return "\n".join(lines)


def _way(notification: Mapping[str, Any]) -> str:
    outcomes: Counter[str] = Counter()
    for by_name in notification["outcomes"].values():
        outcomes.update(by_name)
    ends = ", ".join(f"{count} {name}" for name, count in outcomes.items()) or "no outcome"
    return f"{notification['rule']} → {notification['expression']} → {notification['pushes']} pushed → {ends}"
