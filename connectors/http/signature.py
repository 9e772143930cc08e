"""Signatures of webhooks: an HMAC (RFC 2104) of the body under a secret that sender and receiver share (pure)."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connectors.auth import Secrets
from connectors.duration import Duration

Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Preset = Literal["github", "stripe", "slack", "shopify", "standard_webhooks"]

MAX_HEADER: Final = 4096
"""Characters of a header with signatures that are looked at."""

_MAX_SIGNATURES: Final = 8
_LONGEST_ID: Final = 1024
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


class SignatureError(Exception):
    """A request that is not signed as its source asks; the message says in which way and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How a sender signs.

    `header` has the signature behind `prefix`; where it is a list of `name=value`, `member` names the signature, of which
    there may be several, and `timestamp_member` the time. `timestamp_header` is the header that has the time instead.
    What is signed is `before_body`, with the time in the place of `{timestamp}` and the value of `id_header` in that of
    `{id}`, and the body. Several signatures may stand in the header with `separator` between them. Secrets of one that
    `is_standard` are written as Standard Webhooks says.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    member: str = ""
    timestamp_member: str = ""
    timestamp_header: str = ""
    before_body: str = ""
    id_header: str = ""
    separator: str = ""
    is_standard: bool = False

    @property
    def has_timestamp(self) -> bool:
        return bool(self.timestamp_header or self.timestamp_member)

    def key(self, secret: str) -> bytes:
        """The bytes of a secret as it is written. Raises: ValueError, which shows nothing of it."""
        return signing_key(secret) if self.is_standard else secret.encode()


PRESETS: Final[Mapping[Preset, Scheme]] = {
    "github": Scheme(header="x-hub-signature-256", prefix="sha256="),
    "shopify": Scheme(header="x-shopify-hmac-sha256", encoding="base64"),
    "slack": Scheme(
        header="x-slack-signature",
        prefix="v0=",
        timestamp_header="x-slack-request-timestamp",
        before_body="v0:{timestamp}:",
    ),
    "standard_webhooks": Scheme(
        header="webhook-signature",
        encoding="base64",
        prefix="v1,",
        timestamp_header="webhook-timestamp",
        before_body="{id}.{timestamp}.",
        id_header="webhook-id",
        separator=" ",
        is_standard=True,
    ),
    "stripe": Scheme(header="stripe-signature", member="v1", timestamp_member="t", before_body="{timestamp}."),
}
"""By the vendors' documentation: GitHub "Validating webhook deliveries", Shopify "Verify webhooks", Slack "Verifying
requests from Slack", Stripe "Verify webhook signatures manually", and the specification of Standard Webhooks, which Svix,
Debezium and others follow."""


def signing_key(secret: str) -> bytes:
    """The bytes that a secret stands for: what follows `whsec_` is in base64, as in Standard Webhooks.

    Raises: ValueError, which shows nothing of it.
    """
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        return secret.encode()
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ValueError("what follows whsec_ is not base64") from None


def _header_name(name: str) -> str:
    if _HEADER.fullmatch(name) is None:
        raise ValueError("not the name of a header, such as X-Signature")
    return name


