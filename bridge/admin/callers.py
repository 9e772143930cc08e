"""Who asks the admin listener: by a secret, a provider's token, or a proxy that says so; and why somebody is nobody."""

import base64
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from bridge.admin.roles import CERTIFICATE, Caller, Role
from bridge.config.models.admin_auth import PROXY_SECRET, AdminAuth, AdminOidc, AdminProxy, RoleWord
from connectors.auth import any_is
from connectors.http.auth import AUTHORIZATION, KNOWN
from hub.api.wire.errors import REFUSALS
from hub.oidc.errors import ProviderError, TokenError

if TYPE_CHECKING:
    from hub.oidc.tokens import Claims, TokenCheck

_MAX_NAME: Final = 100
_SHARED: Final = Caller(Role.ADMIN)
"""Who shows the secret that administrators share."""


class Callers:
    """Looks at the requests to the admin listener, one after the other, by one `auth`."""

    def __init__(self, auth: AdminAuth) -> None:
        self._auth = auth
        self._tokens: TokenCheck | None = None

    async def caller(self, scope: Scope) -> Caller | Response:
        """Who asks, or why not."""
        auth, headers = self._auth, Headers(scope=scope)
        known = scope.get(KNOWN, [])
        if auth.proxy is not None and _is_proxy(auth.proxy, headers, scope.get(CERTIFICATE, ())):
            if auth.proxy.secret is not None:
                known.append(PROXY_SECRET)
            return _named_by(auth.proxy, headers)
        authorization = headers.get("authorization", "").encode("latin-1")
        if (caller := _by_secret(auth, authorization)) is not None:
            known.append(AUTHORIZATION)
            return caller
        if auth.oidc is not None and (token := _token(authorization)).count(b".") == 2:
            return await self._by_token(auth.oidc, token, scope.get(REFUSALS, []))
        return self._refusal("a token is needed")

    async def _by_token(self, settings: AdminOidc, token: bytes, flaws: list[str]) -> Caller | Response:
        """By a provider's token; what is wrong with it is added to `flaws`."""
        if self._tokens is None:
            from hub.oidc.tokens import TokenCheck  # PyJWT, for who takes such tokens

            self._tokens = TokenCheck(settings)
        try:
            claims = await self._tokens.claims(f"Bearer {token.decode('latin-1')}")
        except TokenError as error:
            flaws.append(error.flaw.value)
            return self._refusal(str(error))
        except ProviderError:
            return PlainTextResponse(
                "the keys of the tokens' issuer cannot be had at the moment\n", 503, {"retry-after": "10"}
            )
        said = claims.get(settings.claim)
        values = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
        return _with_role(_name_in(claims, settings), settings.role_of(values), "the token")

    def _refusal(self, message: str) -> Response:
        refusal = PlainTextResponse(f"{message}\n", 401)
        basic = 'Basic realm="pushbridge", charset="UTF-8"'
        for challenge in ("Bearer", basic) if self._auth.takes_bearer else (basic,):
            refusal.headers.append("www-authenticate", challenge)
        return refusal


def _by_secret(auth: AdminAuth, authorization: bytes) -> Caller | None:
    """Whose secret is shown. A bearer token may come as the password of any user (RFC 7617), as browsers can."""
    shared, token = auth.shared, _token(authorization)
    if shared is not None and auth.basic is None and token:
        authorization = b"Bearer " + token
    named = auth.holder_of(token)
    if shared is not None and shared.is_shown(authorization):
        return _SHARED
    return None if named is None else Caller(Role[named.role.upper()], named.name)


def _token(authorization: bytes) -> bytes:
    """The token of a header, be it as a password; empty for none."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _is_proxy(proxy: AdminProxy, headers: Headers, certificate: Collection[str]) -> bool:
    """Whether a request comes from the proxy that is trusted: its headers are nothing from anybody else."""
    if proxy.certificate is not None:
        return not set(proxy.certificate).isdisjoint(certificate)
    assert proxy.secret is not None
    shown = headers.getlist(PROXY_SECRET)
    return len(shown) == 1 and any_is(
        shown[0].encode("latin-1"), (secret.get_secret_value().encode() for secret in proxy.secret)
    )


def _named_by(proxy: AdminProxy, headers: Headers) -> Caller | Response:
    """Whom the proxy names. A header that is there twice may be one that the person's own client sent, and so may one that
    names several: a proxy that adds to a header in place of replacing it adds to the roles as well."""
    users, groups = headers.getlist(proxy.user_header), headers.getlist(proxy.role_header)
    if len(users) > 1 or len(groups) > 1:
        return PlainTextResponse("a header of the proxy is there twice\n", 403)
    if users and "," in users[0]:
        return PlainTextResponse(
            f"{proxy.user_header} names several: the proxy has to replace what clients send\n", 403
        )
    if not users or not _is_name(users[0].strip()):
        return PlainTextResponse(f"the proxy names nobody in {proxy.user_header}\n", 403)
    values = [value.strip() for group in groups for value in group.split(",")]
    return _with_role(users[0].strip(), proxy.role_of(values), proxy.role_header)


def _name_in(claims: "Claims", settings: AdminOidc) -> str:
    """How a token names its holder; empty where it does not."""
    for claim in (settings.name, "sub"):
        name = claims.get(claim)
        if isinstance(name, str) and _is_name(name):
            return name
    return ""


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _MAX_NAME and text.isprintable()


def _with_role(name: str, role: RoleWord | None, where: str) -> Caller | Response:
    if not name:
        return PlainTextResponse(f"{where} names nobody\n", 403)
    if role is None:
        return PlainTextResponse(f"{where} gives {name} no role here\n", 403)
    return Caller(Role[role.upper()], name)
