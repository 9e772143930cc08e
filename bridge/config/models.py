"""What can be configured, section by section; `load` reads a file into it.

Times are in seconds, sizes in bytes, whatever unit the file uses. Secrets are never shown.
"""

import math
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, create_model, model_validator

from bridge.config.admin_auth import AdminAuth
from bridge.config.credentials import ListenerTls, Remote
from bridge.config.registration import Registration
from bridge.config.section import Section, form
from bridge.config.store import StoreSettings
from bridge.decode import DecodeSettings
from bridge.decode.base import FieldSettings, FieldType, KeyFormat, ValueType
from bridge.decode.charset import charset_named
from bridge.decode.fixed_width import NUMBERS_IN_BYTES
from bridge.decode.mapping import MAP_NAMES, EventMap
from bridge.decode.pattern import compile_pattern
from bridge.decode.readers import formats
from bridge.decode.registered import has_registry
from bridge.decode.schema import JsonSchema
from bridge.schemas.settings import RegistrySettings
from connectors.auth import Secrets, one_or_more
from connectors.connector import MAX_BODY, Connector, DeadLetterRoute, SinkRoute
from connectors.duration import Duration
from connectors.size import Size
from connectors.table import CONNECTORS
from hub.api.access import OidcAccess
from hub.egress import EgressDefaults
from hub.errors import TagError
from hub.guards import AudienceGuard
from hub.jobs.settings import JobSettings
from hub.notification import Platform
from hub.phone_report import ReportPolicy
from hub.platforms.settings import PlatformSettings
from hub.platforms.table import services
from hub.rate import Rate
from hub.store.contracts.sinks import SinkLimits
from hub.tags import MaxTags, parse
from hub.tls import ExistingFile
from rules.engine import RuleSet
from rules.errors import ExpressionError
from rules.models import OWNER, OWNER_WORDS, Defaults, Rule
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
    """Connections in all; the system's limit of open files may lower it."""
    max_per_client: int = Field(default=500, ge=1)
    """Connections of one address, never more than half of all."""
    header_timeout: Positive = 10.0
    """How long a request's line and headers may take to arrive."""
    idle_timeout: Positive = 5.0
    """How long an open connection may stay without a request."""


class ListenerSettings(Section):
    """What every listener has."""

    tls: ListenerTls | None = None
    """Certificate and key of the listener; without them requests are in clear."""
    connections: Connections = Connections()
    """Limits against clients that open too many or too slow requests."""


class AdminListener(ListenerSettings):
    """Health, metrics, console and admin API. Without `auth` only loopback may ask for more than health."""

    address: ListenOn = Listen("127.0.0.1", 8080)
    """Address and port of console and admin API, and of HTTP sources unless listeners.intake is set."""
    auth: AdminAuth | None = None
    """What administrators have to show for everything but health; without it only loopback may ask."""


class ProbesListener(ListenerSettings):
    """`/livez`, `/readyz`, `/startupz` and `/metrics` and nothing else, for all who reach it."""

    address: ListenOn
    """Address and port of health and metrics, such as 0.0.0.0:9090; requests there need no token."""


class IntakeListener(ListenerSettings):
    """HTTP sources and nothing else; each source has its own `auth`."""

    address: ListenOn
    """Address and port that events are posted to, such as 0.0.0.0:8081."""


class HubApiListener(ListenerSettings):
    """The listener of the wire protocol; who may do what there is `hubs.NAME.auth`."""

    address: ListenOn = Listen("127.0.0.1", 8443)
    """Address and port where phones register and back ends send."""


class Listeners(Section):
    """Where the process listens, and what it serves there."""

    admin: AdminListener = AdminListener()
    """Health, metrics, console and admin API, for operators."""
    probes: ProbesListener | None = None
    """Health and metrics alone, for probes and scrapes that show no secret."""
    intake: IntakeListener | None = None
    """HTTP sources on an address of their own; without it they are on that of admin."""
    hub_api: HubApiListener = HubApiListener()
    """The Azure Notification Hubs protocol, for phones and back ends."""

    def by_name(self) -> dict[str, AdminListener | ProbesListener | IntakeListener | HubApiListener]:
        """Those that are configured."""
        named = {"admin": self.admin, "probes": self.probes, "intake": self.intake, "hub_api": self.hub_api}
        return {name: listener for name, listener in named.items() if listener is not None}


