"""What a configuration says about Service Bus: where it is, which entity, how much at a time."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.duration import Duration
from hub.egress import Egress, EgressDefaults


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


def parts_of(connection_string: SecretStr) -> Mapping[str, str]:
    """What a connection string says, by names in lower case; as with the SDK, their case means nothing."""
    text = connection_string.get_secret_value().strip().rstrip(";")
    parts = [part.partition("=")[::2] for part in text.split(";")]
    return {name.lower(): value for name, value in parts}


def _checked_connection_string(value: SecretStr) -> SecretStr:
    parts = parts_of(value)
    given = {name for name, text in parts.items() if text}
    signs = ({"sharedaccesskeyname", "sharedaccesskey"} <= given) ^ ("sharedaccesssignature" in given)
    if given != parts.keys() or not signs or not re.match(r"[a-z]+://[^/\s]", parts.get("endpoint", "")):
        raise ValueError(
            "not a Service Bus connection string; write "
            "Endpoint=sb://NAME.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY"
        )
    return value


def _checked_administration(url: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+/?", url):
        raise ValueError("not the address of an administration interface; write http://HOST:5300, or https://HOST")
    return url.rstrip("/")


def _checked_endpoint(address: str) -> str:
    if not re.fullmatch(r"(sb://)?[^/\s:]+:\d{1,5}/?", address):
        raise ValueError("not an address; write HOST:PORT")
    return address


Secret = Annotated[SecretStr, Field(min_length=1)]
EntityName = Annotated[str, Field(min_length=1, max_length=260)]
"""A queue or topic; `/` in it is allowed."""
ShortName = Annotated[str, Field(min_length=1, max_length=50)]
"""A subscription or rule."""


class Credential(_Settings):
    """An identity in Entra ID that has the role Azure Service Bus Data Receiver; creating takes Data Owner.

    It is the machine's managed identity, the one with `client_id` if there are several, or an app registration. The
    text `managed_identity` stands for the first.
    """

    managed_identity: bool = False
    """The identity of the machine is used."""
    tenant: Annotated[str, Field(min_length=1)] | None = None
    """The directory of an app registration."""
    client_id: Annotated[str, Field(min_length=1)] | None = None
    """The app registration, or which of several identities."""
    client_secret: Secret | None = None
    """The password of the app registration."""

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: object) -> object:
        return {"managed_identity": True} if value == "managed_identity" else value

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        app = (self.tenant, self.client_id, self.client_secret)
        if self.managed_identity:
            if self.tenant is not None or self.client_secret is not None:
                raise ValueError("a managed identity has no tenant and no client_secret")
        elif None in app:
            raise ValueError("write managed_identity, or tenant, client_id and client_secret")
        return self


class Sas(_Settings):
    """A shared access policy; the right Listen is enough to receive, creating what is missing needs Manage."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """The shared access policy."""
    key: Secret
    """Its primary or secondary secret."""


class Connection(_Settings, Egress):
    """The namespace and who we are: a connection string, or `namespace` with a `credential` or a `sas` policy.

    `endpoint` is dialled, by AMQP in TLS, instead of the namespace at port 5671: a gateway, or a stand-in. Topology is
    administered at `administration` instead of the namespace; for `UseDevelopmentEmulator=true` that is the port of the
    endpoint or 5300, whichever answers. Through a proxy, and with `transport: websockets`, AMQP goes over a web socket, to
    port 443 or that of `endpoint`. `transport: amqp` goes past a proxy of `bridge.egress`.
    An emulator has no TLS and is reached without a proxy, as is the machine's service for managed identities.
    """

    connection_string: Annotated[Secret, AfterValidator(_checked_connection_string)] | None = None
    """Namespace, policy and secret in one text, as the portal shows it."""
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    """The host, where no connection string is given."""
    credential: Credential | None = None
    """An identity of Entra ID with the role Azure Service Bus Data Receiver."""
    sas: Sas | None = None
    """A policy and its secret."""
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] | None = None
    """HOST:PORT to dial in place of the namespace, such as a gateway."""
    administration: Annotated[str, AfterValidator(_checked_administration)] | None = None
    """Where entities are created, if not at the namespace."""
    transport: Literal["amqp", "websockets"] | None = None
    """`websockets` carries AMQP over port 443, where 5671 is shut; without it only a proxy has it so."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.connection_string is None) == (self.namespace is None):
            raise ValueError("write either connection_string or namespace")
        if self.connection_string is not None and (self.credential is not None or self.sas is not None):
            raise ValueError("a connection_string says already who we are; leave out credential and sas")
        if self.namespace is not None and (self.credential is None) == (self.sas is None):
            raise ValueError("with namespace, write either credential or sas")
        if self.transport == "websockets" and self.is_emulated:
            raise ValueError("transport: an emulator speaks over no web socket; leave it out")
        if self.transport == "amqp" and "proxy" in self.model_fields_set and self.proxy_for(self.host) is not None:
            raise ValueError("transport: a proxy takes AMQP over web sockets only; write websockets or leave it out")
        return self

    @property
    def host(self) -> str:
        """The host that messages come from."""
        if self.endpoint is not None:
            return urlsplit(f"//{self.endpoint.removeprefix('sb://')}").hostname or ""
        if self.connection_string is not None:
            return urlsplit(parts_of(self.connection_string)["endpoint"]).hostname or ""
        assert self.namespace is not None  # one of them is there
        return self.namespace

    @property
    def is_emulated(self) -> bool:
        """Whether there is an emulator at the other end, which speaks AMQP without TLS and over no web socket."""
        if self.connection_string is None:
            return False
        return parts_of(self.connection_string).get("usedevelopmentemulator") == "true"


