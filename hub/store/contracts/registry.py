"""Who is registered: installations (documents) and the registrations derived from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hub.acceptance import AuditEntry
from hub.installation import Installation, Registration
from hub.notification import Audience as AudienceExpression
from hub.notification import Notification, Platform
from hub.outcome import Unreached
from hub.store.contracts.listing import ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistration:
    """How one registration of a device stands; `dead_at` None while its push channel lives."""

    template: str | None
    tags: tuple[str, ...]
    registered_at: float
    dead_at: float | None = None
    dead_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An installation as it is kept, and what derives from it."""

    installation: Installation
    updated_at: float
    registrations: Sequence[DeviceRegistration] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadChannel:
    """A push channel that is dead since `dead_at`; `reason` is the push service's word."""

    registration: Registration
    dead_at: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneChannel:
    """A push channel that a push service said to be dead, of what was registered until `gone_since`; None: until now."""

    platform: Platform
    push_channel: str
    reason: str
    gone_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamedChannel:
    """A push channel in whose place a push service named another one for the same app on the same phone (ADM)."""

    platform: Platform
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRegistration:
    """One of an audience; `device` is the id of its installation, or its own where it was made alone."""

    platform: Platform
    device: str
    push_channel: str
    template: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudiencePreview:
    """Who a notification would reach now: `counts` are the pushes by platform, exactly those that a send would make.

    `skipped` registrations name a push channel that another one of them names. `without_template` are phones by platform
    that match and have no template for a notification that is for templates; None: too many to say. `other_platforms` are
    phones that match, of platforms that it is not for; `gone` registrations match whose time has passed or whose push
    channel is dead. `left_out` registrations are left out by the hub's only_to. `tags` counts the live registrations that
    carry each tag of the audience, by its key.
    """

    counts: Mapping[Platform, int] = field(default_factory=dict)
    skipped: Mapping[Platform, int] = field(default_factory=dict)
    samples: Sequence[SampledRegistration] = ()
    without_template: Mapping[Platform, int] | None = field(default_factory=dict)
    other_platforms: Mapping[Platform, int] = field(default_factory=dict)
    left_out: int = 0
    gone: int = 0
    tags: Mapping[str, int] = field(default_factory=dict)
    unreached: Unreached | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSearch:
    """One of: how ids begin, whatever their case; how push channels end, 8 characters at least; or an audience."""

    id: str = ""
    channel_end: str = ""
    audience: AudienceExpression | None = None


EVERY_DEVICE = DeviceSearch()


class Registry(Protocol):
    """Every method may raise StoreError."""

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        """Create or replace documents and what derives from them, in one transaction. Raises: InvalidRequestError."""

    async def import_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        """As `put_installations`, for the many of a bulk load."""

    async def add_installation(self, hub: str, installation: Installation) -> None:
        """Create a document that there is none of. Raises: PreconditionError: there is one; InvalidRequestError."""

    async def change_installation(self, hub: str, installation: Installation) -> None:
        """Replace a document by one made from it, if it still is as it was read (`Installation.etag`).

        A push channel that is dead stays so unless it is another one now: not the phone, but its back end may have spoken.

        Raises: NotFoundError, PreconditionError, InvalidRequestError.
        """

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""

    async def delete_installation(self, hub: str, installation_id: str) -> bool:
        """Whether there was one."""

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        """Create or replace; the answer carries id and ETag. `if_match` may be `ANY_ETAG`.

        Raises: PreconditionError, NotFoundError (with if_match); GoneError: its push channel is dead, or it has expired;
        InvalidRequestError: the id is that of a registration which derives from an installation.
        """

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        """One that a client made, or one that derives from an installation. Raises: NotFoundError."""

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        """Raises: NotFoundError, PreconditionError; InvalidRequestError: it derives from an installation."""

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """Those that live, with those that derive from installations, by ordinal; with `tag` those that carry it.

        A part may have fewer than `limit`, even none, while it names a next one.
        """

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """As `registrations`, those of these push channels."""

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        """Push channels that a push service said to be dead, as long as they are kept, the first to die first."""

    async def mark_channels_dead(self, hub: str, channels: Sequence[GoneChannel]) -> int:
        """Hide every registration of these push channels from audiences; how many were hidden.

        For what a test send finds; the outbox does it for all other sends, with the record of the page.
        """

    async def rename_channels(self, hub: str, channels: Sequence[RenamedChannel]) -> int:
        """Put another push channel in the place of one in all devices that live with it; in how many."""

    async def revive(self, hub: str, *, within: float, audit: AuditEntry) -> int:
        """Bring back the devices whose push channels were found dead within these seconds; how many registrations.

        What has expired, or was taken over by another user's phone, stays as it is. In slices, each a transaction, the
        first of which writes who asked for it.
        """

    async def put_direct(
        self, hub: str, platform: Platform, push_channels: Sequence[str], *, tag: str, kept: float
    ) -> None:
        """Keep up to a page of push channels for the direct send that `tag` stands for (`hub.tags.direct_tag`), `kept`
        seconds long. Nothing else reaches them, and no list has them."""

    async def devices(
        self, hub: str, search: DeviceSearch = EVERY_DEVICE, *, after: str = "", limit: int
    ) -> ListPage[Device]:
        """All installations, or those that a search finds, by id; by audience or push channel, the first registered first.

        Of an audience those that live. A part may have fewer than `limit`, even none, while it names a next one.
        """

    async def device(self, hub: str, installation_id: str) -> Device:
        """Raises: NotFoundError."""

    async def preview(self, notification: Notification, guarded: Notification) -> AudiencePreview:
        """Who a notification would reach now, and what others lack; `guarded` is the same within what its hub allows."""

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        """Live registrations by hub and platform."""

    async def erase_user(self, hub: str, user_id: str) -> int:
        """Delete installations and registrations of a user (`$UserId:{id}`), dead ones too; how many registrations."""

    async def fold(self) -> bool:
        """Move a slice of appended tag changes into the index; whether more is left."""

    async def forget_dead(self, *, kept: float) -> bool:
        """Drop a slice of registrations that have expired, or died `kept` seconds ago; whether more is left."""
