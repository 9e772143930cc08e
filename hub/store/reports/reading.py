"""Reports of phones, read with the notifications that they are about."""

from collections.abc import Mapping, Sequence

from hub.phone_report import KeptReport, PhoneEvent
from hub.store.connection import Connection, Statement
from hub.store.decide.recording import Key

COUNTS = Statement(
    "report.counts",
    "SELECT platform, event, count(*) FROM report WHERE queue = :queue AND notification = :n GROUP BY platform, event",
)
OF_PHONE = Statement(
    "report.of_phone",
    "SELECT queue, notification, event, action, at FROM report"
    " WHERE queue = :queue AND notification = :notification AND phone = :phone",
    columns=(("queue", "bigint"), ("notification", "bigint"), ("phone", "text")),
)


def counts_of_reports(connection: Connection, queue: int, n: int) -> Mapping[str, Mapping[str, int]]:
    """How many reports there are of a notification, by platform and event; of a phone's actions each is one."""
    counts: dict[str, dict[str, int]] = {}
    for platform, event, count in connection.read(COUNTS, queue=queue, n=n):
        counts.setdefault(platform, {})[event] = count
    return counts


def reports_of_phone(
    connection: Connection, keys: Sequence[Key], installation_id: str
) -> Mapping[Key, Sequence[KeptReport]]:
    """What an installation said of each of these notifications, in order of time."""
    found: dict[Key, list[KeptReport]] = {}
    rows = connection.read_many(OF_PHONE, [(*key, installation_id) for key in keys])
    for queue, n, event, action, at in sorted(rows, key=lambda row: float(row[4])):
        found.setdefault((queue, n), []).append(KeptReport(event=PhoneEvent(event), action=action, at=at))
    return found
