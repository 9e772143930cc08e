"""What can be said about a Service Bus source, and what is refused with a reason."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.servicebus import ServiceBusSettings

CONNECTION_STRING = "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=bridge;SharedAccessKey=canary="
BY_STRING = {"connection_string": CONNECTION_STRING}
NAMESPACE = {"namespace": "acme.servicebus.windows.net"}
APP = {"tenant": "t", "client_id": "c", "client_secret": "canary"}


def settings(**changes: Any) -> ServiceBusSettings:
    whole = {"connection": BY_STRING, "topic": "postings", "subscription": {"name": "push"}} | changes
    return ServiceBusSettings.model_validate({key: value for key, value in whole.items() if value is not None})


def test_a_topic_and_a_subscription_are_enough_and_hold_nothing_back() -> None:
    read = settings()
    assert read.path == "subscription 'push' of topic 'postings'"
    assert (read.receive.prefetch, read.receive.max_in_flight, read.receive.lock_renewal.max) == (0, 500, 600.0)
    assert read.create_if_missing is None


def test_a_dead_letter_queue_is_a_source_like_another() -> None:
    queue = settings(topic=None, subscription=None, queue={"name": "orders"}, dead_letter=True)
    assert queue.path == "dead-letter queue of queue 'orders'"


@pytest.mark.parametrize(
    "connection",
    [
        BY_STRING,
        {"connection_string": "Endpoint=sb://x;SharedAccessSignature=SharedAccessSignature sr=x&sig=y&se=1;"},
        {"connection_string": CONNECTION_STRING + ";EntityPath=postings;\n"},
        NAMESPACE | {"credential": "managed_identity"},
        NAMESPACE | {"credential": {"managed_identity": True, "client_id": "c"}},
        NAMESPACE | {"credential": APP},
        NAMESPACE | {"sas": {"name": "bridge", "key": "canary"}},
        BY_STRING | {"endpoint": "gateway:5671", "administration": "http://127.0.0.1:5300/"},
    ],
)
def test_there_are_several_ways_to_say_who_we_are(connection: dict[str, Any]) -> None:
    read = settings(connection=connection)
    assert "canary" not in repr(read)


NEW = {"name": "push", "create_if_missing": {}}
SESSIONS: dict[str, Any] = {"sessions": {}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"connection": {}}, "either connection_string or namespace"),
        ({"connection": BY_STRING | NAMESPACE}, "either connection_string or namespace"),
        ({"connection": BY_STRING | {"credential": "managed_identity"}}, "says already who we are"),
        ({"connection": NAMESPACE}, "either credential or sas"),
        ({"connection": NAMESPACE | {"credential": APP, "sas": {"name": "n", "key": "k"}}}, "either credential or sas"),
        ({"connection": NAMESPACE | {"credential": {"tenant": "t"}}}, "write managed_identity, or tenant"),
        ({"connection": NAMESPACE | {"credential": APP | {"managed_identity": True}}}, "has no tenant"),
        ({"connection": {"connection_string": "Endpoint=sb://x"}}, "not a Service Bus connection string"),
        ({"connection": {"connection_string": "amqps://x"}}, "not a Service Bus connection string"),
        ({"connection": {"connection_string": CONNECTION_STRING + ";;x"}}, "not a Service Bus connection string"),
        ({"connection": {"connection_string": CONNECTION_STRING.replace("sb://", "")}}, "not a Service Bus connection"),
        ({"connection": {"connection_string": CONNECTION_STRING + ";EntityPath=orders"}}, "for 'orders' only"),
        ({"connection": BY_STRING | {"administration": "5300"}}, "not the address of an administration interface"),
        ({"connection": BY_STRING | {"endpoint": "https://gateway"}}, "not an address"),
        ({"connection": BY_STRING | {"tls": {"ca_file": Path("nowhere.pem")}}}, "there is no file"),
        ({"queue": {"name": "orders"}}, "either queue, or topic and subscription"),
        ({"topic": None, "subscription": None}, "either queue, or topic and subscription"),
        ({"subscription": None}, "go together"),
        ({"dead_letter": True, "receive": SESSIONS}, "a dead-letter queue has no sessions"),
        ({"subscription": NEW, "receive": SESSIONS}, "requires_session: true and receive.sessions go together"),
        ({"subscription": NEW | {"create_if_missing": {"requires_session": True}}}, "go together"),
        ({"subscription": NEW | {"create_if_missing": {"filter": {}}}}, "either correlation or sql"),
        ({"subscription": NEW | {"create_if_missing": {"filter": {"correlation": {}}}}}, "without a condition"),
        ({"subscription": NEW | {"create_if_missing": {"lock_duration": "6m"}}}, "less than or equal to 300"),
        ({"receive": SESSIONS | {"prefetch": 5}}, "sessions do not prefetch"),
        ({"receive": {"max_in_flight": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as refused:
        settings(**changes)
    assert "canary" not in str(refused.value)
