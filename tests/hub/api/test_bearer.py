"""Bearer tokens of a provider of OpenID Connect beside shared access signatures."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from hub.api.access import OidcAccess
from hub.api.app import create_app
from hub.api.bearer import BearerTokens
from tests.fakes.hub_service import FakeHubService
from tests.fakes.provider import AUDIENCE, Provider, rsa_key
from tests.hub.api.conftest import HUBS, NOW
from tests.hub.api.signing import token

AT = NOW.timestamp()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider().serving() as provider:
        yield provider


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """Calls hubs `h1` and `apple` that take tokens of the provider, and `none` that takes signatures alone."""
    oidc = OidcAccess(issuer=provider.issuer, audience=(AUDIENCE,), send=("Push.Send",))
    named = OidcAccess(issuer=provider.issuer, audience=(AUDIENCE,), claim="scp")
    hubs = {**HUBS, "h1": replace(HUBS["h1"], oidc=oidc), "apple": replace(HUBS["apple"], policies=(), oidc=named)}
    app = create_app(FakeHubService(), hubs, clock=lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://ns.example") as client:
        yield client


def bearer(provider: Provider, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {provider.token('backend', now=AT, **claims)}"}


async def sent(client: httpx.AsyncClient, headers: dict[str, str], hub: str = "h1") -> httpx.Response:
    return await client.post(f"/{hub}/messages", content='{"m":"hi"}', headers=headers)


async def test_a_token_may_do_what_its_claim_says(provider: Provider, client: httpx.AsyncClient) -> None:
    send = bearer(provider, roles=["Push.Send", "Other"])
    assert (await sent(client, send)).status_code == 201
    refused = await client.get("/h1/installations/i1", headers=send)
    assert (refused.status_code, "lacks the right Listen" in refused.text) == (403, True)
    for roles in ([], ["Other"], None, "Send", {"Push.Send": True}, [["Push.Send"]]):
        assert (await sent(client, bearer(provider, roles=roles))).status_code == 403
    scopes = bearer(provider, scp="Listen Manage")
    assert (await client.get("/apple/registrations", headers=scopes)).status_code == 200
    assert (await client.get("/apple/feedbackcontainer", headers=scopes)).status_code == 403  # no key to sign the link
    assert (await sent(client, {"Authorization": token("send")})).status_code == 201


async def test_a_token_that_does_not_hold_is_a_401_with_its_kind(provider: Provider, client: httpx.AsyncClient) -> None:
    send = {"roles": ["Push.Send"]}
    other = Provider(provider.issuer)
    other.add_rsa("rsa-1", 2)
    for headers, hub, kind in (
        (bearer(provider, exp=AT - 3600, **send), "h1", "ExpiredToken"),
        (bearer(provider, aud="another", **send), "h1", "InvalidAudience"),
        (bearer(provider, iss="https://other.example", **send), "h1", "InvalidAudience"),
        (bearer(other, **send), "h1", "InvalidSignature"),
        ({"Authorization": "Bearer abc"}, "h1", "MalformedToken"),
        (bearer(provider, **send), "none", "MalformedToken"),
    ):
        answer = await sent(client, headers, hub)
        assert (answer.status_code, f"<Detail>{kind}: " in answer.text) == (401, True), answer.text


async def test_keys_are_rotated_without_a_restart(
    provider: Provider, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.oidc.keys.ASK_EVERY", 0.0)
    send = {"roles": ["Push.Send"]}
    assert (await sent(client, bearer(provider, **send))).status_code == 201
    provider.keys.clear()
    provider.add_rsa("rsa-2", 2)
    assert (await sent(client, bearer(provider, key_id="rsa-2", **send))).status_code == 201
    withdrawn = bearer(provider, key_id="rsa-1", key=rsa_key(1), **send)
    assert (await sent(client, withdrawn)).status_code == 401


async def test_a_provider_that_is_away_is_no_mistake_of_the_client(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.fails = True
    answer = await sent(client, bearer(provider, roles=["Push.Send"]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "<Code>503</Code>" in answer.text


async def test_a_request_for_no_path_is_none_for_a_hub(provider: Provider) -> None:
    """`OPTIONS *` (RFC 9112, section 3.2.4) has no slash."""
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["path"])

    oidc = OidcAccess(issuer=provider.issuer, audience=(AUDIENCE,))
    tokens = BearerTokens(app, {"h1": replace(HUBS["h1"], oidc=oidc)}, clock=lambda: NOW)
    headers = [(b"authorization", bearer(provider)["Authorization"].encode())]

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    for path in ("*", "", "/", "h1"):
        await tokens({"type": "http", "path": path, "headers": headers}, nothing, nothing)
    assert passed == ["*", "", "/", "h1"]
