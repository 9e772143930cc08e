"""What a configuration may say about Kafka, and the cures of what it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.kafka import KafkaSettings

POLICY = "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=only-for-tests"
PLAIN = {"bootstrap": ["k1:9092"], "topics": ["orders"]}
SCRAM = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "username": "bridge", "password": "x"}


def settings(**changes: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(PLAIN | changes)


def hubs(**keys: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"event_hubs": keys, "topics": ["alerts"]})


def test_the_defaults_keep_open_transactions_out_and_give_a_busy_process_time() -> None:
    receive = settings().receive
    assert (receive.isolation, receive.session_timeout) == ("read_committed", 45.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"connection_string": POLICY},
        {"namespace": "acme", "credential": "managed_identity"},
        {"namespace": "acme.servicebus.windows.net", "credential": "managed_identity"},
    ],
)
def test_event_hubs_needs_no_more_than_the_namespace_and_who_we_are(keys: dict[str, str]) -> None:
    given = hubs(**keys)
    assert given.addresses == ("acme.servicebus.windows.net:9093",)
    assert given.has_tls


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ({"bootstrap": ["k1"]}, "write HOST:PORT"),
        ({"bootstrap": []}, "write either bootstrap or event_hubs"),
        ({"event_hubs": {"connection_string": POLICY}}, "write either bootstrap or event_hubs"),
        ({"topics": []}, "at least 1"),
        ({"topics": ["a/b"]}, "pattern"),
        ({"tls": {}}, "SSL and SASL_SSL"),
        ({"security": {"protocol": "SASL_SSL"}}, "go together"),
        ({"security": {"mechanism": "PLAIN", "username": "a", "password": "b"}}, "go together"),
        ({"security": {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "a"}}, "username and password"),
        ({"security": SCRAM | {"oauth": {}}}, "token_url"),
        ({"security": {"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER"}}, "oauth goes with"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(given: dict[str, Any], cure: str) -> None:
    with pytest.raises(ValidationError, match=cure):
        settings(**given)


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        (
            {"connection_string": "SharedAccessSignature sr=acme&sig=s3cret"},
            "no SAS token.*connection string of a policy",
        ),
        (
            {"connection_string": "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessSignature=s3cret"},
            "no SAS token.*credential: managed_identity",
        ),
        ({"connection_string": "s3cret"}, "Endpoint=sb://NAME"),
        ({"namespace": "acme"}, "connection_string, or namespace and credential"),
        ({"credential": "managed_identity"}, "namespace too"),
    ],
)
def test_event_hubs_refuses_what_cannot_work_with_the_cure(keys: dict[str, str], cure: str) -> None:
    with pytest.raises(ValidationError, match=cure) as refused:
        hubs(**keys)
    assert "s3cret" not in str(refused.value)


def test_a_password_is_never_shown() -> None:
    assert "'x'" not in repr(settings(security=SCRAM))
    assert "only-for-tests" not in repr(hubs(connection_string=POLICY))
