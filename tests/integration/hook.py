"""A receiver of signed webhooks, such as a system that a sink tells of outcomes."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer
from sandbox.tls import Authority

SECRET = "only-for-these-tests"


class Hook:
    """Listens with TLS, keeps the CloudEvents that it was sent, and answers `status`; `async with Hook(directory) as hook`
    makes the directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.told: list[dict[str, Any]] = []
        self.status = 204
        self._authority = Authority(directory)
        context = self._authority.server_context(["http/1.1"])
        self._server = HttpServer(
            self._serve, faults=Faults(), context=context, versions=("http/1.1",), max_streams=100
        )

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop()

    @property
    def settings(self) -> dict[str, Any]:
        """`http` of a sink that posts to it."""
        url = f"https://127.0.0.1:{self._server.port}/in"
        return {"url": url, "secret": SECRET, "tls": {"ca_file": str(self._authority.ca_file)}}

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The data of what it was told, of the types that end so."""
        return [each["data"] for each in self.told if each["type"].endswith(name)]

    def _serve(self, exchange: Exchange) -> None:
        if self.status == 204:
            self.told.append(orjson.loads(exchange.body))
        exchange.answer(Answer(status=self.status))
