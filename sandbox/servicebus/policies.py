"""Shared access policies of a namespace: which rights the holder of a key has, and on what.

Standard behind the tokens: Microsoft, "Service Bus access control with Shared Access Signatures".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.errors import SandboxError

Right = Literal["Listen", "Send", "Manage"]
_SCHEME = "SharedAccessSignature "


class TokenError(SandboxError):
    """A token is none, or not good here and now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A key and what its holder may do, to the entity at a path and all below it; without one, to the whole namespace."""

    name: str
    key: str
    rights: frozenset[Right]
    path: str = ""

    @property
    def claims(self) -> frozenset[Right]:
        """The rights with those that Manage includes."""
        return frozenset(("Listen", "Send", "Manage")) if "Manage" in self.rights else self.rights


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows, at its path and below."""

    path: str
    claims: frozenset[Right]

    def covers(self, path: str, right: Right) -> bool:
        """Whether it allows this there. Paths compare without case."""
        return right in self.claims and _is_below(path, self.path)


class Policies:
    """Those of one namespace; names are told apart by case, as keys are."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = {policy.name: policy for policy in policies}

    def grant(self, token: str, *, now: int) -> Grant:
        """What a token gives at a time in milliseconds since 1970 UTC. Raises: TokenError."""
        if not token.startswith(_SCHEME):
            raise TokenError("MalformedToken: a shared access signature is expected")
        fields = {
            name: values[0] for name, values in parse_qs(token.removeprefix(_SCHEME), keep_blank_values=True).items()
        }
        written = dict(part.partition("=")[::2] for part in token.removeprefix(_SCHEME).split("&"))
        if missing := {"sr", "sig", "se", "skn"} - fields.keys():
            raise TokenError(f"MalformedToken: {min(missing)} is missing")
        policy = self._policies.get(fields["skn"])
        signed = f"{written['sr']}\n{fields['se']}"
        if policy is None or not hmac.compare_digest(_signature(policy.key, signed), unquote(written["sig"])):
            raise TokenError("InvalidSignature: The token has an invalid signature.")
        if not fields["se"].isdigit() or int(fields["se"]) * 1000 <= now:
            raise TokenError("ExpiredToken: The token is expired.")
        resource = urlsplit(fields["sr"]).path.strip("/")
        if _is_below(resource, policy.path):
            return Grant(resource, policy.claims)
        if _is_below(policy.path, resource):
            return Grant(policy.path, policy.claims)
        raise TokenError(f"InvalidAudience: the policy {policy.name} is for {policy.path}")


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha256)).decode()


def _is_below(path: str, root: str) -> bool:
    return not root or f"{path.lower()}/".startswith(f"{root.lower()}/")
