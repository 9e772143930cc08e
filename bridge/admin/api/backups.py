"""Copies of the store, made by the daemon while it works."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from bridge.admin.api.operation import Call, Model, Operation
from hub.errors import InvalidRequestError

_PATIENCE = 3600.0
"""Seconds that a copy may take: one of many gigabytes takes minutes."""


class Backup(Model):
    """Where the copy goes: a file that is not there yet, by its whole path on the daemon's machine."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]


class BackedUp(Model):
    """The copy, which is for its owner alone, and its size in bytes."""

    file: str
    size: int


async def _back_up(call: Call) -> BackedUp:
    body: Backup = call.body
    file = Path(body.file)
    if not file.is_absolute() or "\0" in body.file:
        raise InvalidRequestError(f"{body.file!r} is no whole path: begin with /")
    return BackedUp(file=str(file), size=await call.management.back_up(file))


OPERATIONS = (
    Operation(
        name="backUp",
        method="POST",
        path="/backups",
        summary="Copy the state of the store's database to a file, while events go on.",
        run=_back_up,
        answer=BackedUp,
        admin_only=True,
        body=Backup,
        patience=_PATIENCE,
    ),
)