class Shutdown(Section):
    """On SIGTERM: `delay` until intake stops, so that balancers notice, then up to `drain` to finish what is under way."""

    delay: NotNegative = 0.0
    """Time between SIGTERM and the end of intake, so that load balancers notice."""
    drain: NotNegative = 20.0
    """Time to finish the work begun, before the process exits."""


class Watchdog(Section):
    """A source with a backlog that has not moved for `stall_after` is rebuilt."""

    stall_after: Positive = 120.0
    """A source with a backlog that stands still for so long is connected again."""


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("not a time zone; write a name such as Europe/Zurich or UTC") from None
    return name


LogLevel = Literal["debug", "info", "warning", "error"]


class Log(Section):
    """What is logged, and how: JSON lines for machines, or `console` for people."""

    level: LogLevel = "info"
    """The least important lines that are written."""
    format: Literal["json", "console"] = "json"
    """JSON lines for machines, or console for people."""


class BridgeSettings(Section):
    """The process. Times of events that have no offset are in `timezone`."""

    name: Annotated[str, form(r"[\w.-]{1,100}", "a name of letters, digits, '.', '_' and '-'")] = "pushbridge"
    """What status and tools call this process, to tell it from others."""
    revision: Annotated[
        str, form(r"[\w.:/+-]{0,100}", "at most 100 letters, digits and '.', '_', ':', '/', '+', '-'")
    ] = ""
    """A commit or the like, named by log, status, metric, notifications and dead letters."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """IANA zone of times in events that come without an offset."""
    egress: EgressDefaults = EgressDefaults()
    """Proxy and certificates of everything that leaves; each part can say otherwise."""
    store: StoreSettings = StoreSettings()
    """The durable database of notifications, registrations and dead letters."""
    shutdown: Shutdown = Shutdown()
    """How the process ends after SIGTERM."""
    watchdog: Watchdog = Watchdog()
    """When a source that stands still is rebuilt."""
    log: Log = Log()
    """How much is logged, and in which form."""


def _pattern(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


def _schema(path: Path) -> Path:
    JsonSchema(path)
    return path


def _encoding(name: str) -> str:
    if (charset := charset_named(name)) is None:
        raise ValueError("not an encoding that is supported; write latin-1, cp1252, cp1141, utf-16 or such")
    return charset


_LONGEST_NUMBER = {"packed": 20, "zoned": 40, "binary": 16}
"""Bytes of a field; the numbers of COBOL have 38 digits at most."""

_AT = re.compile(r"([1-9][0-9]{0,6})(?:-([1-9][0-9]{0,6}))?", re.ASCII)


class FixedField(Section):
    """Where a field of a fixed-width record is, and what it means."""

    at: Annotated[str, form(_AT.pattern, "the first and the last byte, counted from 1, such as 1-12")]
    """First and last byte, counted from 1, such as 13-20."""
    type: FieldType = "text"
    """What the bytes mean: text, a number as mainframes keep it (packed, zoned, binary), or a type of text."""
    scale: int = Field(default=0, ge=0, le=30)
    """How many digits of a number are behind a point that is not written."""

    @model_validator(mode="after")
    def _check_field(self) -> Self:
        first, last = self.span
        if last < first:
            raise ValueError(f"at: {self.at} ends before it begins")
        most = _LONGEST_NUMBER.get(self.type)
        if most is not None and last - first >= most:
            raise ValueError(f"a {self.type} number has {most} bytes at most")
        if self.scale and self.type not in (*_LONGEST_NUMBER, "decimal", "int"):
            raise ValueError("scale is for numbers: packed, zoned, binary, decimal and int")
        return self

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last byte."""
        found = _AT.fullmatch(self.at)
        assert found is not None
        return int(found[1]), int(found[2] or found[1])


def _field(value: object) -> object:
    return {"at": str(value)} if isinstance(value, str | int) and not isinstance(value, bool) else value


if TYPE_CHECKING:
    _Format = str
else:
    _Format = Literal[tuple(formats())]


