"""What is registered: installations (documents) and registrations (the unit of matching)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from hub.notification import Platform
from hub.self_description import with_said

MAX_ID_LENGTH = 256
"""Characters of an installation's id; SDKs use GUIDs."""

ANY_ETAG = 0
"""Names whatever ETag a registration has, but one that is there (`If-Match: *`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template as registered: `body` JSON or XML text, `headers` for the service; both may hold expressions.

    `expiry` is Apple's only: a date, `0` or an expression. `tags` come on top of the installation's.
    """

    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    expiry: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryTile:
    """A tile that a user pinned beside an app's own (WNS): it has a push channel, tags and templates of its own.

    The registrations that derive from it carry the service tags of its installation, and none of that one's other tags: a
    phone that gets what is for its tags gets it once.
    """

    push_channel: str
    tags: tuple[str, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    push_channel_expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A phone's document (Notification Hubs REST API, "Installation"); its registrations are derived from it.

    `push_channel` is the canonical handle: APNs tokens are upper-case hex. `expires_at` None means never.
    `secondary_tiles` are by their ids. `locale` and `time_zone` are empty where the phone does not say them so
    (`hub/self_description.py`).
    """

    id: str
    platform: Platform
    push_channel: str
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    push_variables: Mapping[str, str] = field(default_factory=dict)
    secondary_tiles: Mapping[str, SecondaryTile] = field(default_factory=dict)
    locale: str = ""
    time_zone: str = ""
    expires_at: datetime | None = None
    push_channel_expired: bool = False
    etag: int = field(default=0, compare=False)
    """The state that it was read as; 0 for a document that was not read from a store."""

    @property
    def all_templates(self) -> list[Template]:
        """With those of its tiles."""
        return [
            *self.templates.values(),
            *(t for tile in self.secondary_tiles.values() for t in tile.templates.values()),
        ]

    @property
    def spoken_in_variables(self) -> "Installation":
        """As a hub of the wire contract alone keeps it: language and time zone are push variables."""
        said = with_said(self.push_variables, self.locale, self.time_zone)
        return replace(self, push_variables=said, locale="", time_zone="")

    @property
    def registration_count(self) -> int:
        """How many registrations derive from it: for each push channel a native one, and one for each template."""
        return 1 + len(self.secondary_tiles) + len(self.all_templates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One handle with its tags and, for a template registration, its template; audiences are sets of these.

    `registration_id` is the wire id; `template_name` None means native. `etag` starts at 1 and grows by one a write.
    `secondary_tile` is the tile that a push channel of Windows belongs to.
    """

    registration_id: str
    platform: Platform
    push_channel: str
    tags: tuple[str, ...] = ()
    template_name: str | None = None
    template: Template | None = None
    push_variables: Mapping[str, str] = field(default_factory=dict)
    installation_id: str | None = None
    secondary_tile: str | None = None
    etag: int = 1
    expires_at: datetime | None = None


def new_registration_id() -> str:
    """An id of the service's own kind: two long numbers and a partition."""
    return f"{secrets.randbits(62)}-{secrets.randbits(62)}-1"
