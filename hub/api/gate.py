"""Lets a request in: whose token, which hub, what right."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from starlette.requests import Request

from hub.api.access import AccessPolicy, HubAccess, Right
from hub.api.request import hostname
from hub.api.sas import authenticate
from hub.api.wire.errors import ForbiddenError
from hub.errors import NotFoundError


class Gate:
    """Knows the hubs, by names in lower case, and their policies; a path names them in any case.

    `policies` hold for every hub. `hosts` are names that tokens may be made out to besides the one that was called,
    for servers behind a proxy that changes it.
    """

    def __init__(
        self,
        hubs: Mapping[str, HubAccess],
        *,
        policies: Sequence[AccessPolicy],
        hosts: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._hubs = hubs
        self._policies = tuple(policies)
        self._hosts = frozenset(hosts)
        self._clock = clock

    def admit(self, request: Request, right: Right) -> tuple[str, HubAccess]:
        """The hub that was asked for, by its name in lower case.

        Raises: UnauthorizedError, ForbiddenError, NotFoundError: a good token for a hub that does not exist.
        """
        name = request.path_params["hub"].lower()
        access = self._hubs.get(name)
        policy = authenticate(
            request.headers.get("authorization"),
            policies=(*(access.policies if access else ()), *self._policies),
            hosts={hostname(request), *self._hosts},
            path=request.scope["path"],
            now=self._clock().timestamp(),
        )
        if access is None:
            raise NotFoundError("No service is hosted at the specified address")
        if not policy.allows(right):
            raise ForbiddenError(f"The policy {policy.name!r} lacks the right {right.value} that this operation needs")
        return name, access
