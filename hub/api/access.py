"""Who may do what in which hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

from pydantic import Field

from hub.jobs.settings import NO_HOSTS_NAMED, JobSettings
from hub.notification import Platform
from hub.oidc.settings import OidcSettings, Texts
from hub.registry.documents import MAX_TAGS
from hub.tags import MaxTags


class Right(Enum):
    """Claims of an access policy (Notification Hubs, "Security model"); MANAGE includes the others."""

    LISTEN = "Listen"
    SEND = "Send"
    MANAGE = "Manage"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """A shared access rule: who signs with one of its keys has its rights. Keys are text, never base64-decoded."""

    name: str
    rights: frozenset[Right]
    keys: Sequence[str] = field(repr=False)

    def allows(self, right: Right) -> bool:
        return right in self.rights or Right.MANAGE in self.rights


class OidcAccess(OidcSettings):
    """Bearer tokens in place of signatures: whose are good, and what they allow."""

    claim: Annotated[str, Field(min_length=1, max_length=200)] = "roles"
    """The claim of a token that says what its holder may do: a list, or a text of words."""
    listen: Texts = (Right.LISTEN.value,)
    """The value of the claim that allows to register, or a list of which each does."""
    send: Texts = (Right.SEND.value,)
    """The value, or values, that allow to send."""
    manage: Texts = (Right.MANAGE.value,)
    """The value, or values, that allow everything."""

    def rights_of(self, claims: Mapping[str, Any]) -> frozenset[Right]:
        """What a good token allows."""
        said = claims.get(self.claim)
        values = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        allowing = {Right.LISTEN: self.listen, Right.SEND: self.send, Right.MANAGE: self.manage}
        return frozenset(right for right, named in allowing.items() if any(value in named for value in values))


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccess:
    """One hub as the API knows it: its policies, the platforms it has credentials for, and its limits."""

    policies: Sequence[AccessPolicy]
    platforms: frozenset[Platform]
    max_tags_in_expression: MaxTags = MaxTags()
    max_tags: int = MAX_TAGS
    oidc: OidcAccess | None = None
    jobs: JobSettings = NO_HOSTS_NAMED
    registration_ttl: timedelta | None = None
    """How long a single registration lives after its last write; None: until it is deleted."""
    sends_elsewhere: bool = False
    """Phones register here, and another hub sends to them: nothing may be sent from here."""
