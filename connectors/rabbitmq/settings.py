"""What a configuration says about RabbitMQ: where it is, which queue, how much at a time."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from connectors.auth import one_or_more
from connectors.duration import Duration
from hub.egress import EgressDefaults, trusting
from hub.tls import Tls


def _checked_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise ValueError("not an AMQP URL; write amqp://USER:PASSWORD@HOST:5672/VHOST, or amqps:// for TLS")
    # what is wrong there may be the rest of a password, so it is not shown
    if not _has_port(parts) or parts.fragment:
        raise ValueError(
            "HOST is not followed by a port; / ? # @ : in a name or password are written %2F %3F %23 %40 %3A"
        )
    if "/" in parts.path.removeprefix("/"):
        raise ValueError("after HOST comes one virtual host; a / in its name is written %2F")
    _check_query(parts)
    return url


def _has_port(parts: SplitResult) -> bool:
    """Whether the port can be one, or none is given."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _check_query(parts: SplitResult) -> None:
    """Raises: ValueError for what pika does not know behind the question mark."""
    if parts.query:
        from pika import URLParameters  # as rarely used as it is costly to import

        try:
            URLParameters(f"{parts.scheme}://localhost/?{parts.query}")
        except OSError:
            pass  # a file that is named may come later
        except Exception as error:  # it reads values as Python does, with all that may come of it
            raise ValueError(f"behind ?: {error}") from None


Url = Annotated[SecretStr, AfterValidator(_checked_url)]
"""An AMQP URI; as it holds a password, it is never shown. `%2F` is the virtual host `/`."""

Urls = Annotated[tuple[Url, ...], BeforeValidator(one_or_more), Field(min_length=1)]
"""One, or the nodes of a cluster."""

Name = Annotated[str, Field(min_length=1, max_length=127)]
"""A queue or exchange; the wire allows 255 bytes, and the dead-letter queue's name is longer."""


_CREDIT = 500
"""Messages handed out and not yet settled, unless the settings say how many."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


class NewQueue(_Settings):
    """How a missing queue is created; an existing one is compared with this and never altered.

    `delivery_limit` is how often a quorum queue hands a message out before it dead-letters it.
    """

    type: Literal["quorum", "classic"] = "quorum"
    """A replicated queue, or one on a single node."""
    durable: bool = True
    """It survives a restart of the broker."""
    delivery_limit: int = Field(default=20, ge=1)
    """How often a message is handed out before the broker dead-letters it."""

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        if self.type == "quorum" and not self.durable:
            raise ValueError("a quorum queue is always durable; say type: classic for one that is not")
        if self.type == "classic" and "delivery_limit" in self.model_fields_set:
            raise ValueError("a classic queue has no delivery_limit; say type: quorum")
        return self


class Queue(_Settings):
    """The queue to consume from. Without `create_if_missing` it has to exist and is taken as it is."""

    name: Name
    """The queue to consume from."""
    create_if_missing: NewQueue | None = None
    """How to declare it where it does not exist; {} is all defaults."""


class NewExchange(_Settings):
    """How a missing exchange is created, with the type of its binding; an existing one is never altered."""

    durable: bool = True
    """It survives a restart of the broker."""


class Binding(_Settings):
    """An exchange that feeds the queue; `key` is the routing key or pattern.

    Without `create_if_missing` the exchange has to exist: a misspelt one is an error, and not a new exchange.
    """

    exchange: Name
    """The exchange whose messages come to the queue."""
    type: Literal["direct", "fanout", "topic", "headers"] = "topic"
    """How the exchange chooses its queues."""
    key: str = Field(default="", max_length=127)
    """The routing key, or a pattern of it with * and #."""
    create_if_missing: NewExchange | None = None
    """How to declare the exchange where it does not exist."""


class Consumption(_Settings):
    """How much is taken at a time, and when a silent connection counts as dead.

    `prefetch` is the broker's word for the messages that it hands out ahead, `max_in_flight` bounds those of them that
    are on their way to the store. Each is as the other one unless both are set. A peer that is silent is gone within twice
    the `heartbeat` (rounded to whole seconds) and ten seconds. `blocked_timeout` bounds how long a broker may block us
    for an alarm of its own.
    """

    max_in_flight: int | None = Field(default=None, ge=1, le=65535)
    """Messages on their way to the store, taken and not yet settled, at most; as many as prefetch unless set."""
    prefetch: int | None = Field(default=None, ge=1, le=65535)
    """Messages that the broker hands out ahead; as many as max_in_flight unless set, and 500 where neither is."""
    heartbeat: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    """A connection that is silent for twice this is dead."""
    blocked_timeout: Annotated[Duration, Field(gt=0)] = 120.0
    """How long the broker may block publishing for an alarm of its own."""

    @property
    def credit(self) -> int:
        """Messages that the broker may have handed out and not seen settled."""
        return self.prefetch or self.max_in_flight or _CREDIT

    @property
    def slots(self) -> int:
        """Messages that may be taken and not yet settled; more than the broker hands out there never are."""
        return min(self.max_in_flight or self.credit, self.credit)


class _Broker(_Settings):
    url: Urls
    """Where the broker is, with user, password and virtual host; of a list, the first that answers is taken."""
    tls: Tls | None = None
    """Certificates to trust and to show, for amqps:// alone."""

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for parts in self._parts:
            if self.tls is not None and parts.scheme != "amqps":
                raise ValueError("tls is for an amqps:// url")
            if self.tls is not None and "ssl_options" in parts.query:
                raise ValueError("write either tls or the ssl_options of url")
        return self

    @property
    def addresses(self) -> Sequence[str]:
        """The URLs, passwords included, in the order in which they are tried."""
        return [url.get_secret_value() for url in self.url]

    @property
    def _parts(self) -> Sequence[SplitResult]:
        return [urlsplit(address) for address in self.addresses]

    @property
    def host(self) -> str:
        """The first broker's."""
        return self._parts[0].hostname or ""

    def behind(self, default: EgressDefaults) -> Self:
        """The same with the certificates that all trust, unless it says itself whom it trusts, or has no TLS."""
        if any(parts.scheme != "amqps" or "ssl_options" in parts.query for parts in self._parts):
            return self
        return self.model_copy(update={"tls": trusting(self.tls, default.ca_file)})


class RabbitMqSettings(_Broker):
    """A RabbitMQ queue as a source of messages."""

    queue: Queue
    """What is consumed."""
    bind: tuple[Binding, ...] = ()
    """Exchanges that feed it."""
    receive: Consumption = Consumption()
    """How much is taken at a time, and when a peer counts as gone."""


class DeadLetterExchange(_Settings):
    """An exchange of the source's own broker, and the routing key."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    exchange: str = Field(max_length=127)
    """Where the source's broker is to publish them; empty for the default exchange."""
    key: str = Field(max_length=127)
    """The routing key that they get."""


class SinkExchange(_Broker):
    """An exchange that reports are published to."""

    exchange: str = Field(default="", max_length=127)
    """Where they are published; empty for the default exchange, whose routing keys are names of queues."""
    key: str = Field(max_length=127)
    """The routing key that they get."""


class RabbitMqPublisherSettings(_Broker):
    """A RabbitMQ exchange to publish to; the default exchange routes by queue name. `confirm_timeout` is per call."""

    exchange: str = Field(default="", max_length=127)
    confirm_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    heartbeat: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    blocked_timeout: Annotated[Duration, Field(gt=0)] = 120.0
