"""Lets a request in: whose token, which hub, what right."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from starlette.requests import Request

from hub.api.access import AccessPolicy, HubAccess, Right
from hub.api.bearer import POLICY
from hub.api.request import hostname, url_of
from hub.api.sas import SignedTokens
from hub.api.wire.errors import ForbiddenError
from hub.errors import NotFoundError
from hub.notification import Platform
from hub.platforms.table import traits_of
from hub.transport.sas import token_for

_LINK_LIFE = 3600
"""Seconds for which a link is good."""


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
        self._hosts = frozenset(host.lower() for host in hosts)
        self._tokens = SignedTokens()  # of these keys: who has others makes another gate
        self._clock = clock

    def admit(self, request: Request, right: Right) -> tuple[str, HubAccess]:
        """The hub that was asked for, by its name in lower case.

        Raises: UnauthorizedError, ForbiddenError, NotFoundError: a good token for a hub that does not exist.
        """
        return self._admit(request, right, request.headers.get("authorization"))

    def admit_push_channel(self, request: Request, platform: Platform, push_channel: str) -> None:
        """Whether who asks may register it: apps carry a key with Listen, and a broadcast reaches phones of all others.

        Raises: as `admit`.
        """
        if traits_of(platform).is_broadcast(push_channel):
            self.admit(request, Right.MANAGE)

    def admit_by_link(self, request: Request, right: Right) -> tuple[str, HubAccess]:
        """As `admit`, of a request that may have its token in its query, as `link` puts it there."""
        given = request.headers.get("authorization") or f"SharedAccessSignature {request.url.query}"
        return self._admit(request, right, given)

    def link(self, request: Request, *path: str) -> str:
        """The URL of something in the same hub, with a token that is good for it alone, for an hour."""
        url = url_of(request, *path)
        access = self._hubs[request.path_params["hub"].lower()]
        signers = (each for each in (*access.policies, *self._policies) if each.allows(Right.MANAGE))
        policy = next(signers, None)
        if policy is None:
            raise ForbiddenError("A link is signed by a shared access policy with Manage, and the hub has none")
        expires_at = int(self._clock().timestamp()) + _LINK_LIFE
        token = token_for(policy.name, policy.keys[0], url=url.partition("?")[0], expires_at=expires_at)
        return f"{url}&{token.partition(' ')[2]}"

    def _admit(self, request: Request, right: Right, authorization: str | None) -> tuple[str, HubAccess]:
        name = request.path_params["hub"].lower()
        access = self._hubs.get(name)
        policy = self._policy_of_bearer(request)
        if policy is None:
            token = self._tokens.token(
                authorization,
                hub=name if access else "",
                policies=(*(access.policies if access else ()), *self._policies),
            )
            policy = token.policy_for(
                hosts={hostname(request), *self._hosts}, path=request.scope["path"], now=self._clock().timestamp()
            )
        if access is None:
            raise NotFoundError("No service is hosted at the specified address")
        if not policy.allows(right):
            raise ForbiddenError(f"The policy {policy.name!r} lacks the right {right.value} that this operation needs")
        if right is Right.SEND and access.sends_elsewhere:
            raise ForbiddenError(f"The hub {name!r} mirrors another one, which sends to its phones: send there")
        return name, access

    def _policy_of_bearer(self, request: Request) -> AccessPolicy | None:
        """What a bearer token allows, None without one. Raises: UnauthorizedError; HTTPException: no keys to check it."""
        found: AccessPolicy | Exception | None = getattr(request.state, POLICY, None)
        if isinstance(found, Exception):
            raise found
        return found
