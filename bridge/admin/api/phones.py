"""Phones that registered with their user's token: written again to the engine of their hub."""

from bridge.admin.api.operation import Call, Model, Operation, hub_of
from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError

_PART = 1000
_PATIENCE = 600.0
"""Seconds: a hub may have millions of phones."""


class Rewritten(Model):
    """How many phones are signed in at the hub; they are written in the background from now on."""

    hub: str
    phones: int


async def _rewrite(call: Call) -> Rewritten:
    name = hub_of(call)
    if call.management.settings.hubs[name].registration is None:
        raise InvalidRequestError(f"the hub {name} has no registration: its phones register with the engine itself")
    audit: AuditEntry | None = AuditEntry(actor=call.actor, action="phones.rewrite", target=name)
    count, after = 0, ""
    while True:
        found, after = await call.management.hub.store.rewrite_phones(name, after=after, limit=_PART, audit=audit)
        count, audit = count + found, None
        if not after:
            return Rewritten(hub=name, phones=count)


OPERATIONS = (
    Operation(
        name="rewritePhones",
        method="POST",
        path="/hubs/{hub}/phones/rewrite",
        summary="Write all phones that registered with a user's token to the hub's engine again, after its loss.",
        run=_rewrite,
        answer=Rewritten,
        admin_only=True,
        missing="There is no such hub.",
        patience=_PATIENCE,
    ),
)
