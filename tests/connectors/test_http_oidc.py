"""HTTP sources whose senders show a token of a provider of OpenID Connect, as Event Grid does with Entra ID."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import ACK
from connectors.http import HttpSettings
from hub.egress import EgressDefaults
from tests.connectors.test_http import NOW, exchange, posted_to
from tests.fakes.provider import AUDIENCE, Provider, rsa_key

AT = NOW.timestamp()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider().serving() as provider:
        yield provider


def auth(provider: Provider, **settings: Any) -> dict[str, Any]:
    return {"oidc": {"issuer": provider.issuer, "audience": AUDIENCE, **settings}}


@pytest.mark.parametrize("in_query", [False, True])
async def test_a_sender_with_a_good_token_is_let_in(provider: Provider, in_query: bool) -> None:
    token = provider.token("eventgrid", now=AT)
    path, headers = (f"/in?access_token={token}", {}) if in_query else ("/in", {"Authorization": f"Bearer {token}"})
    async with posted_to(auth=auth(provider)) as (source, client):
        response, (message,) = await exchange(source, client.post(path, content=b"{}", headers=headers), ACK)
    assert response.status_code == 202
    assert token not in str(message)


@pytest.mark.parametrize(
    "claims, detail",
    [
        (None, "a bearer token is needed"),
        ({"aud": "other"}, "made out for another audience"),
        ({"exp": AT - 120}, "has expired"),
        ({"key": rsa_key(2)}, "signature is not good"),
        ({"azp": "stranger"}, "does not say all"),
        ({"azp": None}, "does not say all"),
        ({"roles": "Reader"}, "does not say all"),
    ],
)
async def test_another_sender_is_refused(provider: Provider, claims: dict[str, Any] | None, detail: str) -> None:
    named = {
        "azp": "4962773b-9cdb-44cf-a8bf-237846a00ab7",
        "roles": ["Writer", "AzureEventGridSecureWebhookSubscriber"],
    }
    settings = auth(provider, claims={"azp": named["azp"], "roles": ["AzureEventGridSecureWebhookSubscriber", "Other"]})
    headers = {}
    if claims is not None:
        headers["Authorization"] = f"Bearer {provider.token('s', now=AT, **{**named, **claims})}"
    async with posted_to(auth=settings) as (source, client):
        good = {"Authorization": f"Bearer {provider.token('s', now=AT, azp=named['azp'], roles=named['roles'])}"}
        assert (await exchange(source, client.post("/in", content=b"{}", headers=good), ACK))[0].status_code == 202
        response = await client.post("/in", content=b"{}", headers=headers)
        assert (await source.backlog()).messages == 0
    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="web"')
    assert detail in response.json()["detail"]


async def test_a_provider_that_is_down_is_no_reason_to_lose_an_event(provider: Provider) -> None:
    provider.fails = True
    headers = {"Authorization": f"Bearer {provider.token('s', now=AT)}"}
    async with posted_to(auth=auth(provider)) as (_, client):
        response = await client.post("/in", content=b"{}", headers=headers)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_the_way_to_the_provider_is_that_of_the_process() -> None:
    oidc = {"issuer": "https://login.acme.example", "audience": "a"}
    settings = HttpSettings.model_validate({"path": "/in", "auth": {"oidc": oidc}})
    default = EgressDefaults.model_validate({"proxy": "http://proxy:3128"})
    behind = settings.behind(default)
    assert behind.auth is not None
    assert behind.auth.oidc is not None
    proxy = behind.auth.oidc.proxy_for("login.acme.example")
    assert proxy is not None
    assert proxy.port == 3128
    assert HttpSettings(path="/in").behind(default) == HttpSettings(path="/in")


def test_keys_that_come_in_clear_are_refused() -> None:
    with pytest.raises(ValidationError, match="keys that come in clear"):
        HttpSettings.model_validate(
            {"path": "/in", "auth": {"oidc": {"issuer": "http://login.acme.example", "audience": "a"}}}
        )
