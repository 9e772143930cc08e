"""NotificationDetails as XML (Notification Hubs REST API, "Get notification message telemetry")."""

from collections.abc import Iterator, Mapping

from hub.characters import escape_xml
from hub.dates import format_date
from hub.notification import Platform
from hub.outcome import NotificationDetails, OutcomeName, State
from hub.platforms.table import platforms

_NAMESPACES = (
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
    ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
)
_MEMBERS = (
    "ApnsOutcomeCounts",
    "MpnsOutcomeCounts",
    "WnsOutcomeCounts",
    "AdmOutcomeCounts",
    "FcmV1OutcomeCounts",
    "BaiduOutcomeCounts",
    "BrowserOutcomeCounts",
    "XiaomiOutcomeCounts",
)
"""In the order of the data contract, those that it does not know last: .NET passes over a member that comes too late."""


def details_xml(details: NotificationDetails, *, location: str, is_java: bool) -> str:
    """Compact, in the data contract's order, without empty members; some SDKs fail on either."""
    known = State.ENQUEUED if details.state is State.HELD else details.state  # no SDK knows a state of ours
    # Java's enum knows another spelling than those of JavaScript and .NET, and throws.
    state = "Canceled" if is_java and known is State.CANCELLED else known.value
    members = {
        "NotificationId": details.notification_id,
        "Location": location,
        "State": state,
        "EnqueueTime": format_date(details.enqueued_at),
        "StartTime": format_date(details.started_at) if details.started_at else "",
        "EndTime": format_date(details.ended_at) if details.ended_at else "",
        "NotificationBody": details.body,
        "Tags": "" if details.tags.startswith("$Direct:") else details.tags,  # a direct send names no tags
        "TargetPlatforms": ",".join(_wire_name(platform) for platform in details.platforms),
    }
    texts = [f"<{name}>{escape_xml(text)}</{name}>" for name, text in members.items() if text]
    counts = [f"<{name}>{''.join(_outcomes(counted))}</{name}>" for name, counted in _members(details)]
    return f"<NotificationDetails {_NAMESPACES}>{''.join([*texts, *counts])}</NotificationDetails>"


def _wire_name(platform: Platform) -> str:
    return next((each.wire_format for each in platforms() if each.platform is platform), platform.value)


def _members(details: NotificationDetails) -> list[tuple[str, Mapping[OutcomeName, int]]]:
    found = [
        (each.counts_element, details.counts[each.platform])
        for each in platforms()
        if each.counts_element and details.counts.get(each.platform)
    ]
    return sorted(found, key=lambda member: _MEMBERS.index(member[0]) if member[0] in _MEMBERS else len(_MEMBERS))


def _outcomes(counts: Mapping[OutcomeName, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"<Outcome><Name>{name.value}</Name><Count>{count}</Count></Outcome>"
