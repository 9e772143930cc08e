"""What administrators show: one secret for all, a token for each, a provider's token, or what a proxy says of them."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from bridge.config.section import Section, form
from connectors.auth import Auth, BasicAuth, ShownSecrets, any_is
from hub.oidc.settings import OidcSettings, Texts

RoleWord = Literal["viewer", "operator", "admin"]
ROLE_WORDS: tuple[RoleWord, ...] = ("viewer", "operator", "admin")


class NamedToken(Section):
    """A token of one person, program or team."""

    name: Annotated[str, form(r"[\w.@-]{1,100}", "a name of letters, digits, '.', '_', '@' and '-'")]
    """Who holds it: the audit names its holder so, whatever the request says."""
    role: RoleWord
    """viewer reads without personal values, operator sends, replays and reloads, admin does all."""
    token: ShownSecrets
    """The token, or a list of which each is good."""


class _Roles(BaseModel):
    """Which values give which role; of several the one that may do most counts."""

    viewer: Texts = ("viewer",)
    """The value that makes a viewer, or a list of which each does."""
    operator: Texts = ("operator",)
    """The value, or values, that make an operator."""
    admin: Texts = ("admin",)
    """The value, or values, that make an admin."""

    def role_of(self, values: Iterable[object]) -> RoleWord | None:
        """What these values allow; None: nothing."""
        given = {value for value in values if isinstance(value, str)}
        found = [word for word in ROLE_WORDS if not given.isdisjoint(getattr(self, word))]
        return found[-1] if found else None


class AdminOidc(OidcSettings, _Roles):
    """Tokens of a provider of OpenID Connect, which say whose they are and what their holder may do."""

    claim: Annotated[str, Field(min_length=1, max_length=200)] = "roles"
    """The claim that says what a token's holder may do: a list, or a text of words."""
    name: Annotated[str, Field(min_length=1, max_length=200)] = "preferred_username"
    """The claim that names the person in the audit; where a token has none, its sub does."""


PROXY_SECRET = "pushbridge-proxy-secret"  # noqa: S105 - the name of a header
"""In which a proxy shows its secret: one name for all, by which a listener also knows who guesses it."""

HeaderName = Annotated[str, form(r"[A-Za-z0-9-]{1,100}", "the name of a header")]


class AdminProxy(Section, _Roles):
    """A proxy that asks who somebody is, such as oauth2-proxy, and says so in headers.

    Its headers are believed where it shows its certificate or its secret with them, and are nothing from anybody else.
    """

    certificate: Texts | None = None
    """The name in the proxy's client certificate (a DNS name or the common name), or a list of which each is good."""
    secret: ShownSecrets | None = None
    """What it shows in the header Pushbridge-Proxy-Secret, or a list of which each is good."""
    user_header: HeaderName = "X-Forwarded-User"
    """The header that names the person; the audit has it."""
    role_header: HeaderName = "X-Forwarded-Groups"
    """The header with the person's groups, separated by commas."""

    @model_validator(mode="after")
    def _check_proof(self) -> Self:
        if (self.certificate is None) == (self.secret is None):
            raise ValueError("write certificate or secret: by one of them the proxy is known")
        names = {self.user_header.lower(), self.role_header.lower()}
        if len(names) < 2 or not names.isdisjoint({"authorization", PROXY_SECRET}):
            raise ValueError("user_header and role_header are two headers of their own")
        return self


class AdminAuth(BaseModel):
    """Who administers: holders of a shared secret, of tokens with roles, of a provider's tokens, or whom a proxy names."""

    model_config = Auth.model_config

    bearer: ShownSecrets | None = None
    """A token, or a list of which each is good, whose holders may do everything."""
    basic: BasicAuth | None = None
    """A name and a password instead (RFC 7617)."""
    tokens: tuple[NamedToken, ...] = ()
    """Tokens that each have a holder's name and a role: viewer, operator or admin."""
    oidc: AdminOidc | None = None
    """A provider of OpenID Connect, such as Entra ID, whose tokens name their holder and a role."""
    proxy: AdminProxy | None = None
    """An authenticating proxy that says in headers who asks, and in which groups they are."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.bearer is not None and self.basic is not None:
            raise ValueError("write either bearer or basic")
        ways = (self.bearer, self.basic, self.tokens or None, self.oidc, self.proxy)
        if all(way is None for way in ways):
            raise ValueError("write bearer, basic, tokens, oidc or proxy")
        names = [token.name for token in self.tokens]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two tokens are called {twice[0]}")
        secrets = [*(self.bearer or ()), *(secret for token in self.tokens for secret in token.token)]
        if len({secret.get_secret_value() for secret in secrets}) < len(secrets):
            raise ValueError("one token is written twice: each holder has a token of their own")
        return self

    @property
    def shared(self) -> Auth | None:
        """The secret that all administrators share, if there is one."""
        return None if self.bearer is None and self.basic is None else Auth(bearer=self.bearer, basic=self.basic)

    @property
    def takes_bearer(self) -> bool:
        """Whether a bearer token may be shown."""
        return self.bearer is not None or bool(self.tokens) or self.oidc is not None

    def holder_of(self, token: bytes) -> NamedToken | None:
        """Whose token it is. Compares with each in constant time."""
        found = [named for named in self.tokens if any_is(token, self._secrets(named))]
        return found[0] if found else None

    def authorization(self) -> bytes:
        """The header of a caller who may do as much as possible; empty where no secret of ours is good."""
        if (shared := self.shared) is not None:
            return shared.authorization()
        if not self.tokens:
            return b""
        first = max(self.tokens, key=lambda named: ROLE_WORDS.index(named.role))
        return b"Bearer " + next(self._secrets(first))

    @staticmethod
    def _secrets(named: NamedToken) -> Iterator[bytes]:
        return (secret.get_secret_value().encode() for secret in named.token)
