"""What goes into the hub: a notification, who it is for and what it says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import ClassVar, Final

from hub.frozen import frozen_dataclass
from hub.identity import digest_of
from hub.quiet import QuietHours
from hub.tags import TagExpression


class Platform:
    """A push service by its name in installations (Notification Hubs REST API), which the store keeps and metrics show.

    There is one object for each name, so platforms compare by identity. `declared` has those of the table of push
    services (`hub/platforms/table.py`), `known` also those that phones are registered for and that have no service yet; a
    stored name whose service was taken out of the table is a platform as well.
    """

    __slots__ = ("value",)

    value: str
    _declared: ClassVar[dict[str, "Platform"]] = {}
    _kept: ClassVar[dict[str, "Platform"]] = {}

    # The services that code and tests mention by name; one more service needs no name here.
    APNS: ClassVar["Platform"]
    FCM: ClassVar["Platform"]
    WNS: ClassVar["Platform"]
    BROWSER: ClassVar["Platform"]

    def __new__(cls, name: str) -> "Platform":
        return PLATFORM_NAMED[name]

    def __reduce__(self) -> tuple[type["Platform"], tuple[str]]:
        return Platform, (self.value,)

    def __repr__(self) -> str:
        return f"Platform({self.value!r})"

    @classmethod
    def declare(cls, platform: "Platform") -> None:
        """Make it one of `declared`; the table of push services does so for each line it has."""
        cls._declared[platform.value] = platform

    @classmethod
    def declared(cls) -> Collection["Platform"]:
        """The platforms that can be sent to, in the order of the table."""
        return cls._declared.values()

    @classmethod
    def keep(cls, platform: "Platform") -> None:
        """Make it one of `known`, though there is no service to send to it."""
        cls._kept[platform.value] = platform

    @classmethod
    def known(cls) -> Collection["Platform"]:
        """The platforms that phones are registered for: `declared`, and then those without a service."""
        return (cls._declared | cls._kept).values()


class _PlatformByName(dict[str, Platform]):
    def __missing__(self, name: str) -> Platform:
        platform = self[name] = object.__new__(Platform)
        platform.value = name
        return platform


PLATFORM_NAMED: Final[Mapping[str, Platform]] = _PlatformByName()
"""`PLATFORM_NAMED[name]` is `Platform(name)`, at the speed of a dictionary: the store asks once a registration."""

Platform.APNS, Platform.FCM, Platform.WNS, Platform.BROWSER = map(Platform, ("apns", "fcmv1", "wns", "browser"))


SENSITIVE_HEADER: Final = "pushbridge-sensitive"
"""Of a send: `true` clears what the notification says at its end. Notification Hubs does not know it."""


class Priority(Enum):
    """How urgent. HIGH wakes the phone; NORMAL may be held by the platform to save power."""

    HIGH = "high"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Everyone:
    """All registrations of the hub; a broadcast has to be asked for by name."""

    def __str__(self) -> str:
        return "everyone"


EVERYONE = Everyone()
Audience = TagExpression | Everyone


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldText:
    """Texts held here, for phones that registered no template: `document` says all of them, and `id` is its hash.

    A notification that was read from the store has the id alone; the store keeps each document once, by its id.
    """

    id: int
    name: str
    document: bytes = field(default=b"", compare=False, repr=False)

    @classmethod
    def of(cls, name: str, document: bytes) -> "HeldText":
        """The text that a document is."""
        return cls(
            id=int.from_bytes(digest_of(document.decode())[:8], "big", signed=True), name=name, document=document
        )


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContent:
    """Properties for the templates that phones registered; names compare without case.

    With a `text` they fill that one for phones that registered no template.
    """

    properties: Mapping[str, str]
    text: HeldText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeContent:
    """A payload as it goes to one push service, with that service's headers (`apns-*`, `X-WNS-*`)."""

    platform: Platform
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Content = TemplateContent | NativeContent


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One thing to say to an audience.

    `id` is 32 lower-case hex digits; the same event and rule give the same id, so saying it twice is saying it once.
    `platforms` limits a template notification (None: all). `expires_at` ends every try. `source`, `event_id` and `rule`
    say where it came from; they are empty for a send through the API. `person` is whom it is about, empty where no source
    says it. `trace` and `tracestate` are the trace that it belongs to (`hub/trace_context.py`), empty for none. The content
    of one that is `sensitive` is kept until its end and no longer.
    `flow_key` is the digest of the key by which a rule may withdraw it (`hub/flow.py`), empty for none; one that is
    `in_order` starts when the one before it of the same key has ended.
    `quiet` are the hours in which its phones are left in peace.
    """

    id: str
    hub: str
    audience: Audience
    content: Content
    platforms: frozenset[Platform] | None = None
    schedule_at: datetime | None = None
    expires_at: datetime | None = None
    priority: Priority = Priority.HIGH
    collapse_key: str | None = None
    source: str = ""
    event_id: str = ""
    rule: str = ""
    person: str = ""
    trace: str = ""
    tracestate: str = ""
    sensitive: bool = False
    flow_key: bytes = b""
    in_order: bool = False
    quiet: QuietHours | None = None