class Decode(Section):
    """How bodies are read.

    `pattern` is for text, `root` and `lists` are for XML, `types` for both; all four serve CloudEvents' data too.
    `columns`, `header` and `delimiter` are for CSV, `fields` and `length` for fixed width.
    `encoding` is that of bodies which do not say theirs.
    """

    format: _Format | None = None
    """Unless set, JSON; for an HTTP source of that format, CloudEvents."""
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    """A regular expression whose named groups become the fields of data; for text."""
    root: str | None = None
    """The name that the document element has to have; for XML."""
    types: Mapping[str, ValueType] = Field(default_factory=dict)
    """The kind of value at an element's path or a group, for what else is text."""
    lists: tuple[
        Annotated[str, form(r"[^\s@/.]+([/.][^\s@/.]+)*", "the name or path of an element, such as Lines.Line")], ...
    ] = ()
    """Elements that always make a list, even where one comes alone; for XML."""
    columns: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """The names of fields in their order, for CSV without a line of names."""
    header: bool | None = None
    """Whether the first line of CSV has the names of columns; unless set, it has where columns is not set."""
    delimiter: Annotated[str, form(r"[^\"\r\n]", "one character")] = ","
    """What stands between two fields of CSV, such as ; or a tab."""
    fields: Mapping[
        Annotated[str, form(r"[^\s.\[\]]{1,200}", "a name without blanks, dots and brackets")],
        Annotated[FixedField, BeforeValidator(_field)],
    ] = Field(default_factory=dict)
    """The fields of a fixed-width record by name: its bytes, such as 1-12, or bytes, type and scale."""
    length: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many bytes a fixed-width record has, where it has no line end."""
    split: (
        Annotated[
            str,
            form(r"lines|records|data(\.[^\s.\[\]]+)*", "lines, records, or the path of an array, such as data.items"),
        ]
        | None
    ) = None
    """What of one body is an event of its own: lines, records of length bytes, or the elements of an array."""
    json_schema: Annotated[ExistingFile, AfterValidator(_schema)] | None = Field(default=None, alias="schema")
    """A file with a JSON Schema that the data have to meet; an event whose data do not is a dead letter."""
    registry: RegistrySettings | None = None
    """A schema registry with what bodies name before their content; avro needs one, json and debezium may have one."""
    key: KeyFormat | None = None
    """The format of messages' keys, where the registry has their schemas too; meta.key is then the key's value."""
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    """The charset of bodies that do not name theirs."""
    max_body: Annotated[Size, Field(gt=0)] = MAX_BODY
    """Bodies larger than this are refused."""
    on_error: Literal["dead_letter", "ack"] = "dead_letter"
    """Where a body goes that cannot be read: to the dead letters, or nowhere."""

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.pattern is not None and self.format in ("json", "xml"):
            raise ValueError("pattern is for format: text")
        if self.types and (
            self.format in (None, "json", "fixed_width", "debezium") or (self.format == "text" and self.pattern is None)
        ):
            raise ValueError("types are for format: xml and csv, and for the groups of a text's pattern")
        if self.format == "text" and self.pattern is not None:
            groups = re.compile(self.pattern).groupindex
            if strangers := sorted(self.types.keys() - groups.keys()):
                raise ValueError(
                    f"types: the pattern has no group {strangers[0]}; it has {', '.join(groups) or 'none'}"
                )
        if (self.root is not None or self.lists) and self.format not in ("xml", "cloudevents"):
            raise ValueError("root and lists are for format: xml")
        self._check_columns()
        self._check_fields()
        self._check_split()
        self._check_registry()
        return self

    def _check_registry(self) -> None:
        """Raises: ValueError."""
        if self.registry is None:
            if self.format == "avro":
                raise ValueError("avro needs registry, such as { url: https://registry.example.com:8081 }")
            if self.key is not None:
                raise ValueError("key needs registry, which has the schemas of keys")
            return
        if not has_registry(self.format or "json"):
            raise ValueError("registry is for format: avro, json and debezium")
        if self.split is not None:
            raise ValueError("split is not for bodies with a schema of a registry")
        if "avro" in (self.format, self.key) and find_spec("fastavro") is None:
            raise ValueError("avro needs its library: install pushbridge[avro]")

    def _check_columns(self) -> None:
        """Raises: ValueError."""
        if self.format != "csv":
            given = {
                "columns": bool(self.columns),
                "header": self.header is not None,
                "delimiter": self.delimiter != ",",
            }
            if wrong := [name for name, is_given in given.items() if is_given]:
                raise ValueError(f"{wrong[0]} is for format: csv")
            return
        if self.header is False and not self.columns:
            raise ValueError("CSV without a line of names needs columns")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns: each has a name of its own")
        if self.columns and (strangers := sorted(self.types.keys() - set(self.columns))):
            raise ValueError(f"types: there is no column {strangers[0]}; there are {', '.join(self.columns)}")

    def _check_fields(self) -> None:
        """Raises: ValueError."""
        if self.format != "fixed_width":
            if self.fields or self.length is not None:
                raise ValueError(f"{'fields' if self.fields else 'length'} is for format: fixed_width")
            return
        if not self.fields:
            raise ValueError("fixed_width needs fields, such as { account: 1-12 }")
        if self.encoding is not None and self.encoding.startswith(("utf-16", "utf-32")):
            raise ValueError(f"fixed_width counts bytes, and characters of {self.encoding} have several")
        name, last = max(((name, field.span[1]) for name, field in self.fields.items()), key=lambda each: each[1])
        if self.length is not None and last > self.length:
            raise ValueError(f"fields: {name} ends at byte {last}, and length is {self.length}")

    def _check_split(self) -> None:
        """Raises: ValueError."""
        if self.split is None:
            return
        if self.split == "records":
            if self.length is None:
                raise ValueError("split: records needs format: fixed_width and length, the bytes of a record")
        elif self.split == "lines":
            numbers = [name for name, field in self.fields.items() if field.type in NUMBERS_IN_BYTES]
            if numbers:
                raise ValueError(
                    f"split: lines would cut {numbers[0]} in two: a byte of a {self.fields[numbers[0]].type} number may be"
                    " that of a line end; write split: records and length"
                )
            if self.length is not None:
                raise ValueError("length is for split: records, of records without line ends")
            if self.format == "xml":
                raise ValueError("split is not for format: xml")
        elif self.format not in (None, "json", "debezium"):
            raise ValueError("split by a path is for format: json")


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
    """What tells one event from another; an event that comes again under it is taken once."""
    source: MapText | None = None
    """Who the event is from, in CloudEvents' sense; else the source's name."""
    type: MapText | None = None
    """What happened, for rules to match; else the name of the source."""
    subject: MapText | None = None
    """What it happened to, such as order/4711."""
    time: MapText | None = None
    """When it happened; else the time at which the broker took the message."""
    person: MapText | None = None
    """Whom it is about, such as a customer's id: `pushbridge users` exports and erases by it; may be null or empty."""


