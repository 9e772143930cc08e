"""The HTTP/2 side of a stand-in: streams, flow control, GOAWAY, and what goes wrong on request."""

import asyncio
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import uvloop
from h2.settings import SettingCodes

from sandbox.services import PushServices
from tests.sandbox.clients import PATIENCE, Http2Client, curl_crowd, provider_token, settled
from tests.sandbox.conftest import MovableClock

BODY = b'{"aps":{"alert":"hello"}}'
REFUSED_STREAM, PROTOCOL_ERROR, ENHANCE_YOUR_CALM = 7, 1, 11


@pytest.fixture
def headers(services: PushServices, clock: MovableClock) -> dict[str, str]:
    credential = services.apns_credential
    return {
        "authorization": f"bearer {provider_token(credential, clock.now)}",
        "apns-topic": credential.topic,
    }


@pytest.fixture
def path(services: PushServices) -> str:
    handle = services.make_handle("apns", 1)
    services.apns.register(handle)
    return f"/3/device/{handle}"


@pytest.fixture
async def client(services: PushServices, path: str, headers: dict[str, str]) -> AsyncIterator[Http2Client]:
    """A client that has authenticated already."""
    async with await Http2Client.connect(services.apns.port, services.ca_file) as connected:
        await connected.post(path, headers, BODY)
        await settled(connected, 1000)
        yield connected


