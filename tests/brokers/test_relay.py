"""The relay's faults are what they say, so that a test of a fault tests that fault."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.brokers.faulty_relay import Fault, FaultyRelay, Way
from tests.brokers.relay import Relay

QUICK = 0.05  # seconds in which loopback would long have answered


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A relay in front of a server that sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Relay(server.sockets[0].getsockname()[1]) as relay:
        yield relay


async def test_bytes_pass_both_ways_and_an_end_is_passed_on(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"hello"
    writer.close()


async def test_a_cut_breaks_open_connections_and_takes_new_ones(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    await relay.cut()
    assert await reader.read() == b""
    writer.close()
    await test_bytes_pass_both_ways_and_an_end_is_passed_on(relay)


async def test_a_stall_holds_bytes_back_until_it_ends(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    relay.stall()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(5), QUICK)
    relay.flow()
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_a_refusing_relay_hangs_up(relay: Relay) -> None:
    relay.refuse()
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    assert await reader.read() == b""
    writer.close()


@pytest.fixture
async def faulty(relay: Relay) -> AsyncIterator[FaultyRelay]:
    async with FaultyRelay(relay.port) as faulty:
        yield faulty


async def test_a_fault_is_done_at_its_piece_and_later_connections_are_good(faulty: FaultyRelay) -> None:
    for fault in (Fault.HALF_OPEN, Fault.GARBAGE):
        faulty.arm(fault, at=2)
        reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        writer.write(b"two")
        await faulty.until_met()
        if fault is Fault.GARBAGE:
            assert await reader.readexactly(3) != b"two"
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(QUICK):
                    await reader.read(1)
        again_reader, again = await asyncio.open_connection("127.0.0.1", faulty.port)
        again.write(b"three")
        assert await again_reader.readexactly(5) == b"three"
        writer.close()
        again.close()


async def test_a_cut_of_a_faulty_relay_is_of_every_connection(faulty: FaultyRelay) -> None:
    first_reader, first = await asyncio.open_connection("127.0.0.1", faulty.port)
    first.write(b"x")
    assert await first_reader.readexactly(1) == b"x"
    faulty.arm(Fault.CUT, of=Way.CLIENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
    writer.write(b"never arrives")
    for each in (reader, first_reader):
        assert await each.read() == b""
    writer.close()
    first.close()


async def test_a_slow_relay_passes_everything(faulty: FaultyRelay) -> None:
    faulty.is_slow = True
    reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
    writer.write(bytes(1000))
    assert await reader.readexactly(1000) == bytes(1000)
    writer.close()
