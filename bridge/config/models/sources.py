"""`sources`: where events come from, by which connector, and how a message makes an event."""

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, Field, create_model, model_validator

from bridge.config.models.decode import Decode
from bridge.config.section import Section, form, one_of
from bridge.decode import DecodeSettings
from bridge.decode.base import FieldSettings
from bridge.decode.mapping import MAP_NAMES, EventMap
from bridge.decode.schema import JsonSchema
from connectors.connector import Connector
from connectors.duration import Duration
from connectors.table import CONNECTORS
from hub.rate import Rate
from rules.errors import ExpressionError
from rules.models import OWNER, OWNER_WORDS
from rules.render import Text, compile_text


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


if TYPE_CHECKING:

    class _ConnectorKeys(Section): ...

else:
    _ConnectorKeys = create_model(
        "_ConnectorKeys",
        __base__=Section,
        **{
            connector.key: (connector.settings | None, Field(default=None, description=connector.doc))
            for connector in CONNECTORS.values()
        },
    )


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
    """How many messages a second are taken, and how many at once; what is over it waits where it comes from. Daemons on one
    PostgreSQL share it."""
    sensitive: bool = False
    """No body or value of its messages is kept in dead letters and the journal, and what its events cause to be said is
    cleared at its end. Its dead letters cannot be replayed."""
    on_no_match: Literal["ack", "dead_letter"] = "ack"
    """What becomes of an event that no rule fits: it is settled, or kept as a dead letter, without its body where a rule of
    the source is sensitive."""
    expect_every: Annotated[Duration, Field(ge=60)] | None = None
    """A message has to come at least so often, such as 26h for a nightly batch: a source that is late is told."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if sum(getattr(self, key) is not None for key in CONNECTORS) != 1:
            raise ValueError(f"write one of {one_of(CONNECTORS)}")
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