async def test_a_stream_limit_can_be_lowered_and_raised_under_way(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.hold()
    held = [client.open(path, headers, BODY) for _ in range(3)]
    services.apns.limit_streams(2)
    await settled(client, 2)
    assert (await client.open(path, headers, BODY)).reset == REFUSED_STREAM
    services.apns.limit_streams(4)
    await settled(client, 4)
    held.append(client.open(path, headers, BODY))
    await services.journal.wait_for(count=5)
    services.apns.faults.release()
    assert [(await response).status for response in held] == [200] * 4


async def test_gross_excess_ends_the_connection(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.limit_streams(1)
    await settled(client, 1)
    services.apns.faults.hold()
    for _ in range(103):
        client.open(path, headers, BODY)
    async with asyncio.timeout(PATIENCE):
        await client.told_to_go.wait()
    assert client.goaway is not None
    assert client.goaway.error_code == ENHANCE_YOUR_CALM
    assert client.goaway.additional_data == b'{"reason": "exceeded_max_concurrent_streams"}'


async def test_a_goaway_after_some_requests_names_the_last_one_that_was_looked_at(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.goaway_after(3, reason="Shutdown")
    for _ in range(2):
        assert (await client.post(path, headers, BODY)).status == 200
    client.open(path, headers, BODY)
    async with asyncio.timeout(PATIENCE):
        await client.told_to_go.wait()
    assert client.goaway is not None
    assert (client.goaway.last_stream_id, client.goaway.additional_data) == (5, b'{"reason": "Shutdown"}')
    assert len(services.journal) == 3


async def test_libcurl_loses_and_repeats_nothing_over_many_goaways(
    services: PushServices, headers: dict[str, str], path: str
) -> None:
    handles = [services.make_handle("apns", number) for number in range(100, 300)]
    for handle in handles:
        services.apns.register(handle)
    services.apns.faults.goaway_after(30)
    urls = [f"{services.apns.url}/3/device/{handle}" for handle in handles]
    lines = [f"{name}: {value}" for name, value in headers.items()]
    statuses = await asyncio.to_thread(curl_crowd, urls, lines, BODY, services.ca_file, at_once=1)
    assert statuses == [200] * 200
    assert sorted(entry.handle for entry in services.journal.accepted()) == sorted(handles)


async def test_a_goaway_lets_what_is_under_way_be_answered(
    services: PushServices, headers: dict[str, str], path: str
) -> None:
    services.apns.faults.hold()
    lines = [f"{name}: {value}" for name, value in headers.items()]
    pushing = asyncio.create_task(
        asyncio.to_thread(curl_crowd, [services.apns.url + path], lines, BODY, services.ca_file)
    )
    await services.journal.wait_for()
    services.apns.goaway(reason="Shutdown")
    services.apns.faults.release()
    assert await pushing == [200]
    assert len(services.journal) == 1


async def test_error_bodies_wait_for_the_window_of_their_stream(
    services: PushServices, path: str, headers: dict[str, str]
) -> None:
    async with await Http2Client.connect(services.apns.port, services.ca_file, window=10) as client:
        waiting = client.open(path, headers)
        client.h2.ping(b"12345678")
        client.flush()
        await client.pong.wait()
        assert not waiting.done()
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 12})
        client.h2.increment_flow_control_window(100, 1)
        client.flush()
        async with asyncio.timeout(PATIENCE):
            response = await waiting
        assert response.json == {"reason": "PayloadEmpty"}
        assert response.pieces[0] == b'{"reason":'


async def test_error_bodies_wait_for_the_window_of_the_connection(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    client._gives_back = False
    body = b'{"reason": "PayloadEmpty"}'
    for _ in range(5):  # 2520 bodies fit
        await asyncio.gather(*(client.open(path, headers) for _ in range(65535 // len(body) // 5)))
    stalled = client.open(path, headers)
    client.h2.ping(b"12345678")
    client.pong.clear()
    client.flush()
    await client.pong.wait()
    assert not stalled.done()
    client.h2.increment_flow_control_window(65535)
    client.flush()
    async with asyncio.timeout(PATIENCE):
        assert (await stalled).json == {"reason": "PayloadEmpty"}


async def test_the_window_for_request_bodies_comes_back_when_it_is_told_to(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.slow_window_updates(3600)
    before = client.h2.outbound_flow_control_window
    for _ in range(15):
        assert (await client.post(path, headers, b"x" * 4000)).status == 200
    assert client.h2.outbound_flow_control_window == before - 15 * 4000
    services.apns.faults.slow_window_updates(0)
    assert (await client.post(path, headers, b"x" * 4000)).status == 200
    services.apns.faults.clear()


async def test_many_large_pushes_go_through_the_window(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    for _ in range(100):
        assert (await client.post(path, headers, b"x" * 4096)).status == 200


async def test_an_endless_body_is_answered_before_its_end(
    client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    # the stream's window is all a client has before the answer, so the bound shows only once it was given back
    waiting = client.open(path, headers, b"x" * 60_000)
    assert (await waiting).status == 413
    stream_id = client.h2.get_next_available_stream_id()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
    client.h2.send_headers(stream_id, [*pseudo, *headers.items()])
    response = client._waiting[stream_id] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(PATIENCE):
        while not response.done():
            if client.h2.local_flow_control_window(stream_id) >= 1000:
                client.h2.send_data(stream_id, b"x" * 1000)
                client.flush()
            await asyncio.sleep(0)
    assert response.result().status == 413


async def test_a_stream_that_the_client_resets_frees_its_place(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.limit_streams(1)
    await settled(client, 1)
    services.apns.faults.hold()
    client.open(path, headers, BODY)
    client.h2.reset_stream(3, 8)
    second = client.open(path, headers, BODY)
    await services.journal.wait_for(count=3)
    services.apns.faults.release()
    assert (await second).status == 200


@pytest.mark.parametrize("bad", [("Apns-Topic", "x"), ("x", "a\r\nb: c"), ("connection", "close")])
async def test_malformed_headers_are_a_protocol_error(
    client: Http2Client, path: str, headers: dict[str, str], bad: tuple[str, str]
) -> None:
    client.h2.config.normalize_outbound_headers = False
    client.h2.config.validate_outbound_headers = False
    assert (await client.post(path, [*headers.items(), bad], BODY)).reset == PROTOCOL_ERROR


async def test_a_broken_frame_ends_the_connection(client: Http2Client) -> None:
    client._writer.write(struct.pack(">I", 3)[1:] + b"\x00\x00" + bytes(4) + b"abc")  # DATA on stream 0
    async with asyncio.timeout(PATIENCE):
        await client.closed.wait()
    assert client.goaway is not None
    assert client.goaway.error_code == PROTOCOL_ERROR


async def test_a_client_that_leaves_without_waiting_does_no_harm(
    services: PushServices, path: str, headers: dict[str, str]
) -> None:
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
    async with await Http2Client.connect(services.apns.port, services.ca_file) as client:
        client._writer.write(b"\0\0\0\4\1" + bytes(4))  # an acknowledgement of no settings
        client.open(path, headers, BODY)
        client.h2.close_connection()
        client.flush()
        async with asyncio.timeout(PATIENCE):
            await client.closed.wait()
    assert len(services.journal) == 1
    assert troubles == []


async def test_refused_streams_were_never_looked_at(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.refuse_stream(times=2)
    resets = [(await client.post(path, headers, BODY)).reset for _ in range(3)]
    assert resets == [REFUSED_STREAM, REFUSED_STREAM, None]
    assert len(services.journal) == 2


async def test_scripted_answers_hit_as_often_and_whom_they_are_meant_for(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    other = services.make_handle("apns", 2)
    services.apns.register(other)
    services.apns.faults.answer(429, "TooManyRequests", handle=other, retry_after=7)
    services.apns.faults.answer(503, "ServiceUnavailable", times=1)
    answers = [await client.post(at, headers, BODY) for at in (path, path, f"/3/device/{other}", f"/3/device/{other}")]
    assert [answer.status for answer in answers] == [503, 200, 429, 429]
    assert answers[2].headers["retry-after"] == "7"
    services.apns.faults.clear()
    assert (await client.post(f"/3/device/{other}", headers, BODY)).status == 200


async def test_a_share_of_the_pushes_can_be_hit(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.answer(500, "InternalServerError", share=0.3)
    statuses = [(await client.post(path, headers, BODY)).status for _ in range(200)]
    assert 30 < statuses.count(500) < 90


async def test_a_bad_push_keeps_its_own_refusal(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.answer(503, "ServiceUnavailable", times=1)
    assert (await client.post(path, headers)).json == {"reason": "PayloadEmpty"}
    assert (await client.post(path, headers, BODY)).status == 503


async def test_error_bodies_can_come_in_two_frames_or_not_at_all(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.answer(503, "Shutdown", body="split", times=1)
    services.apns.faults.answer(503, "Shutdown", body="missing", times=1)
    split, missing = [await client.post(path, headers, BODY) for _ in range(2)]
    assert (len(split.pieces), split.json) == (2, {"reason": "Shutdown"})
    assert (missing.status, missing.pieces) == (503, [])


async def test_a_retry_after_can_be_a_date(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.answer(503, "Shutdown", retry_after=datetime(2026, 11, 2, 8, 0, tzinfo=UTC))
    response = await client.post(path, headers, BODY)
    assert response.headers["retry-after"] == "Mon, 02 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_dropped_connection_leaves_open_whether_the_push_was_taken(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str], accepted: bool
) -> None:
    before = len(services.journal)
    services.apns.faults.drop_connection(accepted=accepted)
    client.open(path, headers, BODY)
    async with asyncio.timeout(PATIENCE):
        await client.closed.wait()
    assert len(services.journal) == before + accepted


async def test_a_black_hole_swallows_pings_and_ends_the_connection_when_it_is_over(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    before = len(services.journal)
    services.apns.faults.black_hole()
    client.pong.clear()
    client.h2.ping(b"12345678")
    client.open(path, headers, BODY)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.pong.wait(), 0.1)
    services.apns.faults.black_hole(False)
    client.h2.ping(b"87654321")
    client.flush()
    async with asyncio.timeout(PATIENCE):
        await client.closed.wait()
    assert len(services.journal) == before
    async with await Http2Client.connect(services.apns.port, services.ca_file) as another:
        assert (await another.post(path, headers, BODY)).status == 200


async def test_answers_can_be_late(
    services: PushServices, client: Http2Client, path: str, headers: dict[str, str]
) -> None:
    services.apns.faults.latency(iter([0.5, 0.0]).__next__)
    late, quick = client.open(path, headers, BODY), client.open(path, headers, BODY)
    answered: list[object] = []
    for answer in (late, quick):
        answer.add_done_callback(answered.append)
    assert [answer.status for answer in await asyncio.gather(late, quick)] == [200, 200]
    assert answered == [quick, late]


def test_the_services_run_on_uvloop_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def push() -> int:
        async with PushServices(tmp_path_factory.mktemp("uvloop"), accept_unknown=True) as services:
            credential = services.apns_credential
            async with await Http2Client.connect(services.apns.port, services.ca_file) as client:
                bearer = provider_token(credential, datetime.now(UTC) - timedelta(seconds=5))
                headers = {"authorization": f"bearer {bearer}", "apns-topic": credential.topic}
                handle = services.make_handle("apns", 1)
                return (await client.post(f"/3/device/{handle}", headers, BODY)).status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(push()) == 200
