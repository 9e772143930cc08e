"""Messages, and shares of them, that could not become notifications."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, instant, place_in
from bridge.observe.redaction import redact
from hub.errors import NotFoundError
from hub.store.base import KeptLetter

_LIST = "dead-letters"
_LARGEST_ID = 2**63 - 1
_WITHHELD = "the body may be personal: it is shown to holders of the admin token, so set listeners.admin.auth"


class DeadLetterSummary(Model):
    """One dead letter; `rule` is empty when the message as a whole could not be used, `size` are the bytes of its body.

    `relay` names the source whose broker has yet to get it.
    """

    id: int
    at: datetime
    source: str
    event_id: str
    rule: str
    stage: str
    reason: str
    detail: str
    size: int
    tries: int
    trace: str
    config_hash: str
    revision: str
    relay: str | None


class DeadLetter(DeadLetterSummary):
    """A dead letter with its body: text where the body is UTF-8, else base64. `withheld` says why the body is left out.

    Headers whose names sound like credentials are removed."""

    content_type: str | None
    headers: dict[str, str]
    body: str | None = None
    body_base64: str | None = None
    withheld: str = ""


class DeadLetters(Model):
    """Newest first. With filters a part may hold few, or none, and have a next one."""

    items: list[DeadLetterSummary]
    next: str | None


class DeadLetterQuery(Paged):
    """Which dead letters."""

    source: str = ""
    reason: str = ""


class Drop(Model):
    """Which dead letters to forget."""

    ids: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=_LARGEST_ID)], ...], Field(min_length=1, max_length=1000)
    ]


class Dropped(Model):
    """Those that are gone now, and those that were not there."""

    dropped: list[int]
    missing: list[int]


def _summary(kept: KeptLetter) -> dict[str, Any]:
    letter = kept.letter
    return {
        "id": kept.id,
        "at": instant(kept.at),
        "source": letter.source,
        "event_id": letter.event_id,
        "rule": letter.rule,
        "stage": letter.stage,
        "reason": letter.reason,
        "detail": letter.detail,
        "size": kept.size,
        "tries": letter.tries,
        "trace": letter.trace,
        "config_hash": letter.config_hash,
        "revision": letter.revision,
        "relay": letter.relay,
    }


async def _list(call: Call) -> DeadLetters:
    query: DeadLetterQuery = call.query
    page = await call.management.hub.store.letters(
        source=query.source or None,
        reason=query.reason or None,
        after=place_in(_LIST, query.cursor),
        limit=query.limit,
    )
    return DeadLetters(
        items=[DeadLetterSummary(**_summary(kept)) for kept in page.items], next=cursor_of(_LIST, page.next)
    )


async def _show(call: Call) -> DeadLetter:
    text = call.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFoundError(f"dead letter {text[:40]!r} not found: an id is a number")
    kept = await call.management.hub.store.letter(int(text))
    return DeadLetter(
        **_summary(kept),
        content_type=kept.letter.content_type,
        headers={name: str(value) for name, value in redact(kept.letter.headers).items()},
        **(_body(kept.letter.body) if call.has_token else {"withheld": _WITHHELD}),
    )


def _body(body: bytes) -> Mapping[str, Any]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


async def _drop(call: Call) -> Dropped:
    body: Drop = call.body
    ids = list(dict.fromkeys(body.ids))
    dropped = await call.management.hub.store.drop_dead_letters(ids, actor=call.actor)
    return Dropped(dropped=list(dropped), missing=[letter for letter in ids if letter not in set(dropped)])


OPERATIONS = (
    Operation(
        name="listDeadLetters",
        method="GET",
        path="/dead-letters",
        summary="What could not become a notification, newest first.",
        run=_list,
        answer=DeadLetters,
        query=DeadLetterQuery,
    ),
    Operation(
        name="showDeadLetter",
        method="GET",
        path="/dead-letters/{id}",
        summary="One dead letter, with its body for who has the admin token.",
        run=_show,
        answer=DeadLetter,
        missing="no dead letter has that id",
    ),
    Operation(
        name="dropDeadLetters",
        method="POST",
        path="/dead-letters/drop",
        summary="Forget dead letters, for good.",
        run=_drop,
        answer=Dropped,
        body=Drop,
    ),
)
