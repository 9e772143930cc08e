"""Registrations of another hub, taken into a hub that is kept here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Annotated

from pydantic import Field

from bridge.admin.api.devices import local_hub
from bridge.admin.api.operation import Call, Model, Operation, instant
from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError
from hub.facts import CannotMove, DevicesImported, ImportAnswer
from hub.installation import Registration
from hub.moving.taking import Offered, Taking

MOST = 200
"""Things in one request."""

_MAX_BODY = 8 * 1024 * 1024
_PATIENCE = 60.0


class Thing(Model):
    """An installation as its document (key `i:ID`), or a single registration as its description in XML (key `r:ID`)."""

    key: Annotated[str, Field(pattern="^[ir]:", max_length=300)]
    said: Annotated[str, Field(max_length=200_000)]
    was: Annotated[str, Field(max_length=200_000, description="What was imported of it before; empty for nothing.")] = (
        ""
    )


class Part(Enum):
    """Which request of an import it is; `whole` is all of it. The audit has no row for `next`."""

    FIRST = "first"
    NEXT = "next"
    LAST = "last"
    WHOLE = "whole"


class Things(Model):
    """What to take, and how many devices the import found and cannot bring, by reason."""

    items: Annotated[list[Thing], Field(max_length=MOST)]
    part: Part = Part.WHOLE
    source: Annotated[str, Field(max_length=300, description="Which hub it is of, for the audit.")] = ""
    found: Annotated[int, Field(ge=0, description="How many devices the import has to take in all.")] | None = None
    refused: Annotated[
        Mapping[CannotMove, int], Field(default_factory=dict, description="Devices that cannot be offered, by why.")
    ]
    answers: Annotated[
        Mapping[ImportAnswer, int], Field(default_factory=dict, description="In the last request: what became of all.")
    ]


class TakenModel(Model):
    """`kept`: a phone or a back end has said something else here since, and that stays."""

    answer: ImportAnswer
    reason: str = ""


class Outcome(Model):
    """What became of each, in order."""

    items: list[TakenModel]


async def _take(call: Call) -> Outcome:
    hub = local_hub(call)
    body: Things = call.body
    settings = call.management.settings.hubs[hub]
    if settings.mirror is not None:
        raise InvalidRequestError(
            f"the hub {hub} mirrors its remote, and lists it by itself (now: pushbridge mirror list --hub {hub})."
            " To import from a third hub, take mirror away until that is done"
        )
    ttl, store = settings.limits.registration_ttl, call.management.hub.store

    def expires(registration: Registration) -> Registration:
        return registration if ttl is None else replace(registration, expires_at=instant(store.now() + ttl))

    taking = Taking(hub, call.management.hub, expires=expires)
    offered = [Offered(key=each.key, said=each.said, was=each.was) for each in body.items]
    if body.part is not Part.NEXT:
        await store.add_audit(AuditEntry(actor=call.actor, action="devices.import", target=hub, detail=_said(body)))
    taken = await taking.take(offered)
    refused = Counter(body.refused)
    refused.update(each.cannot_move for each in taken if each.cannot_move is not None)
    answers = Counter(each.answer for each in taken)
    answers[ImportAnswer.REFUSED] += sum(body.refused.values())
    call.management.observe(DevicesImported(hub=hub, answers=answers, refused=refused, found=body.found))
    return Outcome(items=[TakenModel(answer=each.answer, reason=each.reason) for each in taken])


def _said(body: Things) -> str:
    """A part of an import in words."""
    counts = ", ".join(f"{count} {answer.value}" for answer, count in body.answers.items() if count)
    match body.part:
        case Part.FIRST:
            said = f"begins: {body.found or 0} devices to take"
        case Part.LAST:
            said = f"ends: {counts or 'nothing to take'}"
        case _:
            said = f"{len(body.items)} devices"
    return f"{said}, of {body.source}" if body.source else said


OPERATIONS = (
    Operation(
        name="importDevices",
        method="POST",
        path="/hubs/{hub}/devices/import",
        summary="Take installations and registrations of another hub, never over what was said here since.",
        run=_take,
        answer=Outcome,
        admin_only=True,
        body=Things,
        missing="There is no such hub.",
        patience=_PATIENCE,
        max_body=_MAX_BODY,
    ),
)
