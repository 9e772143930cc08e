"""What administrators show: one secret for all, or a token for each, with a name and a role."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, model_validator

from bridge.config.section import Section, form
from connectors.auth import Auth, BasicAuth, Secrets, any_is


class NamedToken(Section):
    """A token of one person, program or team."""

    name: Annotated[str, form(r"[\w.@-]{1,100}", "a name of letters, digits, '.', '_', '@' and '-'")]
    """Who holds it: the audit names its holder so, whatever the request says."""
    role: Literal["viewer", "operator", "admin"]
    """viewer reads without personal values, operator sends, replays and reloads, admin does all."""
    token: Secrets
    """The token, or a list of which each is good."""


class AdminAuth(BaseModel):
    """A bearer token (RFC 6750) or a name and password whose holders do everything, tokens with roles, or both."""

    model_config = Auth.model_config

    bearer: Secrets | None = None
    """A token, or a list of which each is good, whose holders may do everything."""
    basic: BasicAuth | None = None
    """A name and a password instead (RFC 7617)."""
    tokens: tuple[NamedToken, ...] = ()
    """Tokens that each have a holder's name and a role: viewer, operator or admin."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.bearer is not None and self.basic is not None:
            raise ValueError("write either bearer or basic")
        if self.bearer is None and self.basic is None and not self.tokens:
            raise ValueError("write bearer, basic or tokens")
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
        """Whether one of its secrets is a bearer token."""
        return self.bearer is not None or bool(self.tokens)

    def holder_of(self, token: bytes) -> NamedToken | None:
        """Whose token it is. Compares with each in constant time."""
        found = [named for named in self.tokens if any_is(token, self._secrets(named))]
        return found[0] if found else None

    def authorization(self) -> bytes:
        """The header of a caller who may do as much as possible."""
        if (shared := self.shared) is not None:
            return shared.authorization()
        first = max(self.tokens, key=lambda named: ("viewer", "operator", "admin").index(named.role))
        return b"Bearer " + next(self._secrets(first))

    @staticmethod
    def _secrets(named: NamedToken) -> Iterator[bytes]:
        return (secret.get_secret_value().encode() for secret in named.token)
