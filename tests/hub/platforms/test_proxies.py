"""Pushes and token requests through a real HTTP proxy, past it, and refused by it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr, TypeAdapter

from hub.egress import NoProxy
from hub.outcome import OutcomeName, Reaction
from hub.platforms.table import services as push_services
from hub.tls import Tls
from sandbox.services import PushServices
from sandbox.tls import Authority
from tests.brokers.ways import ConnectProxy, InspectingProxy
from tests.hub.platforms.lanes import Lane, apns_settings, fcm_settings, webpush_settings, wns_settings

SETTINGS = {"apns": apns_settings, "fcm": fcm_settings, "wns": wns_settings, "webpush": webpush_settings}
PLATFORMS = sorted(SETTINGS)
NEEDS_TOKEN = {"fcm", "wns"}


@asynccontextmanager
async def lane(
    services: PushServices, name: str, url: str, no_proxy: str = "", *, ca_file: Path | None = None
) -> AsyncIterator[Lane]:
    """A sender that goes by a proxy; with `ca_file` it trusts nobody else."""
    traits = next(each for each in push_services() if each.name == name)
    egress: dict[str, object] = {
        "proxy": SecretStr(url),
        "no_proxy": TypeAdapter(NoProxy).validate_python(no_proxy),
    }
    if ca_file is not None:
        egress["tls"] = Tls(ca_file=ca_file)
    sender = traits.sender(SETTINGS[name](services).model_copy(update=egress))
    yield Lane(services, sender)
    await sender.close()


def hosts(services: PushServices, name: str) -> set[str]:
    """Where a service and what gives its tokens are."""
    urls = {
        "apns": [services.apns_credential.endpoint],
        "fcm": [services.fcm_credential.endpoint, services.fcm.token_url],
        "wns": [services.wns.url, services.wns_credential.token_url],
        "webpush": [services.webpush.url],
    }
    return {urlsplit(url).netloc.replace("localhost", "127.0.0.1") for url in urls[name]}


@pytest.mark.parametrize("name", PLATFORMS)
async def test_pushes_and_token_requests_go_through_the_proxy(services: PushServices, name: str) -> None:
    async with ConnectProxy(credentials="bridge:canary") as proxy, lane(services, name, proxy.url) as proxied:
        results = await proxied.send(proxied.pushes(5))
        assert [result.outcome for result in results] == [OutcomeName.SUCCESS] * 5
        assert {target.replace("localhost", "127.0.0.1") for target in proxy.tunnels} == hosts(services, name)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_what_no_proxy_lists_is_reached_directly(services: PushServices, name: str) -> None:
    async with ConnectProxy() as proxy, lane(services, name, proxy.url, "127.0.0.0/8, localhost") as direct:
        assert [result.outcome for result in await direct.send(direct.pushes(2))] == [OutcomeName.SUCCESS] * 2
        assert proxy.tunnels == []


@pytest.mark.parametrize(
    ("user", "status", "why"),
    [
        ("bridge:canary@", 407, "HTTP 407, it takes another user and password"),
        ("", 407, "HTTP 407, it asks for a user and password"),
        ("", 403, "HTTP 403, it is not allowed to connect there"),
        ("", 502, "HTTP 502"),
    ],
)
@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_a_proxy_that_refuses_is_named_with_the_cause(
    services: PushServices, name: str, user: str, status: int, why: str
) -> None:
    async with (
        ConnectProxy(credentials="bridge:right", status=0 if status == 407 else status) as proxy,
        lane(services, name, f"http://{user}127.0.0.1:{proxy.port}") as lost,
    ):
        (result,) = await lost.send(lost.pushes(1))
    token = f"{services.fcm.token_url}: " if name in NEEDS_TOKEN else ""
    assert result.reason == f"{token}proxy 127.0.0.1:{proxy.port} refuses: {why}"
    assert result.reaction is Reaction.RETRY


@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_a_proxy_that_is_not_there_is_named(services: PushServices, name: str) -> None:
    async with lane(services, name, "http://bridge:canary@127.0.0.1:1") as lost:
        (result,) = await lost.send(lost.pushes(1))
    assert "proxy 127.0.0.1:1" in result.reason
    assert "canary" not in result.reason


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_proxy_that_looks_into_tls_is_trusted_by_its_ca(
    services: PushServices, name: str, tmp_path: Path
) -> None:
    (own := tmp_path / "proxy").mkdir()
    proxys = Authority(own)

    def trusted(protocol: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=services.ca_file)
        context.set_alpn_protocols([protocol])
        return context

    async with InspectingProxy(shown=proxys.server_context(["h2", "http/1.1"]), trusted=trusted) as proxy:
        async with lane(services, name, proxy.url, ca_file=proxys.ca_file) as proxied:
            results = await proxied.send(proxied.pushes(2))
            assert [result.outcome for result in results] == [OutcomeName.SUCCESS] * 2, [
                result.reason for result in results
            ]
        assert proxy.seen
        async with lane(services, name, proxy.url) as distrustful:  # of the services' CA alone
            (result,) = await distrustful.send(distrustful.pushes(1))
        assert "certificate" in result.reason.lower(), result.reason
        assert result.reaction is Reaction.RETRY
