"""What aiokafka is given to connect by, and what its errors mean."""

import os
import ssl
from typing import Any

from aiokafka import errors
from aiokafka.conn import create_conn

from connectors.errors import AuthenticationError, NotConnectedError, SourceError
from connectors.kafka.settings import Brokers
from connectors.kafka.timing import Timing
from connectors.kafka.tokens import tokens_for
from connectors.logs import quieten

_REFUSED = (
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_IDLE = 180_000
"""Milliseconds without use after which a connection is closed: Event Hubs and load balancers do so after 240 s."""

quieten("aiokafka")


def client_options(name: str, settings: Brokers, timing: Timing) -> dict[str, Any]:
    """What a consumer and a producer have in common. Raises: NotConnectedError: a file of the TLS settings is gone."""
    security = settings.security
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.addresses),
        "client_id": f"pushbridge-{name}",
        "request_timeout_ms": int(timing.request * 1000),
        "connections_max_idle_ms": _IDLE,
        "metadata_max_age_ms": 60_000,  # a topic that grows is noticed within a minute
        "security_protocol": security.protocol,
    }
    if settings.has_tls:
        try:
            options["ssl_context"] = (
                ssl.create_default_context() if settings.tls is None else settings.tls.client_context()
            )
        except OSError as error:
            raise NotConnectedError(f"TLS: {error}") from error
    hubs = settings.event_hubs
    if hubs is not None:
        options["security_protocol"] = "SASL_SSL"
    if hubs is not None and hubs.connection_string is not None:
        secret = hubs.connection_string.get_secret_value()
        options |= {
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": "$ConnectionString",
            "sasl_plain_password": secret,
        }
    elif (tokens := tokens_for(settings, timing.request)) is not None:
        options |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens}
    elif security.mechanism is not None:
        assert security.password is not None  # checked as the settings were read
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value(),
        }
    return options


def translated(error: BaseException, what: str) -> SourceError:
    """Our words for what aiokafka raises, as an error to raise `from` it."""
    if isinstance(error, SourceError):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return AuthenticationError(f"{what}: a topic may not be read: {_named(error)}: allow Read on the topic")
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return AuthenticationError(f"{what}: the group may not be used: {_named(error)}: allow Read on the group")
    if isinstance(error, _REFUSED):
        return AuthenticationError(f"{what}: refused: {text}")
    return NotConnectedError(f"{what}: {text}")


def _named(error: BaseException) -> str:
    """What an error of rights is about: aiokafka gives its names as a set or a text."""
    given = error.args[0] if error.args else ""
    names = sorted(map(str, given)) if isinstance(given, set | frozenset | list | tuple) else [str(given)]
    return ", ".join(names) or type(error).__name__


async def cause_of_no_connection(name: str, options: dict[str, Any]) -> SourceError:
    """Why no broker of those that were named can be used: aiokafka only says that none can."""
    if (tokens := options.get("sasl_oauth_token_provider")) is not None and tokens.trouble is not None:
        return translated(tokens.trouble, name)
    passed = ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password", "sasl_oauth_token_provider")
    causes = []
    for address in options["bootstrap_servers"]:
        host, _, port = address.rpartition(":")
        try:
            connection = await create_conn(
                host.strip("[]"),
                int(port),
                client_id=options["client_id"],
                request_timeout_ms=options["request_timeout_ms"],
                security_protocol=options["security_protocol"],
                ssl_context=options.get("ssl_context"),
                **{key: options[key] for key in passed if key in options},
            )
        except _REFUSED as error:
            return translated(error, f"{name}: {address}")
        except (OSError, errors.KafkaError, TimeoutError) as error:
            causes.append(f"{address}: {_shown(error)}")
        else:
            connection.close()
            causes.append(f"{address}: connected, and got no answer")
    return NotConnectedError(f"{name}: {'; '.join(causes)}")


def _shown(error: BaseException) -> str:
    """The cause without aiokafka's words around it, which hold the whole of its settings."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError):
        error = cause
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)  # asyncio writes the address into the error's own words
    return str(error) or type(error).__name__