class Correlation(_Settings):
    """Equality with every property given; `properties` are the application's. The cheapest kind of filter."""

    correlation_id: str | None = None
    """Equal to the id that ties messages together."""
    message_id: str | None = None
    """Equal to what the sender calls the message."""
    to: str | None = None
    """Equal to the address it is meant for."""
    reply_to: str | None = None
    """Equal to where answers go."""
    subject: str | None = None
    """Equal to the label."""
    session_id: str | None = None
    """Equal to the session it belongs to."""
    reply_to_session_id: str | None = None
    """Equal to the session of answers."""
    content_type: str | None = None
    """Equal to the media type of the body."""
    properties: Mapping[str, bool | int | float | str] = Field(default_factory=dict)
    """Equal to these properties of the application."""

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("a filter without a condition; leave it out to receive everything")
        return self


class Filter(_Settings):
    """Which messages of the topic are wanted: `correlation`, or the text of a `sql` filter, which the broker checks."""

    correlation: Correlation | None = None
    """Equality with properties, the cheapest kind."""
    sql: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A condition in the broker's SQL dialect."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.correlation is None) == (self.sql is None):
            raise ValueError("write either correlation or sql")
        return self


class _NewEntity(_Settings):
    lock_duration: Annotated[Duration, Field(ge=1, le=300)] = 60.0
    """How long a message is ours before the broker hands it out again."""
    max_delivery_count: int = Field(default=10, ge=1, le=2000)
    """How often it is handed out before it is dead-lettered."""
    dead_letter_on_expiry: bool = False
    """What outlives its time is dead-lettered, not dropped."""
    requires_session: bool = False
    """Every message belongs to a session, and those of one come in order."""


class NewQueue(_NewEntity):
    """How a missing queue is created; an existing one is compared with this and never altered."""


class NewSubscription(_NewEntity):
    """How a missing subscription is created; an existing one is compared with this and never altered.

    A message comes when `filter` or any of the `rules` lets it through; without either, all come.
    """

    filter: Filter | None = None
    """The one condition that messages have to meet."""
    rules: Mapping[ShortName, Filter] = Field(default_factory=dict)
    """Conditions by name; one of them is enough."""


class Queue(_Settings):
    """The queue to receive from. Without `create_if_missing` it has to exist and is taken as it is."""

    name: EntityName
    """The queue to receive from."""
    create_if_missing: NewQueue | None = None
    """How to make it where it does not exist; {} is all defaults."""


class NewTopic(_Settings):
    """A missing topic is created with Azure's defaults."""


class Topic(_Settings):
    """The topic of the subscription. Without `create_if_missing` it has to exist.

    A text is its name alone: such a topic is created with a subscription that says `create_if_missing`.
    """

    name: EntityName
    """What the subscription is of."""
    create_if_missing: NewTopic | None = None
    """Make it with Azure's defaults where it does not exist."""

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class Subscription(_Settings):
    """The subscription to receive from. Without `create_if_missing` it has to exist and is taken as it is."""

    name: ShortName
    """Which subscription of the topic to receive from."""
    create_if_missing: NewSubscription | None = None
    """How to make it where it does not exist."""


class LockRenewal(_Settings):
    """Locks of what is taken to the store are renewed for `max` after receipt; then the work is given up."""

    max: Annotated[Duration, Field(gt=0)] = 600.0
    """Locks are renewed for so long after receipt, then the work is given up."""


