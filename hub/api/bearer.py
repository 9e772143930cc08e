"""Bearer tokens of an OpenID Connect provider, such as Entra ID, in place of shared access signatures (RFC 6750)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api.access import AccessPolicy, HubAccess
from hub.api.wire.errors import UnauthorizedError
from hub.oidc.errors import Flaw, ProviderError, TokenError
from hub.oidc.settings import OidcSettings

if TYPE_CHECKING:
    from hub.oidc.tokens import TokenCheck

POLICY = "policy"
"""Under which name a request's state has what its bearer token may do, or why it may nothing."""

_RETRY_AFTER = "10"
_KINDS = {
    Flaw.MISSING: "MissingToken",
    Flaw.ALGORITHM: "InvalidSignature",
    Flaw.KEY: "InvalidSignature",
    Flaw.SIGNATURE: "InvalidSignature",
    Flaw.ISSUER: "InvalidAudience",
    Flaw.AUDIENCE: "InvalidAudience",
    Flaw.EXPIRED: "ExpiredToken",
}


class BearerTokens:
    """Checks the bearer token of a request for a hub that takes them, before the request's operation is looked for."""

    def __init__(self, app: ASGIApp, hubs: Mapping[str, HubAccess], *, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._hubs = {name: access.oidc for name, access in hubs.items() if access.oidc is not None}
        self._checks = {name: _check(settings, clock) for name, settings in self._hubs.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            authorization = Headers(scope=scope).get("authorization", "")
            hub = scope["path"].removeprefix("/").partition("/")[0].lower()  # `OPTIONS *` has no slash
            if hub in self._checks and authorization.lower().startswith("bearer "):
                policy = await self._policy(hub, authorization)
                scope = {**scope, "state": {**scope.get("state", {}), POLICY: policy}}
        await self._app(scope, receive, send)

    async def _policy(self, hub: str, authorization: str) -> AccessPolicy | Exception:
        settings = self._hubs[hub]
        try:
            claims = await self._checks[hub].claims(authorization)
        except TokenError as error:
            return UnauthorizedError(_KINDS.get(error.flaw, "MalformedToken"), str(error))
        except ProviderError:
            return HTTPException(503, "The keys of the tokens' issuer cannot be had", {"Retry-After": _RETRY_AFTER})
        name = claims.get("sub")
        return AccessPolicy(name=name if isinstance(name, str) else "", rights=settings.rights_of(claims), keys=())


def _check(settings: OidcSettings, clock: Callable[[], datetime]) -> "TokenCheck":
    from hub.oidc.tokens import TokenCheck  # PyJWT, for a hub that takes such tokens

    return TokenCheck(settings, now=lambda: clock().timestamp())
