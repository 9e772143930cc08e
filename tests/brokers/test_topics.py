"""The topics of tests: what a cancelled test leaves behind would fail some later one."""

import asyncio
import gc
import warnings
from pathlib import Path

from tests.brokers.kafka import NativeKafka
from tests.brokers.topics import produce


async def test_a_producer_whose_start_is_cancelled_is_closed(tmp_path: Path) -> None:
    connected = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kafka = NativeKafka(port=port, relayed_port=port, relay_port=port, sasl_port=port, directory=tmp_path)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            producing = asyncio.create_task(produce(kafka, "topic", {b"body": 0}))
            await connected.wait()
            await asyncio.sleep(0)
            producing.cancel()
            await asyncio.wait([producing])
            assert producing.cancelled()
            del producing
            gc.collect()
    assert [str(warning.message) for warning in warned] == []
