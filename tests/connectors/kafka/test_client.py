"""What aiokafka is told of who we are: users fail on `$ConnectionString` and on tokens of Event Hubs."""

import asyncio
import ssl
import sys
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from connectors.errors import AuthenticationError, NotConnectedError
from connectors.kafka.client import client_options
from connectors.kafka.settings import Brokers
from connectors.kafka.timing import Timing
from connectors.kafka.tokens import Tokens, tokens_for
from tests.connectors.kafka.test_settings import POLICY


def options(**given: Any) -> dict[str, Any]:
    return client_options("alerts", Brokers.model_validate(given), Timing())


async def test_a_connection_string_of_event_hubs_is_the_password_of_the_user_of_that_name() -> None:
    found = options(event_hubs={"connection_string": POLICY})
    assert found["bootstrap_servers"] == ["acme.servicebus.windows.net:9093"]
    assert (found["security_protocol"], found["sasl_mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("$ConnectionString", POLICY)
    assert found["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert found["ssl_context"].check_hostname
    assert found["connections_max_idle_ms"] < 240_000  # after which Azure's balancers forget a connection


@dataclass
class Machine:
    """The identity of a machine, as azure-identity knows it."""

    scopes: list[str]

    async def __aenter__(self) -> "Machine":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get_token(self, scope: str) -> Any:
        self.scopes.append(scope)
        return type("AccessToken", (), {"token": f"t{len(self.scopes)}", "expires_on": int(time.time()) + 3600})


async def test_the_identity_of_the_machine_asks_for_a_token_that_is_good_for_its_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, identity = Machine([]), ModuleType("azure.identity.aio")
    identity.__dict__["ManagedIdentityCredential"] = lambda: machine
    monkeypatch.setitem(sys.modules, "azure.identity.aio", identity)
    found = options(event_hubs={"namespace": "acme", "credential": "managed_identity"})
    assert (found["security_protocol"], found["sasl_mechanism"]) == ("SASL_SSL", "OAUTHBEARER")
    assert "sasl_plain_password" not in found
    provider = found["sasl_oauth_token_provider"]
    assert [await provider.token(), await provider.token()] == ["t1", "t1"]
    assert machine.scopes == ["https://acme.servicebus.windows.net/.default"]


async def test_a_machine_without_the_package_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)
    settings = Brokers.model_validate({"event_hubs": {"namespace": "acme", "credential": "managed_identity"}})
    tokens = tokens_for(settings, 1.0)
    assert tokens is not None
    with pytest.raises(AuthenticationError, match=r"install pushbridge\[azure\]"):
        await tokens.token()
    assert isinstance(tokens.trouble, AuthenticationError)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_password_goes_with_its_mechanism(mechanism: str) -> None:
    security = {"protocol": "SASL_PLAINTEXT", "mechanism": mechanism, "username": "bridge", "password": "x"}
    found = options(bootstrap=["k1:9092"], security=security)
    assert "ssl_context" not in found
    assert (found["sasl_mechanism"], found["sasl_plain_username"], found["sasl_plain_password"]) == (
        mechanism,
        "bridge",
        "x",
    )


async def test_a_token_is_asked_for_again_before_its_end_and_once_by_all_connections() -> None:
    now, good_for = 0.0, [3600.0, 30.0, 3600.0]
    asked: list[float] = []

    async def fetch() -> tuple[str, float]:
        await asyncio.sleep(0)
        asked.append(now)
        return f"t{len(asked)}", good_for[len(asked) - 1]

    tokens = Tokens(fetch, monotonic=lambda: now)
    assert await asyncio.gather(*(tokens.token() for _ in range(5))) == ["t1"] * 5
    now = 3539.0
    assert await tokens.token() == "t1"
    now = 3540.0  # a minute before its end
    assert await tokens.token() == "t2"
    now = 3554.0
    assert await tokens.token() == "t2"  # a short one is kept for half of its time
    now = 3555.0
    assert await tokens.token() == "t3"
    assert asked == [0.0, 3540.0, 3555.0]


async def test_what_keeps_a_token_away_is_known_until_there_is_one() -> None:
    answers: list[Any] = [NotConnectedError("no token"), ("t", 3600.0)]

    async def fetch() -> tuple[str, float]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer[0], answer[1]

    tokens = Tokens(fetch)
    with pytest.raises(NotConnectedError):
        await tokens.token()
    assert str(tokens.trouble) == "no token"
    assert await tokens.token() == "t"
    assert tokens.trouble is None
