"""What a caller of a listener has to show: the configuration's `auth`, and the comparison."""

import base64
import hmac
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

Secret = Annotated[SecretStr, Field(min_length=1)]


def one_or_more(value: Any) -> Any:
    """One secret as a list of one. In a list, what is empty is left out: `${env:NEXT_TOKEN:-}` is not set yet."""
    if not isinstance(value, list | tuple):
        return [value]
    return [item for item in value if item not in (None, "")]


Secrets = Annotated[tuple[Secret, ...], BeforeValidator(one_or_more), Field(min_length=1)]
"""A secret or a list of them, each of which is good: a new one is added, callers change over, the old one is removed."""


def _can_be_shown(secret: SecretStr) -> SecretStr:
    """Raises: ValueError: no header can carry it as it is, so no caller would ever be let in."""
    text = secret.get_secret_value()
    if not text.strip():
        raise ValueError("is nothing but blanks")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("holds a line break or another control character, which no header can carry")
    if text != text.strip():
        raise ValueError("begins or ends with a blank, which no header keeps")
    return secret


ShownSecrets = Annotated[
    tuple[Annotated[Secret, AfterValidator(_can_be_shown)], ...], BeforeValidator(one_or_more), Field(min_length=1)
]
"""The same of secrets that callers show as they are, in a header."""


def any_is(shown: bytes, expected: Iterable[bytes]) -> bool:
    """Whether `shown` is one of the secrets. Compares with each of them, in constant time."""
    return sum(hmac.compare_digest(shown, each) for each in expected) > 0


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


class BasicAuth(_Settings):
    """HTTP Basic (RFC 7617)."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")]
    """The name that a caller shows."""
    password: ShownSecrets
    """The secret that goes with it, or a list of which each is good."""


class Auth(_Settings):
    """What a caller has to show: a bearer token (RFC 6750) or a name and password, one of the two."""

    bearer: ShownSecrets | None = None
    """The token that a caller shows in the Authorization header, or a list of which each is good."""
    basic: BasicAuth | None = None
    """A name and a password instead (RFC 7617)."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError("write either bearer or basic")
        return self

    @property
    def scheme(self) -> str:
        """The authentication scheme as headers name it (RFC 9110, section 11.1)."""
        return "Bearer" if self.basic is None else "Basic"

    def is_shown(self, authorization: bytes) -> bool:
        """Whether the value of an Authorization header has one of the secrets."""
        scheme, _, shown = authorization.partition(b" ")
        return scheme.lower() == self.scheme.lower().encode() and self.is_one(shown.strip())

    def is_one(self, shown: bytes) -> bool:
        """Whether `shown`, what follows the scheme in a header, is one of the secrets. Compares in constant time."""
        return any_is(shown, self._credentials())

    def authorization(self) -> bytes:
        """The header that shows the first secret."""
        return self.scheme.encode() + b" " + next(self._credentials())

    def _credentials(self) -> Iterator[bytes]:
        if self.basic is None:
            assert self.bearer is not None
            yield from (token.get_secret_value().encode() for token in self.bearer)
            return
        for password in self.basic.password:
            yield base64.b64encode(f"{self.basic.username}:{password.get_secret_value()}".encode())
