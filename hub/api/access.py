"""Who may do what in which hub."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from hub.jobs.settings import NO_HOSTS_NAMED, JobSettings
from hub.notification import Platform
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccess:
    """One hub as the API knows it: its policies, the platforms it has credentials for, and its limits."""

    policies: Sequence[AccessPolicy]
    platforms: frozenset[Platform]
    max_tags_in_expression: MaxTags = MaxTags()
    max_tags: int = MAX_TAGS
    jobs: JobSettings = NO_HOSTS_NAMED
    registration_ttl: timedelta | None = None
    """How long a single registration lives after its last write; None: until it is deleted."""
