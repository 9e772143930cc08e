"""The API as it is deployed: uvicorn and TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp

from sandbox.tls import Authority


@contextlib.asynccontextmanager
async def serving(authority: Authority, app: ASGIApp) -> AsyncIterator[int]:
    """The port on localhost where `app` is served over TLS, with a certificate of `authority`."""
    ready = asyncio.Event()
    ports: list[int] = []

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            ports.append(self.servers[0].sockets[0].getsockname()[1])
            ready.set()

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None)
    config.load()
    config.ssl = authority.server_context(["http/1.1"])
    server = Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server._serve())
        await ready.wait()
        try:
            yield ports[0]
        finally:
            server.should_exit = True
