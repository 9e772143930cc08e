"""NotificationDetails as XML (Notification Hubs REST API, "Get notification message telemetry")."""

from collections.abc import Iterator, Mapping

from hub.api.wire.content import WIRE_NAMES
from hub.content.xml_text import escape_xml
from hub.dates import format_date
from hub.notification import Platform
from hub.outcome import NotificationDetails, OutcomeName, State

_NAMESPACES = (
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
    ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
)
_COUNTS = (
    (Platform.APNS, "ApnsOutcomeCounts"),
    (Platform.WNS, "WnsOutcomeCounts"),
    (Platform.FCM, "FcmV1OutcomeCounts"),
)
"""In the order of the data contract: .NET passes over a member that comes too late."""


def details_xml(details: NotificationDetails, *, location: str, is_java: bool) -> str:
    """Compact, in the data contract's order, without empty members; some SDKs fail on either."""
    # Java's enum knows another spelling than those of JavaScript and .NET, and throws.
    state = "Canceled" if is_java and details.state is State.CANCELLED else details.state.value
    members = {
        "NotificationId": details.notification_id,
        "Location": location,
        "State": state,
        "EnqueueTime": format_date(details.enqueued_at),
        "StartTime": format_date(details.started_at) if details.started_at else "",
        "EndTime": format_date(details.ended_at) if details.ended_at else "",
        "NotificationBody": details.body,
        "Tags": details.tags,
        "TargetPlatforms": ",".join(WIRE_NAMES[platform] for platform in details.platforms),
    }
    texts = [f"<{name}>{escape_xml(text)}</{name}>" for name, text in members.items() if text]
    counts = [
        f"<{name}>{''.join(_outcomes(details.counts[of]))}</{name}>" for of, name in _COUNTS if details.counts.get(of)
    ]
    return f"<NotificationDetails {_NAMESPACES}>{''.join([*texts, *counts])}</NotificationDetails>"


def _outcomes(counts: Mapping[OutcomeName, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"<Outcome><Name>{name.value}</Name><Count>{count}</Count></Outcome>"
