"""What a configuration says about Kafka: where it is, which topics and group, how much at a time."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.duration import Duration
from hub.egress import EgressDefaults, trusting
from hub.tls import Tls


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


def _checked_address(address: str) -> str:
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^/\s:\[\]]+):\d{1,5}", address):
        raise ValueError("not an address; write HOST:PORT")
    return address


def _checked_connection_string(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if "sharedaccesssignature" in text.lower():
        raise ValueError(
            "Event Hubs takes no SAS token over Kafka; write the connection string of a policy with its "
            "SharedAccessKey, or namespace and credential: managed_identity"
        )
    if not re.match(r"(?i)Endpoint=sb://[^/\s;]+/?;", text) or "sharedaccesskey=" not in text.lower():
        raise ValueError(
            "not an Event Hubs connection string; write "
            "Endpoint=sb://NAME.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY"
        )
    return value


Address = Annotated[str, AfterValidator(_checked_address)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class OAuth(_Settings):
    """Client credentials (RFC 6749, section 4.4), with which tokens for OAUTHBEARER are asked for."""

    token_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    """Where tokens are asked for."""
    client_id: Name
    """Who asks."""
    client_secret: Secret
    """What the authority checks client_id by; better read from a file."""
    scope: str = ""
    """What the token is to be good for, if the authority wants to know."""


class Security(_Settings):
    """How the connection is protected, and who we are."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As the broker's listener has it: SSL for TLS, SASL for a name and a password, or a token."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How SASL says who we are."""
    username: Name | None = None
    """Who we are, for PLAIN and SCRAM."""
    password: Secret | None = None
    """What the broker checks us by, for PLAIN and SCRAM; better read from a file."""
    oauth: OAuth | None = None
    """Where the tokens of OAUTHBEARER come from."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_sasl = self.protocol.startswith("SASL")
        if has_sasl != (self.mechanism is not None):
            raise ValueError("mechanism and one of the protocols SASL_SSL and SASL_PLAINTEXT go together")
        has_password = self.mechanism not in (None, "OAUTHBEARER")
        if has_password != (self.username is not None) or has_password != (self.password is not None):
            raise ValueError("username and password go with the mechanisms PLAIN and SCRAM")
        if (self.mechanism == "OAUTHBEARER") != (self.oauth is not None):
            raise ValueError("oauth goes with the mechanism OAUTHBEARER")
        return self

    @property
    def has_tls(self) -> bool:
        return self.protocol.endswith("SSL")


class EventHubs(_Settings):
    """A namespace of Azure Event Hubs, by its Kafka endpoint: addresses, TLS and SASL follow from it.

    Either a connection string, or the namespace with a credential. The tier Basic has no Kafka endpoint.
    """

    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")] | None = None
    """NAME, or NAME.servicebus.windows.net, where no connection string is given."""
    connection_string: Annotated[Secret, AfterValidator(_checked_connection_string)] | None = None
    """Namespace, policy and secret in one text, as the portal shows it. A policy with the right Listen is enough."""
    credential: Literal["managed_identity"] | None = None
    """The machine's identity, with the role Azure Event Hubs Data Receiver."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.connection_string is None) == (self.credential is None):
            raise ValueError("write either connection_string, or namespace and credential: managed_identity")
        if self.credential is not None and self.namespace is None:
            raise ValueError("credential wants the namespace too")
        return self

    @property
    def host(self) -> str:
        if self.namespace is not None:
            return self.namespace if "." in self.namespace else f"{self.namespace}.servicebus.windows.net"
        assert self.connection_string is not None
        return re.split(r"[/;:]", self.connection_string.get_secret_value().split("://", 1)[1])[0]


class Reception(_Settings):
    """How much is taken at a time, and when the group counts a process as gone."""

    max_in_flight: int = Field(default=1000, ge=1, le=100_000)
    """Messages that were read and are not yet settled, at most. A source that holds as many reads no more."""
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Whether messages of transactions that are open, or were aborted, are left out."""
    session_timeout: Annotated[Duration, Field(ge=1, le=1800)] = 45.0
    """A process that is silent for so long has left the group, and its partitions go to others."""
    drain_on_revoke: Annotated[Duration, Field(ge=0, le=300)] = 20.0
    """How long a rebalance waits for what is under way. What is not settled by then comes again."""


class Brokers(_Settings):
    """Where brokers of Kafka are, and who we are."""

    bootstrap: tuple[Address, ...] = ()
    """HOST:PORT of some of the brokers; the others are found through them."""
    event_hubs: EventHubs | None = None
    """A namespace of Azure Event Hubs in place of bootstrap and security."""
    security: Security = Security()
    """How the connection is protected, and who we are."""
    tls: Tls | None = None
    """Certificates to trust and to show, for the protocols SSL and SASL_SSL alone."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.bootstrap) == (self.event_hubs is not None):
            raise ValueError("write either bootstrap or event_hubs")
        if self.event_hubs is not None and "security" in self.model_fields_set:
            raise ValueError("event_hubs says already who we are; leave out security")
        if self.tls is not None and not self.has_tls:
            raise ValueError("tls is for the protocols SSL and SASL_SSL")
        return self

    @property
    def has_tls(self) -> bool:
        return self.event_hubs is not None or self.security.has_tls

    @property
    def addresses(self) -> tuple[str, ...]:
        """HOST:PORT of the brokers to begin with."""
        return self.bootstrap if self.event_hubs is None else (f"{self.event_hubs.host}:9093",)

    @property
    def host(self) -> str:
        """The first broker's."""
        return self.addresses[0].rpartition(":")[0].strip("[]")

    def behind(self, default: EgressDefaults) -> Self:
        """The same with the certificates that all trust, unless it says itself whom it trusts, or has no TLS."""
        if not self.has_tls:
            return self
        return self.model_copy(update={"tls": trusting(self.tls, default.ca_file)})


class KafkaSettings(Brokers):
    """Topics of Kafka as a source of messages, read as a consumer group."""

    topics: Annotated[tuple[Topic, ...], Field(min_length=1)]
    """What is read."""
    group: Name = "pushbridge"
    """The consumer group: its processes share the partitions, and how far it has read is kept by this name."""
    group_instance_id: Name | None = None
    """A name that this process keeps over restarts; only where each process has one of its own, as in a StatefulSet."""
    start: Literal["latest", "earliest"] = "latest"
    """Where a group begins that has read nothing: behind the last message, or with the first one that is kept."""
    tombstones: Literal["event", "skip"] = "event"
    """A message without a value is an event whose data is null and whose meta.tombstone is true, or is passed over."""
    receive: Reception = Reception()
    """How much is taken at a time."""


class SinkTopic(Brokers):
    """A topic that reports are published to."""

    topic: Topic
    """Where they are published; it has to exist."""


class DeadLetterTopic(_Settings):
    """A topic of the source's own brokers."""

    topic: Topic
    """Where the source's brokers are to keep them; it has to exist."""