_ROUTES: Mapping[str, DeadLetterRoute[Any, Any]] = {
    key: connector.dead_letters for key, connector in CONNECTORS.items() if connector.dead_letters is not None
}

_SINKS: Mapping[str, SinkRoute[Any]] = {
    key: connector.sink for key, connector in CONNECTORS.items() if connector.sink is not None
}

if TYPE_CHECKING:

    class _ConnectorKeys(Section): ...

    class _DeadLetterKeys(Section): ...

    class _SinkKeys(Section): ...

else:
    _ConnectorKeys = create_model(
        "_ConnectorKeys",
        __base__=Section,
        **{
            connector.key: (connector.settings | None, Field(default=None, description=connector.doc))
            for connector in CONNECTORS.values()
        },
    )
    _DeadLetterKeys = create_model(
        "_DeadLetterKeys",
        __base__=Section,
        **{key: (route.place | None, Field(default=None, description=route.doc)) for key, route in _ROUTES.items()},
    )
    _SinkKeys = create_model(
        "_SinkKeys",
        __base__=Section,
        **{key: (route.settings | None, Field(default=None, description=route.doc)) for key, route in _SINKS.items()},
    )


def _one_of(names: Iterable[str]) -> str:
    *names, last = names
    return f"{', '.join(names)} and {last}" if names else last


_OF_A_RECORD = re.compile(r"\bdata\b|\bmeta\s*\.\s*(record|message_id)\b")
"""What the records of a message differ in."""


_LONGEST_UNSETTLED = 900.0
"""Seconds that a message waits for the rate of its source at most while the broker has it handed out: RabbitMQ takes
messages back after half an hour (`consumer_timeout`)."""