class Sessions(_Settings):
    """Up to `max_in_flight` sessions are received from at a time; one without messages for `idle` makes place."""

    max_in_flight: int = Field(default=8, ge=1, le=500)
    """Sessions that are received from at a time."""
    idle: Annotated[Duration, Field(ge=1)] = 5.0
    """One that brings nothing for so long makes place for another."""


class Reception(_Settings):
    """How much is taken at a time.

    `max_in_flight` is the credit: the most messages locked and not settled. `prefetch` asks for more than there is room
    for: their locks run while they wait here unrenewed, so leave it at 0. `max_wait` is how long one request for
    messages, or for a session, is left standing.
    """

    max_in_flight: int = Field(default=500, ge=1, le=5000)
    """Messages locked and not yet settled, at most."""
    prefetch: int = Field(default=0, ge=0, le=5000)
    """Messages fetched ahead; their locks run while they wait here."""
    max_wait: Annotated[Duration, Field(ge=1, le=60)] = 30.0
    """How long one request for messages is left standing."""
    lock_renewal: LockRenewal = LockRenewal()
    """How long messages are kept locked."""
    sessions: Sessions | None = None
    """How sessions are received; only for entities that require them."""

    @model_validator(mode="after")
    def _check_prefetch(self) -> Self:
        if self.sessions is not None and self.prefetch:
            raise ValueError("sessions do not prefetch; leave out prefetch")
        return self


class ServiceBusSettings(_Settings):
    """A queue or subscription, or its dead-letter queue, as a source of messages."""

    connection: Connection
    """Where the namespace is, and who we are."""
    queue: Queue | None = None
    """The entity, unless it is a subscription."""
    topic: Topic | None = None
    """The topic, with its subscription beside it."""
    subscription: Subscription | None = None
    """Which of the topic's subscriptions."""
    dead_letter: bool = False
    """Its dead-letter queue is read instead."""
    receive: Reception = Reception()
    """How much is taken at a time."""

    @model_validator(mode="before")
    @classmethod
    def _create_topic_with_subscription(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("topic"), str):
            return value
        subscription = value.get("subscription")
        if not isinstance(subscription, dict) or subscription.get("create_if_missing") is None:
            return value
        return {**value, "topic": {"name": value["topic"], "create_if_missing": {}}}

    @model_validator(mode="after")
    def _check_entity(self) -> Self:
        if (self.queue is None) == (self.topic is None):
            raise ValueError("write either queue, or topic and subscription")
        if (self.topic is None) != (self.subscription is None):
            raise ValueError("topic and subscription go together")
        sessions, new = self.receive.sessions, self.create_if_missing
        if self.topic is not None and self.topic.create_if_missing is not None and new is None:
            raise ValueError("a new topic has no subscriptions; say create_if_missing at subscription too")
        if self.dead_letter and sessions is not None:
            raise ValueError("a dead-letter queue has no sessions; leave out receive.sessions")
        if new is not None and not self.dead_letter and new.requires_session != (sessions is not None):
            raise ValueError("create_if_missing.requires_session: true and receive.sessions go together")
        only = None if self.connection.connection_string is None else parts_of(self.connection.connection_string)
        entity = (self.topic or self.queue).name  # type: ignore[union-attr]  # one of them is there
        if only is not None and only.get("entitypath", entity) != entity:
            raise ValueError(f"the connection_string is for {only['entitypath']!r} only, by its EntityPath")
        return self

    @property
    def create_if_missing(self) -> NewQueue | NewSubscription | None:
        """How the queue or subscription is to be created."""
        if self.queue is not None:
            return self.queue.create_if_missing
        assert self.subscription is not None
        return self.subscription.create_if_missing

    @property
    def path(self) -> str:
        """The entity as its users call it."""
        if self.queue is not None:
            path = f"queue {self.queue.name!r}"
        else:
            assert self.topic is not None
            assert self.subscription is not None
            path = f"subscription {self.subscription.name!r} of topic {self.topic.name!r}"
        return f"dead-letter queue of {path}" if self.dead_letter else path


class SinkEntity(_Settings):
    """A queue or topic that reports are published to; the right Send is enough."""

    connection: Connection
    """Where the namespace is, and who we are."""
    queue: EntityName | None = None
    """Where they are sent, unless to a topic."""
    topic: EntityName | None = None
    """Where they are sent, for several readers."""

    @model_validator(mode="after")
    def _check_entity(self) -> Self:
        if (self.queue is None) == (self.topic is None):
            raise ValueError("write either queue or topic")
        return self

    def behind(self, default: EgressDefaults) -> Self:
        """The same with what `bridge.egress` says of proxy and certificates, where it says nothing of it."""
        return self.model_copy(update={"connection": self.connection.behind(default)})
