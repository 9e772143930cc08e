"""Whether a request to a source shows what the settings ask for."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator
from starlette.requests import Request

from connectors.auth import Auth
from connectors.duration import Duration
from connectors.http.signature import HmacAuth, SignatureCheck, SignatureError, check_of
from hub.egress import EgressDefaults
from hub.oidc.errors import ProviderError, TokenError
from hub.oidc.settings import LONGEST_SKEW, OidcSettings, Texts

if TYPE_CHECKING:
    from hub.oidc.tokens import TokenCheck

_KINDS = ("bearer", "basic", "hmac", "oidc")


class OidcAuth(OidcSettings):
    """Tokens of a provider of OpenID Connect, such as those that Event Grid gets from Entra ID."""

    clock_skew: Annotated[Duration, Field(ge=0, le=LONGEST_SKEW)] = 60.0
    """How far the provider's clock may be from this one's, ten minutes at most."""
    claims: Mapping[Annotated[str, Field(min_length=1, max_length=200)], Texts] = Field(default_factory=dict)
    """What tokens have to say besides, by claim: a value, or a list of which they say one, such as azp and roles."""

    def allows(self, claims: Mapping[str, Any]) -> bool:
        """Whether a good token says what the settings ask for; a claim may be a list or one text."""
        for name, wanted in self.claims.items():
            said = claims.get(name)
            if not any(
                isinstance(each, str) and each in wanted for each in (said if isinstance(said, list) else [said])
            ):
                return False
        return True


class SourceAuth(Auth):
    """What a sender has to show, one of these: a bearer token (RFC 6750), a name and password, a signature over the
    body, or a token of a provider of OpenID Connect."""

    hmac: HmacAuth | None = None
    """A signature over the body, as webhooks of GitHub, Stripe, Slack and Shopify have it."""
    oidc: OidcAuth | None = None
    """A token that a provider of OpenID Connect signed, such as Entra ID."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"write one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}")
        return self

    def behind(self, default: EgressDefaults) -> "SourceAuth":
        """With what `bridge.egress` says of the way to the provider."""
        return self if self.oidc is None else self.model_copy(update={"oidc": self.oidc.behind(default)})


class RefusedError(Exception):
    """A sender that shows nothing good; `challenge` says what it would have to show (RFC 9110, section 11.6.1)."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


class UndecidedError(Exception):
    """Whether a sender's token is good cannot be known at the moment."""


KNOWN = "pushbridge.known"
"""In a request's scope: a list that gets the name of the header whose secret was compared and found good, where the
listener wants to know. An answer without an error does not say so: what needs no secret is answered whatever is shown."""

AUTHORIZATION = "authorization"
"""The header, or the query's `access_token` in its place."""


class SenderCheck:
    """Looks at the requests to one source, called `realm`. `now` is in seconds since 1970."""

    def __init__(self, auth: SourceAuth | None, *, realm: str, now: Callable[[], float]) -> None:
        self._auth = auth
        self._realm = realm
        self._now = now
        self._tokens: TokenCheck | None = None

    async def admit(self, request: Request) -> SignatureCheck | None:
        """Let a sender in, or on condition that the check of its signature, which is returned, finds the body good.

        A bearer token may also stand in the query as `access_token` (CloudEvents web hooks 1.0, section 3.2), since many
        senders can only be given an address.

        Raises: RefusedError, UndecidedError.
        """
        auth = self._auth
        if auth is None:
            return None
        if auth.hmac is not None:
            try:
                return check_of(auth.hmac, request.headers, now=self._now())
            except SignatureError as error:
                raise self.refusal(str(error)) from None
        authorization = request.headers.get("authorization", "")
        if auth.oidc is not None:
            await self._check_token(auth.oidc, authorization or _from_query(request))
            return None
        if auth.bearer is not None and not authorization:
            is_shown = auth.is_one(request.query_params.get("access_token", "").encode())
        else:
            is_shown = auth.is_shown(authorization.encode("latin-1"))
        if not is_shown:
            raise self.refusal("wrong or missing credentials")
        request.scope.get(KNOWN, []).append(AUTHORIZATION)
        return None

    def refusal(self, message: str) -> RefusedError:
        auth = self._auth
        assert auth is not None
        scheme = "Signature" if auth.hmac is not None else "Bearer" if auth.oidc is not None else auth.scheme
        return RefusedError(message, f'{scheme} realm="{self._realm}"')

    async def _check_token(self, settings: OidcAuth, authorization: str) -> None:
        """Raises: RefusedError, UndecidedError."""
        if self._tokens is None:
            from hub.oidc.tokens import TokenCheck  # brings a library for the signatures, for who has such a source

            self._tokens = TokenCheck(settings, now=self._now)
        try:
            claims = await self._tokens.claims(authorization)
        except TokenError as error:
            raise self.refusal(str(error)) from error
        except ProviderError as error:
            raise UndecidedError("the keys of the tokens' issuer cannot be had at the moment; send it again") from error
        if not settings.allows(claims):
            raise self.refusal("the token does not say all that this source asks of its claims")


def _from_query(request: Request) -> str:
    token = request.query_params.get("access_token", "")
    return f"Bearer {token}" if token else ""