class SourceSettings(_ConnectorKeys):
    """Where events come from, by one connector, and how they are read; each connector of the table has a key here."""

    owner: Annotated[str, form(rf"|{OWNER}", OWNER_WORDS)] = ""
    """The team that answers for this source; metrics, dead letters and `why` name it."""
    decode: Decode = Decode()
    """How the bytes of a message become data."""
    map: Map = Map()
    """How data and properties of a message make an event."""
    rate: Rate | None = None
    """How many messages a second are taken, and how many at once; what is over it waits where it comes from."""
    on_no_match: Literal["ack", "dead_letter"] = "ack"
    """What becomes of an event that no rule fits: it is settled, or kept as a dead letter."""
    expect_every: Annotated[Duration, Field(ge=60)] | None = None
    """A message has to come at least so often, such as 26h for a nightly batch: a source that is late is told."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if sum(getattr(self, key) is not None for key in CONNECTORS) != 1:
            raise ValueError(f"write one of {_one_of(CONNECTORS)}")
        if self.decode.split is not None and self.map.id is not None and not _OF_A_RECORD.search(str(self.map.id)):
            raise ValueError(
                "map.id is the same for all records of a message, of which the first alone would be taken: name a field"
                " of data, or meta.record beside what tells messages apart"
            )
        if self.decode.key is not None and "key" not in self.connector.meta:
            raise ValueError(f"decode.key: messages of {self.connector.title} have no key")
        handed_out = self.connector.handed_out(self.connector_settings)
        if self.rate is not None and handed_out > self.rate.per_second * _LONGEST_UNSETTLED:
            most = max(1, math.floor(self.rate.per_second * _LONGEST_UNSETTLED))
            raise ValueError(
                f"rate: {self.rate.per_second:g} a second settle the {handed_out} messages that the broker hands out ahead"
                f" only after it takes them back: set {self.connector.key}.receive.max_in_flight to {most} at most"
            )
        return self

    @property
    def connector(self) -> Connector[Any]:
        """The connector whose key is written."""
        return next(connector for key, connector in CONNECTORS.items() if getattr(self, key) is not None)

    @property
    def connector_settings(self) -> BaseModel:
        """What stands at the connector's key."""
        settings: BaseModel = getattr(self, self.connector.key)
        return settings

    @property
    def decode_settings(self) -> DecodeSettings:
        """`decode` as the decoders take it, but for the time zone of the process."""
        is_cloudevents = self.connector.brings_cloudevents(self.connector_settings)
        return DecodeSettings(
            format=self.decode.format or ("cloudevents" if is_cloudevents else "json"),
            pattern=self.decode.pattern,
            root=self.decode.root,
            types=self.decode.types,
            lists=self.decode.lists,
            columns=self.decode.columns,
            header=self.decode.header,
            delimiter=self.decode.delimiter,
            fields={
                name: FieldSettings(first=field.span[0], last=field.span[1], type=field.type, scale=field.scale)
                for name, field in self.decode.fields.items()
            },
            length=self.decode.length,
            split=self.decode.split,
            schema=None if self.decode.json_schema is None else JsonSchema(self.decode.json_schema),
            registry=self.decode.registry,
            key=self.decode.key,
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
            person=texts.person,
            timezone=timezone,
        )


Name = Annotated[
    str, form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "a name of letters, digits, '.', '_' and '-', 100 characters at most")
]
"""Of a source or a hub: it becomes a metric label, and a hub's a path segment."""

HubName = Annotated[Name, AfterValidator(str.lower)]
"""Names of hubs compare without case, as in a URL's path: from here on each is in lower case."""


class HubLimits(Section):
    """Limits of a hub. `max_tags_per_expression` replaces the wire contract's 20, 10 and 6 by one number."""

    max_tags_per_expression: int | None = Field(default=None, ge=1, le=1000)
    """One limit of tags in an expression, for the wire contract's 20, 10 and 6."""
    registration_ttl: Annotated[Duration, Field(ge=86_400)] | None = None
    """How long a single registration lives after its last write, a day at least; installations say their own."""
    confirm_above: int | None = Field(default=None, ge=1)
    """A send to more registrations than this needs a confirmation by who sends; one of a rule is held for approval."""

    @property
    def max_tags(self) -> MaxTags:
        """The limits for each kind of expression."""
        limit = self.max_tags_per_expression
        return MaxTags() if limit is None else MaxTags(only_or=limit, only_and=limit, mixed=limit)


def _tag_expression(text: str) -> str:
    try:
        return str(parse(text, max_tags=_UNLIMITED))
    except TagError as error:
        raise ValueError(f"column {error.column}: {error}") from error


_UNLIMITED = MaxTags(only_or=1000, only_and=1000, mixed=1000)
OnlyTo = Annotated[str, AfterValidator(_tag_expression)]
"""A tag expression in its canonical spelling."""


