"""What an operation of the admin API is; routes and the OpenAPI document are both made from these."""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

from bridge.admin.health import Part
from bridge.admin.playground.process import Playground
from bridge.admin.roles import Role
from bridge.config.models.document import Settings
from bridge.observe.recent import RecentEvents
from bridge.observe.replay import Replay
from hub.api.request import MAX_BODY
from hub.engine import Hub
from hub.errors import InvalidRequestError, NotFoundError
from hub.facts import HubFact

PREFIX = "/api/v1"

_LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


class Replayer(Protocol):
    """Replays dead letters; both raise NotFoundError and StoreError."""

    async def preview(self, letter_id: int) -> Replay:
        """What a replay would do; nothing is changed."""

    async def replay(self, letter_id: int, *, actor: str) -> Replay:
        """Raises: CapacityError: no more notifications may wait now."""


class Management(Protocol):
    """What the API asks of the process."""

    hub: Hub
    recent_events: RecentEvents

    @property
    def replayer(self) -> Replayer: ...

    playground: Playground

    settings: Settings
    config: str
    config_hash: str
    loaded_at: float

    def health(self) -> list[Part]: ...

    async def list_mirror(self, hub: str, *, may_remove: bool = False) -> None:
        """Have the remote of a mirrored hub listed now, and with `may_remove` take away all that it lacks. Raises:
        StoreError."""

    def observe(self, fact: HubFact) -> None:
        """Have metrics and the log hear of what an operation did."""

    async def back_up(self, target: Path) -> int:
        """Copy the store to a new file; its size in bytes. Raises: StoreError."""


class Model(BaseModel):
    """JSON of the API; a key that is not of it is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


class NoQuery(Model):
    """Nothing can be asked for."""


class Paged(Model):
    """How a list is read: in parts, each of which says where the next one begins."""

    limit: Annotated[int, Field(ge=1, le=500, description="How many at most.")] = 50
    cursor: Annotated[str, Field(max_length=1024, description="The `next` of the part before.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, checked: `path` has the names in the operation's path, `query` and `body` are of its models.

    `role` is what who asks may do, and `actor` who that is.
    """

    management: Management
    path: Mapping[str, str]
    query: Any
    body: Any
    actor: str
    role: Role

    @property
    def sees_values(self) -> bool:
        """Whether who asks may read what may be personal."""
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method at a path below `/api/v1`; what is no GET changes something, and needs an operator or more.

    `missing` says in the document what a 404 means, empty where there is none. `patience`: seconds that an answer may
    take; the store may be busy, or hang.
    """

    name: str
    method: str
    path: str
    summary: str
    run: Callable[[Call], Awaitable[Model]]
    answer: type[Model]
    query: type[Model] = NoQuery
    body: type[Model] | None = None
    status: int = 200
    missing: str = ""
    admin_only: bool = False
    patience: float = 10.0
    max_body: int = MAX_BODY
    """Bytes of a request's body, at most."""
    needs_name: bool = False
    """Whether the client has to say who makes the change."""

    @property
    def is_change(self) -> bool:
        return self.method != "GET"

    @property
    def least_role(self) -> Role:
        """What who asks has to be at least."""
        return Role.ADMIN if self.admin_only else Role.OPERATOR if self.is_change else Role.VIEWER


def cursor_of(list_name: str, after: str) -> str | None:
    """An opaque cursor to a place in a list; None at the list's end."""
    return base64.urlsafe_b64encode(orjson.dumps([list_name, after])).decode() if after else None


def place_in(list_name: str, cursor: str) -> str:
    """The place that a cursor of this list means, empty for its start. Raises: InvalidRequestError."""
    if not cursor:
        return ""
    try:
        name, after = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        name, after = "", ""
    if name != list_name or not isinstance(after, str) or not after:
        raise InvalidRequestError("cursor: not one of this list; begin without, and take the next of each answer")
    return after


def moment(seconds: float | None) -> datetime | None:
    """An aware time, None for none."""
    return None if seconds is None else instant(seconds)


def instant(seconds: float) -> datetime:
    """An aware time; of a later year than 9999, which a sender may have asked for, that year's last second."""
    return datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC)


def hub_named(management: Management, name: str) -> str | None:
    """A hub as the configuration spells it; None: there is none. Names compare without case."""
    return next((hub for hub in management.settings.hubs if hub.lower() == name.lower()), None)


def hub_of(call: Call) -> str:
    """The hub of the path. Raises: NotFoundError."""
    name = hub_named(call.management, call.path["hub"])
    if name is None:
        hubs = call.management.settings.hubs
        raise NotFoundError(f"there is no hub {call.path['hub'][:100]!r}; there are {known(list(hubs))}")
    return name


def none_of(field: str, given: str, names: Sequence[str]) -> InvalidRequestError:
    """The refusal of a value that `names` does not have."""
    return InvalidRequestError(f"{field}: {given[:100]!r} is none; there are {known(names)}")


def known(names: Sequence[str]) -> str:
    """Names in words."""
    return ", ".join(names) or "none"
