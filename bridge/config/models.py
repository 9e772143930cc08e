"""What can be configured, section by section; `bridge/check.py` reads a file into it.

Times are in seconds, sizes in bytes, whatever unit the file uses. Secrets are never shown.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from bridge.admin.connections import ConnectionLimits
from bridge.config.credentials import Remote, Tls
from bridge.config.section import Secret, Section, form
from bridge.decode import DecodeSettings
from bridge.decode.base import ValueType
from bridge.decode.charset import charset_named
from bridge.decode.pattern import compile_pattern
from bridge.observe.log import Level
from connectors.duration import Duration
from connectors.http.settings import HttpSettings
from connectors.rabbitmq.settings import AmqpSettings
from connectors.servicebus.settings import ServiceBusSettings
from connectors.size import Size
from hub.notification import Platform
from hub.platforms.settings import PlatformSettings
from hub.platforms.table import services
from hub.tags import MaxTags
from rules.engine import RuleSet
from rules.errors import ExpressionError
from rules.mapping import MAP_NAMES, EventMap
from rules.render import Text, compile_text

Positive = Annotated[Duration, Field(gt=0)]
NotNegative = Annotated[Duration, Field(ge=0)]


class Listen(NamedTuple):
    """Where a listener is bound; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("127.0.0.1", "::1", "localhost")