class AccessPolicySettings(Section):
    """A shared access policy of the wire API."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """What clients give as SharedAccessKeyName."""
    rights: Annotated[frozenset[Literal["Listen", "Send", "Manage"]], Field(min_length=1)]
    """What a holder of the key may do: Listen registers, Send notifies, Manage does all."""
    key: Secrets
    """The secret that signs tokens, or a list of which each is good: clients change over one after the other."""


class HubAuth(Section):
    """Who may use the wire API of a hub, and for what."""

    sas: tuple[AccessPolicySettings, ...] = ()
    """Shared access policies, by whose keys clients sign."""
    oidc: OidcAccess | None = None
    """A provider of OpenID Connect, such as Entra ID, whose bearer tokens are good beside signatures."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [policy.name for policy in self.sas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two policies of sas are called {twice[0]}")
        return self


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
        **{
            each.name: (
                each.settings | None,
                Field(
                    default=None,
                    description=f"Credentials for {each.title}; without them none of its phones is sent to.",
                ),
            )
            for each in services()
        },
    )


PayloadKey = Annotated[str, form(r"[A-Za-z][A-Za-z0-9_]{0,39}", "a letter, then letters, digits and _, 40 at most")]
TagPrefix = Annotated[str, form(r"[A-Za-z0-9_@#.:-]{1,40}", "letters, digits and _ @ # . : -, 40 at most")]
TagValue = Annotated[
    str, form(r"[A-Za-z0-9_@#.-]{1,40}", "letters, digits and _ @ # . -, 40 at most"), AfterValidator(str.lower)
]


class ReportsByTag(Section):
    """A tag of phones by whose values their reports are counted, such as country:."""

    prefix: TagPrefix
    """What the tag begins with, its colon included."""
    values: Annotated[tuple[TagValue, ...], Field(min_length=1, max_length=50)]
    """The values that are told apart, without case; phones with another one count as _other, those without as _none."""


class ReportsSettings(Section):
    """How reports of apps are taken: that a push was received, opened, or acted on."""

    payload_key: PayloadKey | None = None
    """The key under which each JSON payload names its push; the app's report repeats what stands there."""
    accept_for: Annotated[Duration, Field(ge=60, le=30 * 86_400)] = 7 * 86_400.0
    """How long after a notification was accepted, or its scheduled time, phones may report on it: 30 days at most."""
    by_tag: ReportsByTag | None = None
    """A tag by which reports are counted too."""

    @property
    def policy(self) -> ReportPolicy:
        """How the engine takes reports of phones."""
        return ReportPolicy(
            accept_for=self.accept_for,
            tag_prefix="" if self.by_tag is None else self.by_tag.prefix,
            tag_values=() if self.by_tag is None else self.by_tag.values,
            payload_key=self.payload_key or "",
        )


_LIST_EVERY = 900.0