class HmacAuth(BaseModel):
    """A signature over the body as it was sent, by a vendor's scheme or by one that is spelled out."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    preset: Preset | None = None
    """The vendor whose scheme it is; header, algorithm, encoding, prefix and timestamp_header are then known."""
    header: Annotated[str, AfterValidator(_header_name)] | None = None
    """The header that has the signature, such as X-Signature."""
    algorithm: Algorithm | None = None
    """The hash of the signature; sha256 unless set."""
    encoding: Literal["hex", "base64"] | None = None
    """How the bytes of the signature are written; hex unless set."""
    prefix: Annotated[str, Field(max_length=64)] | None = None
    """What stands in the header before the signature, such as sha256=."""
    timestamp_header: Annotated[str, AfterValidator(_header_name)] | None = None
    """A header with the seconds since 1970; it is then signed too, as TIMESTAMP, a dot and the body."""
    max_age: Annotated[Duration, Field(gt=0)] = 300.0
    """How far a signed time may be from this clock, in the past or to come: who repeats a request has no longer."""
    secrets: Secrets
    """The secret of the signature, or a list of which each is good."""

    @model_validator(mode="after")
    def _check_scheme(self) -> Self:
        own = ("header", "algorithm", "encoding", "prefix", "timestamp_header")
        if self.preset is not None:
            if given := [name for name in own if getattr(self, name) is not None]:
                raise ValueError(f"preset {self.preset} says what {given[0]} is: leave it out, or leave the preset out")
        elif self.header is None:
            raise ValueError(f"write preset ({', '.join(PRESETS)}), or header")
        for secret in self.secrets:
            self.scheme.key(secret.get_secret_value())
        if "max_age" in self.model_fields_set and not self.scheme.has_timestamp:
            raise ValueError("max_age needs a time that is signed: write timestamp_header, or leave max_age out")
        return self

    @property
    def scheme(self) -> Scheme:
        """How senders sign."""
        if self.preset is not None:
            return PRESETS[self.preset]
        assert self.header is not None
        return Scheme(
            header=self.header.lower(),
            algorithm=self.algorithm or "sha256",
            encoding=self.encoding or "hex",
            prefix=self.prefix or "",
            timestamp_header=(self.timestamp_header or "").lower(),
            before_body="{timestamp}." if self.timestamp_header else "",
        )


SignatureCheck = Callable[[bytes], None]
"""Looks at the body. Raises: SignatureError."""


def check_of(settings: HmacAuth, headers: Mapping[str, str], *, now: float) -> SignatureCheck:
    """The check of a request's body, by its headers: what they lack is said before a byte of the body is read.

    Names of headers are in lower case; `now` is in seconds since 1970. Each secret is tried on each signature, and
    compared in constant time.

    Raises: SignatureError.
    """
    scheme = settings.scheme
    value = headers.get(scheme.header, "")
    if not value:
        raise SignatureError(f"the request is not signed: there is no header {scheme.header}")
    if len(value) > MAX_HEADER:
        raise SignatureError(f"the header {scheme.header} has more than {MAX_HEADER} characters")
    signatures = list(_signatures(value, scheme))
    if not signatures:
        raise SignatureError(f"the header {scheme.header} has no signature of the form {_form(scheme)}")
    timestamp = _timestamp(value, headers, scheme)
    if scheme.has_timestamp and abs(now - int(timestamp)) > settings.max_age:
        raise SignatureError(
            f"the signed time is more than {settings.max_age:g} s from this clock: an old request, or a wrong clock"
        )
    id = headers.get(scheme.id_header, "") if scheme.id_header else ""
    if scheme.id_header and not 0 < len(id) <= _LONGEST_ID:
        raise SignatureError(f"the header {scheme.id_header} is missing or too long")
    before = scheme.before_body.replace("{timestamp}", timestamp).replace("{id}", id).encode()
    keys = [scheme.key(secret.get_secret_value()) for secret in settings.secrets]

    def check(body: bytes) -> None:
        good = 0
        for key in keys:
            expected = hmac.new(key, before, scheme.algorithm)
            expected.update(body)
            digest = expected.digest()
            good += sum(hmac.compare_digest(digest, signature) for signature in signatures)
        if not good:
            raise SignatureError(
                f"the signature in {scheme.header} is not that of this body under a secret of the source"
            )

    return check


def _signatures(value: str, scheme: Scheme) -> Iterator[bytes]:
    """What can be a signature, as bytes; of many the first few."""
    if scheme.member:
        texts = [text for name, text in _members(value) if name == scheme.member]
    else:
        texts = value.split(scheme.separator) if scheme.separator else [value.strip()]
    for text in texts[:_MAX_SIGNATURES]:
        if text.startswith(scheme.prefix):
            try:
                written = text.removeprefix(scheme.prefix).encode("ascii")
                yield (
                    binascii.unhexlify(written)
                    if scheme.encoding == "hex"
                    else base64.b64decode(written, validate=True)
                )
            except (ValueError, UnicodeError):  # binascii.Error is a ValueError
                continue


def _timestamp(value: str, headers: Mapping[str, str], scheme: Scheme) -> str:
    """The digits of the time that is signed; empty where none is. Raises: SignatureError."""
    if not scheme.has_timestamp:
        return ""
    if scheme.timestamp_member:
        text = next((text for name, text in _members(value) if name == scheme.timestamp_member), "")
        where = f"{scheme.timestamp_member}= in the header {scheme.header}"
    else:
        text, where = headers.get(scheme.timestamp_header, "").strip(), f"the header {scheme.timestamp_header}"
    if _TIMESTAMP.fullmatch(text) is None:
        raise SignatureError(f"{where} is missing, or no time in seconds since 1970")
    return text


def _members(value: str) -> Iterator[tuple[str, str]]:
    for member in value.split(","):
        name, equals, text = member.strip().partition("=")
        if equals:
            yield name, text


def _form(scheme: Scheme) -> str:
    return f"{f'{scheme.member}=' if scheme.member else scheme.prefix}{scheme.encoding.upper()}"
