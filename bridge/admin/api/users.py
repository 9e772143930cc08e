"""All that is kept of one person, to be exported or erased."""

from typing import Any

from bridge.admin.api.operation import Call, Model, NoQuery, Operation, Paged, cursor_of, place_in
from bridge.observe.redaction import redact
from hub.errors import InvalidRequestError
from hub.store.contracts.people import Kept

_LIST = "users"
_LONGEST = 1024
_PATIENCE = 600.0
"""Seconds that an erasure may take: a person may have 100,000 rows."""


class UserSummary(Model):
    """How much is kept of a person, by kind; of devices the registrations."""

    rows: dict[str, int]


class KeptRow(Model):
    """One thing that is kept of a person: of a device its document, of the others what the store has.

    Texts that are no UTF-8 are objects with `base64`. With `content_cleared` what a notification said is not kept any more
    and `content` is null; with `body_withheld` the body of a dead letter never was. Headers whose names sound like
    credentials are removed.
    """

    kind: str
    content: dict[str, Any]


class KeptRows(Model):
    """A part is of one kind, and may hold few, or none, and have a next one."""

    items: list[KeptRow]
    next: str | None


class ErasedUser(Model):
    """What was erased. `digest` stands for the person in audit rows, the log and the file of erasures.

    With `is_overwritten` the files of the store hold no byte of it any more; else that follows, as soon as readers of
    an older state, such as a backup, are done and all pages were looked at.
    """

    digest: str
    rows: dict[str, int]
    is_overwritten: bool


def _person(call: Call) -> str:
    """Raises: InvalidRequestError."""
    person = call.path["id"]
    if not 0 < len(person) <= _LONGEST:
        raise InvalidRequestError(f"the id of a person has 1 to {_LONGEST} characters")
    return person


async def _summary(call: Call) -> UserSummary:
    counts = await call.management.hub.store.count_person(_person(call))
    return UserSummary(rows={kind.value: count for kind, count in counts.items()})


async def _export(call: Call) -> KeptRows:
    query: Paged = call.query
    page = await call.management.hub.store.export_person(
        _person(call), after=place_in(_LIST, query.cursor), limit=query.limit
    )
    items = [KeptRow(kind=one.kind.value, content=_shown(one.kind, one.content)) for one in page.items]
    return KeptRows(items=items, next=cursor_of(_LIST, page.next))


def _shown(kind: Kept, content: Any) -> dict[str, Any]:
    """Without credentials that a message carried beside its content."""
    shown = dict(content)
    if kind is not Kept.DEVICE:
        for name in ("headers", "envelope"):
            if isinstance(shown.get(name), dict):
                shown[name] = redact(shown[name])
    return shown


async def _erase(call: Call) -> ErasedUser:
    erased = await call.management.hub.erase_person(_person(call), actor=call.actor)
    return ErasedUser(
        digest=erased.digest,
        rows={kind.value: count for kind, count in erased.rows.items()},
        is_overwritten=erased.is_overwritten,
    )


OPERATIONS = (
    Operation(
        name="summarizeUser",
        method="GET",
        path="/users/{id}/summary",
        summary="How much is kept of a person.",
        run=_summary,
        answer=UserSummary,
        query=NoQuery,
    ),
    Operation(
        name="exportUser",
        method="GET",
        path="/users/{id}/export",
        summary="All that is kept of a person, for the role admin.",
        run=_export,
        answer=KeptRows,
        admin_only=True,
        query=Paged,
    ),
    Operation(
        name="eraseUser",
        method="POST",
        path="/users/{id}/erase",
        summary="Erase all that is kept of a person, for good.",
        run=_erase,
        answer=ErasedUser,
        admin_only=True,
        patience=_PATIENCE,
    ),
)