class HubSettings(Section):
    """One notification hub: one mobile app. The only hub of a configuration is the default one.

    With `remote`, another service registers its phones and pushes to them; rules and the durable outbox are here.
    """

    default: bool = False
    """Rules that name no hub push through this one."""
    limits: HubLimits = HubLimits()
    """Limits of what senders may ask for."""
    only_to: OnlyTo | None = None
    """An expression of tags, joined by AND to every audience: so a test environment reaches its testers alone."""
    auth: HubAuth = HubAuth()
    """Who may use the wire API, and for what."""
    platforms: Platforms = Platforms()
    """Credentials for the push services that its phones use."""
    report_to: Annotated[tuple[Name, ...], BeforeValidator(one_or_more)] = ()
    """The sinks that are told what became of sends through the wire API, and which of its devices are gone."""
    reports: ReportsSettings = ReportsSettings()
    """How reports of its apps are taken: that a push was received, opened, or acted on."""
    jobs: JobSettings = JobSettings()
    """Where import and export jobs of the wire API may read and write."""
    remote: Remote | None = None
    """Its phones are registered and pushed to by another hub over REST."""
    mirror: Literal["local", "remote"] | None = None
    """During a move: `local` sends by `remote` and compares with who is registered here, `remote` is the cut-over."""
    list_every: Annotated[Duration, Field(ge=10, le=86_400)] = _LIST_EVERY
    """While the hub is mirrored: how often the registrations of `remote` are listed again."""
    registration: Registration | None = None
    """What phones call with their user's token; without it they register over the wire API, with a key."""

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.mirror is not None and self.remote is None:
            raise ValueError("mirror: there is no remote to compare with: write remote, or take mirror away too")
        if self.mirror is None and self.list_every != _LIST_EVERY:
            raise ValueError("list_every: only a hub that is mirrored is listed: write mirror, or take it away")
        if self.mirror is not None and self.remote is not None and self.remote.durability == "remote":
            raise ValueError("remote.durability: remote keeps nothing here that mirror could compare: leave it out")
        if self.is_remote and not self.is_mirrored and (self.auth.sas or self.auth.oidc or self.platforms.configured):
            raise ValueError("a remote hub has its auth and its platforms where it is")
        if self.is_remote and not self.is_mirrored and self.reports != ReportsSettings():
            raise ValueError("reports: apps report where the pushes of a remote hub are made, not here")
        if self.is_remote and self.limits.confirm_above is not None:
            raise ValueError("limits.confirm_above: who is registered at a remote hub is known there alone")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether another hub pushes to its phones; after the cut-over `remote` is there for the way back alone."""
        return self.remote is not None and self.mirror != "remote"

    @property
    def is_mirrored(self) -> bool:
        """Whether another hub pushes, and who is registered here is only counted."""
        return self.mirror == "local"

    @property
    def is_kept_here(self) -> bool:
        """Whether its registrations are kept here, be it to compare with them."""
        return not self.is_remote or self.is_mirrored

    @property
    def guard(self) -> AudienceGuard:
        """What its audiences are held to."""
        expression = None if self.only_to is None else parse(self.only_to, max_tags=_UNLIMITED)
        return AudienceGuard(only_to=expression, confirm_above=self.limits.confirm_above)


class SinkSettings(_SinkKeys):
    """Where another system is told what became of notifications, by one of the connectors that can publish.

    What waits for a sink that is away waits in the store, within these limits; the oldest make place.
    """

    retention: Positive = 7 * 86_400.0
    """How long a report waits at most."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """How many reports wait at most."""
    max_bytes: Annotated[Size, Field(gt=0)] = 1024**3
    """How much the reports that wait may have together."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if sum(getattr(self, key) is not None for key in _SINKS) != 1:
            raise ValueError(f"write one of {_one_of(_SINKS)}")
        return self

    @property
    def key(self) -> str:
        """The connector's key that is written."""
        return next(key for key in _SINKS if getattr(self, key) is not None)

    @property
    def place(self) -> tuple[SinkRoute[Any], BaseModel]:
        """The route and what stands at its connector's key."""
        return _SINKS[self.key], getattr(self, self.key)

    @property
    def limits(self) -> SinkLimits:
        """How much of it may wait."""
        return SinkLimits(kept=self.retention, max_rows=self.max_rows, max_bytes=self.max_bytes)


class DeadLetterStore(Section):
    """Dead letters kept in the store, until they are too old or too many."""

    retention: Positive = 30 * 86_400.0
    """How long one is kept."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """How many are kept; the oldest make place."""
    max_bytes: Annotated[Size, Field(gt=0)] = 4 * 1024**3
    """How much their bodies, headers and details may have together; the oldest make place."""


class DeadLetterDefault(Section):
    """Where dead letters go unless their source says otherwise."""

    store: DeadLetterStore = DeadLetterStore()
    """They are kept in the database, with these limits."""


class DeadLetterTarget(_DeadLetterKeys):
    """Where dead letters of one source go: the broker's own way, or a place of the broker that is named here."""

    native: bool = False
    """The broker dead-letters the message in its own way."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        places = [key for key in _ROUTES if getattr(self, key) is not None]
        if self.native + len(places) != 1:
            raise ValueError(f"write either native: true or {' or '.join(_ROUTES)}")
        return self

    @property
    def place(self) -> tuple[DeadLetterRoute[Any, Any], BaseModel] | None:
        """The route and what stands at its connector's key; None for the broker's own way."""
        for key, route in _ROUTES.items():
            if (place := getattr(self, key)) is not None:
                return route, place
        return None


class DeadLetters(Section):
    """What becomes of messages that cannot be used."""

    default: DeadLetterDefault = DeadLetterDefault()
    """Where messages go unless their source says otherwise."""
    sources: Mapping[str, DeadLetterTarget] = Field(default_factory=dict)
    """Another place for messages of the sources named."""


class Backoff(Section):
    """The n-th retry comes up to `base` * 2^(n-1) after the failure, `cap` at most (full jitter)."""

    base: Positive = 2.0
    """The longest wait before the first new try; it doubles with each."""
    cap: Positive = 120.0
    """No wait is longer than this."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.cap < self.base:
            raise ValueError("cap is below base")
        return self


