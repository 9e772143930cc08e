"""What operators changed, and who says to have done it."""

from datetime import datetime

from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, instant, place_in

_LIST = "audit"


class AuditRow(Model):
    """One change. `actor` is what the client said of itself, for all share one token; `admin` when it said nothing."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: str


class AuditRows(Model):
    """Newest first."""

    items: list[AuditRow]
    next: str | None


async def _list(call: Call) -> AuditRows:
    query: Paged = call.query
    page = await call.management.hub.store.audit(after=place_in(_LIST, query.cursor), limit=query.limit)
    items = [
        AuditRow(
            id=kept.id,
            at=instant(kept.at),
            actor=kept.entry.actor,
            action=kept.entry.action,
            target=kept.entry.target,
            detail=kept.entry.detail,
        )
        for kept in page.items
    ]
    return AuditRows(items=items, next=cursor_of(_LIST, page.next))


OPERATIONS = (
    Operation(
        name="listAudit",
        method="GET",
        path="/audit",
        summary="What operators changed, newest first.",
        run=_list,
        answer=AuditRows,
        query=Paged,
    ),
)
