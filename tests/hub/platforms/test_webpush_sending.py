"""Web Push over real connections: many origins, slow ones and hostile ones, in both versions of HTTP."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from hub.outcome import OutcomeName, Reaction
from hub.platforms.webpush import sender as module
from hub.platforms.webpush.encryption import encrypted
from hub.platforms.webpush.sender import WebPushSender
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer, Version
from sandbox.services import PushServices
from sandbox.subscriptions import base64url, keys_of
from sandbox.tls import Authority
from sandbox.webpush import WebPush
from tests.fakes.browsers import subscription
from tests.fakes.pushes import Push
from tests.hub.platforms.lanes import Lane, webpush_settings

PAYLOAD = b'{"title":"Deposit","body":"1,234.56 EUR"}'
Serve = Callable[[Exchange], None]


def push_to(port: int, path: str = "/push/anna") -> Push:
    keys = keys_of("anna")
    channel = subscription(f"https://127.0.0.1:{port}{path}", p256dh=base64url(keys.p256dh), auth=base64url(keys.auth))
    return Push(id=str(uuid.uuid4()), push_channel=channel, payload=PAYLOAD)


@asynccontextmanager
async def origins(services: PushServices, directory: Path, *serve: Serve) -> AsyncIterator[list[int]]:
    """Push services at ports of their own; which these are."""
    authority = Authority(directory, keep=True)
    versions: tuple[Version, ...] = ("h2", "http/1.1")
    servers = [
        HttpServer(
            each, faults=Faults(), context=authority.server_context(versions), versions=versions, max_streams=100
        )
        for each in serve
    ]
    for server in servers:
        await server.start()
    yield [server.port for server in servers]
    for server in servers:
        await server.stop()


@asynccontextmanager
async def lane_to(services: PushServices, directory: Path) -> AsyncIterator[Lane]:
    """A sender that trusts the authority in `directory`."""
    settings = webpush_settings(services)
    assert settings.tls is not None
    tls = settings.tls.model_copy(update={"ca_file": Authority(directory, keep=True).ca_file})
    lane = Lane(services, WebPushSender(settings.model_copy(update={"tls": tls})))
    yield lane
    await lane.sender.close()


def taken(exchange: Exchange) -> None:
    exchange.answer(Answer(status=201))


async def test_a_page_to_many_origins_reaches_each_and_the_connections_are_bounded(
    services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORIGINS", 8)
    (directory := tmp_path / "ca").mkdir()
    async with origins(services, directory, *[taken] * 30) as ports, lane_to(services, directory) as lane:
        results = await lane.send([push_to(port) for port in ports] * 3)
        assert {result.outcome for result in results} == {OutcomeName.SUCCESS}
        assert isinstance(lane.sender, WebPushSender)
        assert lane.sender._transport.open_origins <= 8


async def test_an_origin_that_never_answers_holds_up_no_other(services: PushServices, tmp_path: Path) -> None:
    (directory := tmp_path / "ca").mkdir()
    async with (
        origins(services, directory, lambda exchange: None, taken) as (silent, quick),
        lane_to(services, directory) as lane,
    ):
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(lane.send([push_to(silent) for _ in range(20)], deadline=2.0))
            await asyncio.sleep(0)
            results = await lane.send([push_to(quick) for _ in range(50)])
            assert {result.outcome for result in results} == {OutcomeName.SUCCESS}
            assert not slow.done()
        assert {(result.reaction, result.timed_out) for result in slow.result()} == {(Reaction.RETRY, True)}


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "https://elsewhere.example/", "/other", ""])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(services: PushServices, tmp_path: Path, status: int, location: str) -> None:
    asked: list[str] = []

    def moved(exchange: Exchange) -> None:
        asked.append(exchange.path)
        exchange.answer(Answer(status=status, headers=(("location", location),)))

    (directory := tmp_path / "ca").mkdir()
    async with origins(services, directory, moved) as (port,), lane_to(services, directory) as lane:
        (result,) = await lane.send([push_to(port)])
        assert (result.reaction, result.reason) == (Reaction.RETRY, f"HTTP {status}: redirects are not followed")
        assert asked == ["/push/anna"]


HOSTILE = {
    "an endless body": Answer(status=400, body=(b"x" * 16_000,) * 40),
    "garbage": Answer(status=500, body=(bytes(range(256)),)),
    "html": Answer(status=200, headers=(("content-type", "text/html"),), body=(b"<html>log in</html>",)),
    "deep JSON": Answer(status=400, body=(b"[" * 9000,)),
    "a wait without end": Answer(status=429, headers=(("retry-after", "9" * 400),)),
    "a wait that is none": Answer(status=429, headers=(("retry-after", "soon"),)),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_odd_answers_are_outcomes_and_the_next_push_goes_on(
    services: PushServices, tmp_path: Path, name: str
) -> None:
    answers = [HOSTILE[name], Answer(status=201)]
    (directory := tmp_path / "ca").mkdir()
    async with (
        origins(services, directory, lambda exchange: exchange.answer(answers.pop(0))) as (port,),
        lane_to(services, directory) as lane,
    ):
        (odd,) = await lane.send([push_to(port)])
        assert odd.outcome.value
        assert not odd.lane_wide
        assert len(odd.reason) <= 240
        (next_one,) = await lane.send([push_to(port)])
        assert next_one.outcome is OutcomeName.SUCCESS


async def test_an_endpoint_that_a_service_repeats_is_in_no_reason(services: PushServices, tmp_path: Path) -> None:
    def repeated(exchange: Exchange) -> None:
        exchange.answer(Answer(status=404, body=(f"no such page: {exchange.path}, sorry".encode(),)))

    (directory := tmp_path / "ca").mkdir()
    async with origins(services, directory, repeated) as (port,), lane_to(services, directory) as lane:
        (result,) = await lane.send([push_to(port, "/push/c4n4ry-token")])
        assert (result.reaction, result.reason) == (Reaction.GONE, "no such page: /[endpoint], sorry")


async def test_a_service_that_speaks_http_1_only_gets_the_same_pushes(tmp_path: Path) -> None:
    class Old(WebPush):
        versions = ("http/1.1",)

    async with PushServices(tmp_path) as services:
        old = Old(
            journal=services.journal,
            context=Authority(tmp_path, keep=True).server_context(Old.versions),
            vapid_key=services._vapid_point,
            accept_unknown=True,
        )
        await old.start()
        settings = webpush_settings(services)
        lane = Lane(services, WebPushSender(settings))
        channels = [old.push_channel(f"{number:032}") for number in range(40)]
        pushes = [Push(id=str(uuid.uuid4()), push_channel=channel, payload=PAYLOAD) for channel in channels]
        results = await lane.send(pushes)
        assert {result.outcome for result in results} == {OutcomeName.SUCCESS}, results[0]
        assert {entry.push_id for entry in services.journal.accepted()} == {push.id for push in pushes}
        assert old.connections <= module.CONNECTIONS
        await lane.sender.close()
        await old.stop()


async def test_a_token_that_is_refused_is_made_once_more_and_no_oftener(webpush: Lane) -> None:
    webpush.service.faults.answer(401, "expired", times=1)
    (result,) = await webpush.send([webpush.push(1)])
    assert result.outcome is OutcomeName.SUCCESS
    before = len(webpush.services.journal)
    webpush.service.faults.answer(401, "expired")
    (result,) = await webpush.send([webpush.push(1)])
    assert (result.reaction, result.outcome, result.lane_wide) == (
        Reaction.CONFIG,
        OutcomeName.INVALID_CREDENTIALS,
        False,
    )
    assert len(webpush.services.journal) == before + 2


async def test_a_key_that_a_browser_did_not_subscribe_with_ends_no_subscription_and_stops_no_lane(
    webpush: Lane,
) -> None:
    foreign, own = webpush.push(1), webpush.push(2)
    assert isinstance(webpush.service, WebPush)
    webpush.service.register(foreign.push_channel, vapid_key=keys_of("another").p256dh)
    results = await webpush.send([foreign, own])
    assert [(result.reaction, result.lane_wide) for result in results] == [
        (Reaction.CONFIG, False),
        (Reaction.DELIVERED, False),
    ]


async def test_a_private_endpoint_is_refused_and_its_neighbours_are_not(services: PushServices) -> None:
    settings = webpush_settings(services).model_copy(update={"private_networks": ()})
    lane = Lane(services, WebPushSender(settings))
    results = await lane.send(lane.pushes(12))
    assert {(result.reaction, result.outcome) for result in results} == {(Reaction.DROP, OutcomeName.BAD_CHANNEL)}
    assert results[0].reason == "127.0.0.1 is no public address"
    assert not list(services.journal)
    await lane.sender.close()


async def test_a_large_page_is_encrypted_beside_the_loop(webpush: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    where: set[str] = set()

    def noted(*given: object) -> bytes:
        where.add(threading.current_thread().name.partition("_")[0])
        return encrypted(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encrypted", noted)
    await webpush.send(webpush.pushes(module.FEW))
    assert where == {"MainThread"}
    where.clear()
    await webpush.send(webpush.pushes(100))
    assert where == {"web-push"}


async def test_what_a_browser_reads_is_declarative(webpush: Lane) -> None:
    await webpush.send([webpush.push(1)])
    (entry,) = webpush.services.journal.accepted()
    assert orjson.loads(entry.payload)["notification"]["navigate"] == "https://bank.example/inbox"


async def test_a_sandbox_that_was_made_before_there_were_browsers_gets_a_key_and_keeps_it(tmp_path: Path) -> None:
    async with PushServices(tmp_path, keep=True) as services:
        team = services.apns_credential.team_id
    issued = orjson.loads((tmp_path / "issued.json").read_bytes())
    del issued["vapid_key"]
    (tmp_path / "issued.json").write_bytes(orjson.dumps(issued))
    keys = []
    for _ in range(2):
        async with PushServices(tmp_path, keep=True) as services:
            keys.append(services.webpush_credential.public_key)
            assert services.apns_credential.team_id == team
    assert keys[0] == keys[1]