class Retry(Section):
    """Pushes are tried again until `max_age` after acceptance, or until their own time to live has passed."""

    max_age: Positive = 1_800.0
    """A push is given up when its event was accepted so long ago."""
    backoff: Backoff = Backoff()
    """How long to wait between tries."""


class Delivery(Section):
    """How pushes go out; `max_in_flight` bounds the single pushes under way for each hub and platform."""

    retry: Retry = Retry()
    """How long and how often a push is tried again."""
    max_in_flight: int = Field(default=2_000, ge=1)
    """Single pushes under way at once, for each hub and push service."""


TAKES_A_RESTART = (
    "bridge.store",
    "bridge.log",
    "listeners.admin.address",
    "listeners.admin.tls",
    "listeners.admin.connections",
    "listeners.probes",
    "listeners.intake",
    "listeners.hub_api",
    "delivery",
)
"""What a process keeps from its start to its end; a reload takes up everything else."""


class JournalSettings(Section):
    """What is kept of each event, so that `pushbridge why` can say what became of it."""

    off: bool = False
    """Keep nothing."""
    events: Positive = 7 * 86_400.0
    """How long outcome, rules and failed conditions of an event are kept, without any value of the event."""
    bodies: NotNegative = 86_400.0
    """How long the values of an event are kept; 0s keeps none, and conditions then show kinds and lengths alone."""
    max_bytes: Annotated[Size, Field(gt=0)] = 1024**3
    """How much all of it may have together; the oldest make place."""
    redact: tuple[Annotated[str, form(r"(data|meta)(\.[^.\[\]]+)*", "a path such as data.iban")], ...] = ()
    """Paths of values that are never kept, such as data.iban; kind and length stand in their place."""
    no_match_per_second: int = Field(default=50, ge=0)
    """How many events that no rule matched are kept of each source in a second; a topic may hold little else.
    Where values are redacted or not kept, the conditions of as many that a rule matched are kept too."""


class Sections(Section):
    """The sections of a configuration that pydantic reads; `rules` and `defaults` are compiled (`rules/loader.py`)."""

    version: Literal[1] = 1
    """The version of this language; there is one so far."""
    bridge: BridgeSettings = BridgeSettings()
    """The process: its name, database and log."""
    listeners: Listeners = Listeners()
    """Where the process listens: for operators, probes, events over HTTP, phones and back ends."""
    sources: Mapping[Name, SourceSettings] = Field(default_factory=dict)
    """Where events come from, each under a name that rules and metrics use."""
    hubs: Mapping[HubName, HubSettings] = Field(default_factory=dict)
    """The notification hubs, one for each mobile app, by name."""
    sinks: Mapping[Name, SinkSettings] = Field(default_factory=dict)
    """Where other systems are told what became of notifications, each under a name that rules and hubs use."""
    dead_letters: DeadLetters = DeadLetters()
    """What becomes of messages that cannot be used."""
    journal: JournalSettings = JournalSettings()
    """What is kept of each event, for the question why."""
    delivery: Delivery = Delivery()
    """How pushes go out."""


class Document(Sections):
    """Everything that a file may hold."""

    rules: tuple[Rule, ...] = ()
    """What is pushed, to whom, for which events; in order."""
    defaults: Defaults = Defaults()
    """What all rules have unless they say otherwise."""


class Settings(Sections):
    """A whole configuration, checked. `directory` is where its relative paths begin."""

    rules: RuleSet
    directory: Path

    @property
    def store_path(self) -> Path:
        """The database file, where the store is one."""
        return self.bridge.store.path(self.directory)

    @property
    def store_name(self) -> str:
        """What messages call the store: its file or its address."""
        return self.bridge.store.name(self.directory)

    def owner_of(self, source: str, rule: str = "") -> str:
        """Who answers for a rule, else for a source; empty where neither says so, or is configured any more."""
        owned = self.sources.get(source)
        return self.rules.owners.get(rule) or ("" if owned is None else owned.owner)


def default_hub(hubs: Mapping[str, HubSettings]) -> str | None:
    """The hub that rules push through unless they name one: the one marked as default, or the only one."""
    names = [name for name, hub in hubs.items() if hub.default] or list(hubs)
    return names[0] if len(names) == 1 else None
