"""A relay that runs beside a figure, in a thread of its own: figures wait for their daemons without an event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.brokers.relay import Relay


@contextmanager
def running(relay: Relay) -> Iterator[Callable[[Callable[[], None]], None]]:
    """The relay listens; what comes back has the relay do something, such as `relay.stall`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def have(do: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(do)

    try:
        asyncio.run_coroutine_threadsafe(relay.__aenter__(), loop).result()
        yield have
        asyncio.run_coroutine_threadsafe(relay.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
