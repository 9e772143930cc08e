"""The transport over real TLS, HTTP/2 and HTTP/1.1."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hub.egress import Egress
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.requests import Response
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer, Version
from sandbox.tls import Authority
from tests.brokers.ways import ConnectProxy, asking_for, client_certificate
from tests.fakes.requests import Request, post_each

OK = Answer(status=200)


async def until(condition: Callable[[], bool], *, meanwhile: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)
            meanwhile()


class Service:
    """Answers by `answer`, called with each exchange; None leaves it unanswered in `held`."""

    def __init__(self, authority: Authority, *versions: Version, streams: int = 100) -> None:
        self.answer: Callable[[Exchange], Answer | None] = lambda exchange: OK
        self.seen: list[Exchange] = []
        self.held: list[Exchange] = []
        self.most_at_once = 0
        self.faults = Faults()
        self.ca_file = str(authority.ca_file)
        self.context = authority.server_context(versions)
        self.server = HttpServer(
            self._handle, faults=self.faults, context=self.context, versions=versions, max_streams=streams
        )

    def _handle(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        answer = self.answer(exchange)
        if answer is None:
            self.held.append(exchange)
            self.most_at_once = max(self.most_at_once, len(self.held))
        else:
            exchange.answer(answer)

    def release(self, answer: Answer = OK) -> None:
        held, self.held = self.held, []
        for exchange in held:
            exchange.answer(answer)

    async def wait_for_requests(self, count: int) -> None:
        await until(lambda: len(self.seen) >= count)

    def request(self, number: int, body: bytes = b"{}") -> Request:
        return Request(f"https://127.0.0.1:{self.server.port}/{number}", [b"content-type: application/json"], body)

    def requests(self, count: int) -> Iterator[Request]:
        return map(self.request, range(count))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Serve = Callable[..., Awaitable[Service]]
Connect = Callable[..., Transport]


@pytest.fixture
async def serve(authority: Authority) -> AsyncIterator[Serve]:
    """Starts services; arguments as `Service` has them."""
    services = []

    async def start(*versions: Version, streams: int = 100) -> Service:
        services.append(Service(authority, *versions, streams=streams))
        await services[-1].server.start()
        return services[-1]

    yield start
    for service in services:
        await service.server.stop()


@pytest.fixture
async def connect(authority: Authority) -> AsyncIterator[Connect]:
    """Makes transports that trust the services; arguments as `Transport` has them."""
    transports = []

    def make(*, tls: Tls | None = None, proxy: SecretStr | None = None, **options: Any) -> Transport:
        transports.append(Transport(Egress(tls=tls or Tls(ca_file=authority.ca_file), proxy=proxy), **options))
        return transports[-1]

    yield make
    for transport in transports:
        await transport.close()


@pytest.fixture(params=[("h2", "http/1.1"), ("http/1.1",)], ids=["h2", "http1"])
async def service(serve: Serve, request: pytest.FixtureRequest) -> Service:
    """Speaks HTTP/2 in one run of a test and only HTTP/1.1 in the other."""
    return await serve(*request.param)


@pytest.fixture
async def h2(serve: Serve) -> Service:
    return await serve("h2")


@pytest.fixture
async def transport(connect: Connect) -> Transport:
    return connect()


async def test_responses_come_in_the_order_of_requests(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: Answer(status=200, body=(exchange.path.encode(), b"!"))
    responses = await post_each(transport, service.requests(300), deadline=60)
    assert [response.body for response in responses] == [f"/{number}!".encode() for number in range(300)]


async def test_a_request_arrives_as_it_was_given(service: Service, transport: Transport) -> None:
    await post_each(transport, [service.request(1, "ä".encode())], deadline=60)
    exchange = service.seen[0]
    assert (exchange.method, exchange.path, exchange.body) == ("POST", "/1", "ä".encode())
    assert exchange.headers["content-type"] == "application/json"
    assert exchange.headers["content-length"] == "2"
    assert "user-agent" not in exchange.headers


async def test_bodies_of_requests_that_share_a_handle_are_not_mixed_up(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: Answer(status=200, body=(exchange.body,))
    for body in (b"a" * 50, b"b", b"", b"a" * 50):
        responses = await post_each(transport, [service.request(1, body)], deadline=60)
        assert responses[0].body == body


async def test_no_requests_are_answered_at_once(transport: Transport) -> None:
    assert await post_each(transport, [], deadline=60) == []


async def test_status_and_body_of_one_answer_do_not_reach_the_next(service: Service, transport: Transport) -> None:
    answers = itertools.cycle([Answer(status=400, headers=(("retry-after", "7"),), body=(b"bad",)), OK])
    service.answer = lambda exchange: next(answers)
    responses = await post_each(transport, service.requests(40), deadline=60)
    refused = Response(400, {"retry-after": "7"}, b"bad")
    assert sorted(responses) == sorted([refused] * 20 + [Response(200)] * 20)


async def test_all_headers_come_when_asked_for(service: Service, connect: Connect) -> None:
    service.answer = lambda exchange: Answer(status=200, headers=(("x-wns-status", "dropped"),))
    transport = connect(answer_headers=True)
    responses = await post_each(transport, service.requests(2), deadline=60)
    assert [response.headers["x-wns-status"] for response in responses] == ["dropped", "dropped"]


async def test_without_http2_one_connection_carries_one_request_at_a_time(serve: Serve, connect: Connect) -> None:
    service = await serve("h2", "http/1.1")
    service.answer = lambda exchange: None
    transport = connect(http2=False, connections=3)
    sending = asyncio.ensure_future(post_each(transport, service.requests(9), deadline=60))
    for answered in (3, 6, 9):
        await service.wait_for_requests(answered)
        assert len(service.server.connections) == 3
        service.release()
    assert [response.status for response in await sending] == [200] * 9


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_the_peers_limit_of_streams_is_obeyed(serve: Serve, transport: Transport, limit: int) -> None:
    service = await serve("h2", streams=limit)
    service.answer = lambda exchange: None
    sending = asyncio.ensure_future(post_each(transport, service.requests(2 * limit + 1), deadline=60))
    await until(sending.done, meanwhile=service.release)
    assert [response.status for response in sending.result()] == [200] * (2 * limit + 1)
    assert service.most_at_once <= limit
    assert len(service.seen) == 2 * limit + 1


async def test_a_limit_that_falls_and_rises_loses_nothing(h2: Service, transport: Transport) -> None:
    await post_each(transport, h2.requests(200), deadline=60)
    sending = asyncio.ensure_future(post_each(transport, h2.requests(600), deadline=60))
    for limit in (1, 50, 1, 100):
        before = len(h2.seen)
        for connection in h2.server.connections:
            connection.limit_streams(limit)
        await h2.wait_for_requests(before + 20)
    assert [response.status for response in await sending] == [200] * 600


async def test_a_new_connection_is_opened_when_the_others_are_full(h2: Service, connect: Connect) -> None:
    h2.answer = lambda exchange: OK if exchange.path == "/0" else None
    transport = connect(connections=2, streams=5)
    sending = asyncio.ensure_future(post_each(transport, h2.requests(12), deadline=60))
    await h2.wait_for_requests(7)
    assert len(h2.server.connections) == 2
    await until(sending.done, meanwhile=h2.release)
    assert h2.most_at_once <= 10
    assert [response.status for response in sending.result()] == [200] * 12


async def test_a_small_batch_does_not_wait_for_a_large_one(h2: Service, connect: Connect) -> None:
    transport = connect(connections=1, streams=10)
    large = asyncio.ensure_future(post_each(transport, h2.requests(3000), deadline=60))
    await h2.wait_for_requests(50)
    await post_each(transport, [h2.request(-1)], deadline=60)
    assert not large.done()
    assert len(await large) == 3000


async def test_batches_in_order_begin_one_after_the_other_and_others_have_their_turn(
    h2: Service, connect: Connect
) -> None:
    """Pieces of a page: what is answered is answered from its front."""
    transport = connect(connections=1, streams=10)
    pieces = [
        asyncio.ensure_future(
            post_each(
                transport, [h2.request(100 * piece + number) for number in range(100)], deadline=60, in_order=True
            )
        )
        for piece in range(5)
    ]
    await h2.wait_for_requests(50)
    await post_each(transport, [h2.request(-1)], deadline=60)
    assert not pieces[1].done()
    await asyncio.gather(*pieces)
    begun = [int(exchange.path[1:]) for exchange in h2.seen if exchange.path != "/-1"]
    assert all(abs(number - place) < 2 * 10 for place, number in enumerate(begun))


async def test_batches_in_order_can_be_taken_back(h2: Service, connect: Connect) -> None:
    transport = connect(connections=1, streams=10)
    await post_each(transport, [h2.request(-1)], deadline=60)
    h2.answer = lambda exchange: None
    first, second, third = (
        asyncio.ensure_future(post_each(transport, [h2.request(piece)] * 20, deadline=60, in_order=True))
        for piece in range(3)
    )
    await h2.wait_for_requests(1 + 10)
    h2.answer = lambda exchange: OK
    for piece in (first, second):
        piece.cancel()
    assert [response.status for response in await third] == [200] * 20
    assert transport.open_origins == 1


async def test_what_has_not_answered_by_the_deadline_is_given_up(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: None if exchange.path == "/1" else OK
    await post_each(transport, [service.request(0)], deadline=60)
    loop = asyncio.get_running_loop()
    before = loop.time()
    responses = await post_each(transport, service.requests(2), deadline=1.5)
    assert 1.49 < loop.time() - before < 30  # uvloop counts in whole milliseconds
    assert [(response.status, response.timed_out) for response in responses] == [(200, False), (0, True)]
    assert "deadline" in responses[1].failure


async def test_a_stream_that_was_given_up_frees_its_place(serve: Serve, connect: Connect) -> None:
    service = await serve("h2", streams=2)
    service.answer = lambda exchange: None if exchange.path in ("/1", "/2") else OK
    transport = connect()
    await post_each(transport, [service.request(0)], deadline=60)
    slow = asyncio.ensure_future(post_each(transport, [service.request(1), service.request(2)], deadline=3))
    await service.wait_for_requests(3)
    waiting = asyncio.ensure_future(post_each(transport, [service.request(3)], deadline=60))
    assert [response.timed_out for response in await slow] == [True, True]
    assert (await waiting)[0].status == 200


async def test_a_connection_that_falls_silent_is_not_used_again(h2: Service, transport: Transport) -> None:
    await post_each(transport, h2.requests(5), deadline=60)
    h2.faults.black_hole()
    responses = await post_each(transport, h2.requests(5), deadline=0.3)
    assert all(response.timed_out for response in responses)
    h2.faults.silent = False
    responses = await post_each(transport, h2.requests(5), deadline=60)
    assert [response.status for response in responses] == [200] * 5


async def test_a_connection_that_is_only_slow_with_one_request_is_kept(h2: Service, transport: Transport) -> None:
    h2.answer = lambda exchange: None if exchange.path == "/1" else OK
    slow = asyncio.ensure_future(post_each(transport, [h2.request(0), h2.request(1)], deadline=3))
    while not slow.done():
        await post_each(transport, [h2.request(2)], deadline=60)
    assert slow.result()[1].timed_out
    await post_each(transport, [h2.request(2)], deadline=60)
    assert len({id(exchange.connection) for exchange in h2.seen}) == 1


async def test_renewing_uses_another_connection_and_lets_the_old_one_finish(h2: Service, transport: Transport) -> None:
    h2.answer = lambda exchange: None if exchange.path == "/1" else OK
    await post_each(transport, [h2.request(0)], deadline=60)
    old = asyncio.ensure_future(post_each(transport, [h2.request(1)], deadline=60))
    await h2.wait_for_requests(2)
    generation = transport.generation
    transport.renew(since=generation)
    transport.renew(since=generation)
    assert (await post_each(transport, [h2.request(2)], deadline=60))[0].status == 200
    assert len(h2.server.connections) == 2
    h2.release()
    assert (await old)[0].status == 200
    await until(lambda: len(h2.server.connections) == 1)
    assert len({id(exchange.connection) for exchange in h2.seen}) == 2


async def test_a_broken_connection_ends_what_was_on_it_at_once(h2: Service, transport: Transport) -> None:
    h2.answer = lambda exchange: OK if exchange.path == "/0" else None
    sending = asyncio.ensure_future(post_each(transport, h2.requests(5), deadline=60))
    await h2.wait_for_requests(5)
    h2.answer = lambda exchange: OK
    h2.held[0].drop()
    responses = await sending
    assert all(response.status == 200 or response.failure for response in responses)
    assert not any(response.timed_out for response in responses)
    assert [response.status for response in await post_each(transport, h2.requests(5), deadline=60)] == [200] * 5


async def test_nothing_is_lost_or_sent_twice_over_goaways(h2: Service, transport: Transport) -> None:
    h2.faults.goaway_after(200)
    responses = await post_each(transport, h2.requests(2000), deadline=60)
    assert [response.status for response in responses] == [200] * 2000
    assert sorted(exchange.path for exchange in h2.seen) == sorted(f"/{number}" for number in range(2000))
    assert len({id(exchange.connection) for exchange in h2.seen}) >= 9


async def test_refused_streams_are_sent_again(h2: Service, transport: Transport) -> None:
    await post_each(transport, h2.requests(1), deadline=60)
    h2.faults.refuse_stream(times=20)
    responses = await post_each(transport, h2.requests(100), deadline=60)
    assert [response.status for response in responses] == [200] * 100


async def test_many_answers_with_bodies_do_not_use_up_the_window(h2: Service, transport: Transport) -> None:
    body = b'{"reason":"BadDeviceToken"}' * 20
    h2.answer = lambda exchange: Answer(status=400, body=(body,))
    responses = await post_each(transport, h2.requests(2000), deadline=60)
    assert {response.body for response in responses} == {body}


async def test_an_answer_of_unreasonable_size_is_a_failure(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: Answer(status=200, body=(b"x" * 70_000,))
    responses = await post_each(transport, [service.request(1)], deadline=60)
    assert responses[0].status == 0
    service.answer = lambda exchange: OK
    assert await post_each(transport, [service.request(1)], deadline=60) == [Response(200)]


async def test_a_redirect_is_an_answer_like_others(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: Answer(status=307, headers=(("location", "/elsewhere"),))
    responses = await post_each(transport, [service.request(1)], deadline=60)
    assert responses[0].status == 307
    assert len(service.seen) == 1


async def test_a_certificate_of_an_unknown_authority_is_refused(
    service: Service, connect: Connect, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    transport = connect(tls=Tls(ca_file=other.ca_file))
    responses = await post_each(transport, [service.request(1)], deadline=60)
    assert responses[0].status == 0
    assert "certificate" in responses[0].failure
    assert not service.seen


async def test_an_expired_certificate_is_named_and_requests_go_on_once_it_is_renewed(
    service: Service, transport: Transport
) -> None:
    """A connection that was open when the certificate ended goes on: TLS looks at it in the handshake alone."""
    service.context.num_tickets = 0  # a session that is resumed shows no certificate (RFC 8446, section 2.2)
    statuses = [response.status for response in await post_each(transport, [service.request(0)], deadline=60)]
    service.faults.expire_certificate()
    statuses += [response.status for response in await post_each(transport, [service.request(1)], deadline=60)]
    for connection in list(service.server.connections):
        connection.abort()
    await until(lambda: not service.server.connections)
    (refused,) = await post_each(transport, [service.request(2)], deadline=60)
    assert (statuses, refused.status) == ([200, 200], 0)
    assert "expired" in refused.failure
    service.faults.expire_certificate(False)
    (taken,) = await post_each(transport, [service.request(3)], deadline=60)
    assert taken.status == 200


async def test_plain_http_and_files_are_not_fetched(transport: Transport) -> None:
    requests = [Request("http://127.0.0.1:1/", [], b""), Request("file:///etc/hostname", [], b"")]
    for response in await post_each(transport, requests, deadline=60):
        assert response.status == 0
        assert "rotocol" in response.failure


async def test_a_peer_that_is_not_there_is_a_failure_at_once(transport: Transport) -> None:
    responses = await post_each(transport, [Request("https://127.0.0.1:1/", [], b"")] * 3, deadline=60)
    assert all(response.status == 0 and not response.timed_out for response in responses)


async def test_a_proxy_of_the_environment_is_not_used(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await post_each(connect(), [service.request(1)], deadline=60))[0].status == 200


async def test_what_a_proxy_says_of_its_tunnel_is_no_part_of_an_answer(service: Service, connect: Connect) -> None:
    async with ConnectProxy() as proxy:
        proxied = connect(proxy=SecretStr(proxy.url), answer_headers=True)
        responses = await post_each(proxied, service.requests(2), deadline=60)
        await proxied.close()
    assert [response.status for response in responses] == [200, 200]
    assert not any({"proxy-agent", "retry-after"} & response.headers.keys() for response in responses)


async def test_a_certificate_is_shown_to_a_server_that_asks_for_one(
    authority: Authority, tmp_path: Path, connect: Connect
) -> None:
    asking, client = Service(authority, "http/1.1"), client_certificate(tmp_path)
    asking_for(asking.context, client)
    await asking.server.start()
    refused = await post_each(connect(http2=False), [asking.request(1)], deadline=60)
    showing = connect(http2=False, tls=Tls(ca_file=authority.ca_file, cert=client, key=client))
    taken = await post_each(showing, [asking.request(1)], deadline=60)
    await asking.server.stop()
    assert (refused[0].status, taken[0].status) == (0, 200)


async def test_a_cancelled_caller_takes_its_requests_back(h2: Service, transport: Transport) -> None:
    h2.answer = lambda exchange: None
    sending = asyncio.ensure_future(post_each(transport, h2.requests(1), deadline=60))
    await h2.wait_for_requests(1)
    sending.cancel()
    await asyncio.wait([sending])
    h2.answer = lambda exchange: OK
    assert (await post_each(transport, [h2.request(2)], deadline=60))[0].status == 200


async def test_closing_ends_what_is_under_way_and_what_comes_later(service: Service, transport: Transport) -> None:
    service.answer = lambda exchange: None
    sending = asyncio.ensure_future(post_each(transport, service.requests(3), deadline=60))
    await service.wait_for_requests(1)
    await transport.close()
    await transport.close()
    assert [response.status for response in await sending] == [0, 0, 0]
    late = await post_each(transport, service.requests(1), deadline=60)
    assert "closed" in late[0].failure
    await until(lambda: not service.server.connections)


# Origins


async def test_an_origin_that_does_not_answer_holds_up_no_other(serve: Serve, connect: Connect) -> None:
    dead, alive = await serve("http/1.1"), await serve("http/1.1")
    dead.answer = lambda exchange: None
    transport = connect(http2=False, connections=2)
    mixed = [service.request(number) for number in range(20) for service in (dead, alive)]
    sending = asyncio.ensure_future(post_each(transport, mixed, deadline=5))
    await alive.wait_for_requests(20)
    assert not sending.done()
    assert [response.status for response in await sending] == [0, 200] * 20


async def test_requests_to_more_origins_than_allowed_wait_for_one_that_is_idle(serve: Serve, connect: Connect) -> None:
    services = [await serve("h2") for _ in range(5)]
    services[0].answer = lambda exchange: None
    transport = connect(origins=2)
    mixed = [service.request(number) for number in range(3) for service in services]
    sending = asyncio.ensure_future(post_each(transport, mixed, deadline=60))
    for service in services[1:]:
        await service.wait_for_requests(3)
        assert transport.open_origins <= 2
    await until(sending.done, meanwhile=services[0].release)
    assert [response.status for response in sending.result()] == [200] * 15
    await until(lambda: sum(len(service.server.connections) for service in services) <= 2)


async def test_what_waits_for_a_place_among_the_origins_is_given_up_at_the_deadline(
    serve: Serve, connect: Connect
) -> None:
    dead, other = await serve("h2"), await serve("h2")
    dead.answer = lambda exchange: None
    transport = connect(origins=1)
    responses = await post_each(transport, [dead.request(0), other.request(1)], deadline=0.5)
    assert [response.timed_out for response in responses] == [True, True]
    assert other.seen == []
    assert (await post_each(transport, [other.request(2)], deadline=60))[0].status == 200


async def test_connections_to_an_origin_that_is_idle_are_closed(serve: Serve, connect: Connect) -> None:
    first, second = await serve("h2"), await serve("h2")
    transport = connect(close_after=0.2)
    for service in (first, second, first):
        assert (await post_each(transport, [service.request(1)], deadline=60))[0].status == 200
    await until(lambda: transport.open_origins == 0)
    await until(lambda: not first.server.connections and not second.server.connections)
    assert (await post_each(transport, [first.request(1)], deadline=60))[0].status == 200


async def test_thousands_of_origins_keep_no_more_connections_than_allowed(connect: Connect) -> None:
    transport = connect(origins=16, connections=1)
    urls = [f"https://127.0.{number // 250}.{number % 250 + 1}:1/" for number in range(2000)]  # refused at once
    responses = await post_each(transport, [Request(url, [], b"") for url in urls], deadline=60)
    assert {(response.status, response.timed_out) for response in responses} == {(0, False)}
    assert transport.open_origins <= 16
