"""Registrations of another hub, taken into a hub that is kept here."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from bridge.admin.api.devices import local_hub
from bridge.admin.api.operation import Call, Model, Operation, instant
from hub.errors import InvalidRequestError
from hub.installation import Registration
from hub.moving.taking import Answer, Offered, Taking

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


class Things(Model):
    """What to take."""

    items: Annotated[list[Thing], Field(max_length=MOST)]


class TakenModel(Model):
    """`kept`: a phone or a back end has said something else here since, and that stays."""

    answer: Answer
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
    taken = await taking.take(offered)
    return Outcome(items=[TakenModel(answer=each.answer, reason=each.reason) for each in taken])


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