def _listen(value: object) -> Listen:
    parsed = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):(\d{1,5})", value) if isinstance(value, str) else None
    if parsed is None or int(parsed[3]) > 65_535:
        raise ValueError("not an address; write host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Listen(parsed[1] or parsed[2], int(parsed[3]))


ListenOn = Annotated[Listen, BeforeValidator(_listen)]


class Connections(Section):
    """Limits of a listener: connections in all and of one client, and the seconds of a request's header and between two.

    The limit of open files lowers `max`; one client never has more than half of all.
    """

    max: int = Field(default=2000, ge=1)
    max_per_client: int = Field(default=500, ge=1)
    header_timeout: Positive = 10.0
    idle_timeout: Positive = 5.0

    def limits(self, allowed: int) -> ConnectionLimits:
        """Where open files allow `allowed` connections."""
        total = min(self.max, allowed)
        return ConnectionLimits(
            total=total,
            per_client=min(self.max_per_client, max(1, total // 2)),
            head=self.header_timeout,
            idle=self.idle_timeout,
        )


class AdminListener(Section):
    """Health, metrics, the console and HTTP sources. Without a token only loopback may ask for more than health."""

    listen: ListenOn = Listen("127.0.0.1", 8080)
    admin_token: Secret | None = None
    connections: Connections = Connections()


def _sqlite_url(url: str) -> str:
    if url.startswith(("postgres:", "postgresql:")):
        raise ValueError("PostgreSQL: known, but not supported by this version yet")
    if not re.fullmatch(r"sqlite:///.+", url):
        raise ValueError("not a store; write sqlite:///pushbridge.db, or sqlite:////var/lib/pushbridge/pushbridge.db")
    return url


class StoreSettings(Section):
    """The durable store. A relative path (three slashes) is beside the configuration.

    Over `max_pending` notifications waiting, sources are not read any further.
    """

    url: Annotated[str, AfterValidator(_sqlite_url)] = "sqlite:///pushbridge.db"
    max_pending: int = Field(default=100_000, ge=1)
    seen_window: Positive = 86_400.0
    """How long a repeated event is known as such."""

    def path(self, directory: Path) -> Path:
        """The database file, for a configuration in `directory`."""
        return directory / self.url.removeprefix("sqlite:///")


class Shutdown(Section):
    """On SIGTERM: `delay` until intake stops, so that balancers notice, then up to `drain` to finish what is under way."""

    delay: NotNegative = 0.0
    drain: NotNegative = 20.0


class Watchdog(Section):
    """A source with a backlog that has not moved for `stall_after` is rebuilt."""

    stall_after: Positive = 120.0


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("not a time zone; write a name such as Europe/Zurich or UTC") from None
    return name


class Log(Section):
    """What is logged, and how: JSON lines for machines, or `console` for people."""

    level: Level = "info"
    format: Literal["json", "console"] = "json"


class BridgeSettings(Section):
    """The process. Times of events that have no offset are in `timezone`."""

    name: Annotated[str, form(r"[\w.-]{1,100}", "a name of letters, digits, '.', '_' and '-'")] = "pushbridge"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    http: AdminListener = AdminListener()
    store: StoreSettings = StoreSettings()
    shutdown: Shutdown = Shutdown()
    watchdog: Watchdog = Watchdog()
    log: Log = Log()


def _pattern(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


def _encoding(name: str) -> str:
    if (charset := charset_named(name)) is None:
        raise ValueError("not an encoding that is supported; write latin-1, cp1252, cp1141, utf-16 or such")
    return charset


class Decode(Section):
    """How bodies are read.

    `pattern` is for text, `root` and `lists` are for XML, `types` for both; all four serve CloudEvents' data too.
    `encoding` is that of bodies which do not say theirs.
    """

    format: Literal["json", "xml", "text", "cloudevents"] | None = None
    """Unless set, JSON; for an HTTP source of that format, CloudEvents."""
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    root: str | None = None
    types: Mapping[str, ValueType] = Field(default_factory=dict)
    lists: tuple[
        Annotated[str, form(r"[^\s@/.]+([/.][^\s@/.]+)*", "the name or path of an element, such as Lines.Line")], ...
    ] = ()
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    max_body: Annotated[Size, Field(gt=0)] = 1024 * 1024
    on_error: Literal["dead_letter", "ack"] = "dead_letter"

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.pattern is not None and self.format in ("json", "xml"):
            raise ValueError("pattern is for format: text")
        if self.types and (self.format in (None, "json") or (self.format == "text" and self.pattern is None)):
            raise ValueError("types are for format: xml, and for the groups of a text's pattern")
        if self.format == "text" and self.pattern is not None:
            groups = re.compile(self.pattern).groupindex
            if strangers := sorted(self.types.keys() - groups.keys()):
                raise ValueError(
                    f"types: the pattern has no group {strangers[0]}; it has {', '.join(groups) or 'none'}"
                )
        if (self.root is not None or self.lists) and self.format in (None, "json", "text"):
            raise ValueError("root and lists are for format: xml")
        return self


def _map_text(value: object) -> Text:
    if not isinstance(value, str | int | float):
        raise ValueError("expected a text")
    try:
        return compile_text(str(value), MAP_NAMES)
    except ExpressionError as error:
        raise ValueError(f"{error} ({error.hint})" if error.hint else str(error)) from None


MapText = Annotated[Text, BeforeValidator(_map_text)]


class Map(Section):
    """How a message becomes an event: texts over `data` and `meta`."""

    id: MapText | None = None
    source: MapText | None = None
    type: MapText | None = None
    subject: MapText | None = None
    time: MapText | None = None


class SourceSettings(Section):
    """Where events come from, by one kind of connector, and how they are read."""

    amqp: AmqpSettings | None = None
    http: HttpSettings | None = None
    servicebus: ServiceBusSettings | None = None
    decode: Decode = Decode()
    map: Map = Map()
    on_no_match: Literal["ack", "dead_letter"] = "ack"

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if sum(kind is not None for kind in (self.amqp, self.http, self.servicebus)) != 1:
            raise ValueError("write one of amqp, http and servicebus")
        return self

    @property
    def connector(self) -> AmqpSettings | HttpSettings | ServiceBusSettings:
        """The settings of whichever kind of connector it is."""
        chosen = self.amqp or self.http or self.servicebus
        assert chosen is not None  # checked when the configuration was read
        return chosen

    @property
    def decode_settings(self) -> DecodeSettings:
        """`decode` as the decoders take it, but for the time zone of the process."""
        is_cloudevents = self.http is not None and self.http.format == "cloudevents"
        return DecodeSettings(
            format=self.decode.format or ("cloudevents" if is_cloudevents else "json"),
            pattern=self.decode.pattern,
            root=self.decode.root,
            types=self.decode.types,
            lists=self.decode.lists,
            encoding=self.decode.encoding,
            max_body=self.decode.max_body,
        )

    def event_map(self, origin: str, timezone: ZoneInfo) -> EventMap:
        """`map` for the source called `origin`."""
        texts = self.map
        return EventMap(
            origin=origin,
            id=texts.id,
            source=texts.source,
            type=texts.type,
            subject=texts.subject,
            time=texts.time,
            timezone=timezone,
        )


class Tier(Section):
    """Limits of a hub. `max_tags_per_expression` replaces the wire contract's 20, 10 and 6 by one number."""

    max_tags_per_expression: int | None = Field(default=None, ge=1, le=1000)

    @property
    def max_tags(self) -> MaxTags:
        """The limits for each kind of expression."""
        limit = self.max_tags_per_expression
        return MaxTags() if limit is None else MaxTags(only_or=limit, only_and=limit, mixed=limit)


class AccessPolicySettings(Section):
    """A shared access rule of the wire API; a signature by either key is good."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    rights: Annotated[frozenset[Literal["Listen", "Send", "Manage"]], Field(min_length=1)]
    key: Secret
    secondary_key: Secret | None = None


class _Platforms(Section):
    """Credentials for the push services; a platform without is not sent to."""

    @property
    def settings(self) -> Mapping[Platform, PlatformSettings]:
        """By platform, for those that have credentials."""
        given = {each.platform: getattr(self, each.name) for each in services()}
        return {platform: settings for platform, settings in given.items() if settings is not None}

    @property
    def configured(self) -> frozenset[Platform]:
        """The platforms that have credentials."""
        return frozenset(self.settings)


if TYPE_CHECKING:
    Platforms = _Platforms
else:  # a key for each push service of the table
    Platforms = create_model(
        "Platforms",
        __base__=_Platforms,
        __doc__=_Platforms.__doc__,
        **{each.name: (each.settings | None, None) for each in services()},
    )


class HubSettings(Section):
    """One notification hub: one mobile app. The only hub of a configuration is the default one.

    With `remote` its phones are registered and pushed to elsewhere; rules and the durable outbox are here.
    """

    default: bool = False
    tier: Tier = Tier()
    access_policies: tuple[AccessPolicySettings, ...] = ()
    platforms: Platforms = Platforms()
    remote: Remote | None = None

    @model_validator(mode="after")
    def _check_policies(self) -> Self:
        names = [policy.name for policy in self.access_policies]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two access_policies are called {twice[0]}")
        return self

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.remote is not None and (self.access_policies or self.platforms.configured):
            raise ValueError("a remote hub has its access_policies and platforms where it is")
        return self


class HubApi(Section):
    """The listener of the wire protocol."""

    listen: ListenOn = Listen("127.0.0.1", 8443)
    tls: Tls | None = None
    connections: Connections = Connections()


class DeadLetterStore(Section):
    """Dead letters kept in the store, until they are too old or too many."""

    retention: Positive = 30 * 86_400.0
    max_rows: int = Field(default=1_000_000, ge=1)


class DeadLetterDefault(Section):
    """Where dead letters go unless their source says otherwise."""

    store: DeadLetterStore = DeadLetterStore()


class DeadLetterAmqp(Section):
    """An exchange of the source's own broker, and the routing key."""

    exchange: Annotated[str, Field(max_length=127)]
    key: Annotated[str, Field(max_length=127)]


class DeadLetterTarget(Section):
    """Where dead letters of one source go: the broker's own way, or an exchange of it."""

    native: bool = False
    amqp: DeadLetterAmqp | None = None

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.native == (self.amqp is not None):
            raise ValueError("write either native: true or amqp")
        return self


class DeadLetter(Section):
    """What becomes of messages that cannot be used."""

    default: DeadLetterDefault = DeadLetterDefault()
    sources: Mapping[str, DeadLetterTarget] = Field(default_factory=dict)


class Backoff(Section):
    """The n-th retry comes up to `base` * 2^(n-1) after the failure, `cap` at most (full jitter)."""

    base: Positive = 2.0
    cap: Positive = 120.0

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.cap < self.base:
            raise ValueError("cap is below base")
        return self


class Retry(Section):
    """Pushes are tried again until `max_age` after acceptance, or until their own time to live has passed."""

    max_age: Positive = 1_800.0
    backoff: Backoff = Backoff()


class Delivery(Section):
    """How pushes go out; `max_in_flight` bounds the single pushes under way for each hub and platform."""

    retry: Retry = Retry()
    max_in_flight: int = Field(default=2_000, ge=1)


Name = Annotated[
    str, form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "a name of letters, digits, '.', '_' and '-', 100 characters at most")
]
"""Of a source or a hub: it becomes a metric label, and a hub's a path segment."""


class Sections(Section):
    """The sections of a configuration, but for `rules` and `defaults`, which are compiled (`rules/loader.py`)."""

    version: Literal[1] = 1
    bridge: BridgeSettings = BridgeSettings()
    sources: Mapping[Name, SourceSettings] = Field(default_factory=dict)
    hubs: Mapping[Name, HubSettings] = Field(default_factory=dict)
    hub_api: HubApi = HubApi()
    dead_letter: DeadLetter = DeadLetter()
    delivery: Delivery = Delivery()


class Settings(Sections):
    """A whole configuration, checked. `directory` is where its relative paths begin."""

    rules: RuleSet
    directory: Path

    @property
    def store_path(self) -> Path:
        """The database file."""
        return self.bridge.store.path(self.directory)


def default_hub(hubs: Mapping[str, HubSettings]) -> str | None:
    """The hub that rules push through unless they name one: the one marked as default, or the only one."""
    names = [name for name, hub in hubs.items() if hub.default] or list(hubs)
    return names[0] if len(names) == 1 else None
