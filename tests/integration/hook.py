"""A receiver of signed webhooks, such as a system that a sink tells of outcomes."""

from pathlib import Path
from typing import Any

import orjson

from sandbox.exchange import Answer, Exchange
from tests.integration.played import PlayedServer

SECRET = "only-for-these-tests"


class Hook(PlayedServer):
    """Listens with TLS, keeps the CloudEvents that it was sent, and answers `status`; `async with Hook(directory) as hook`
    makes the directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        super().__init__(directory)
        self.told: list[dict[str, Any]] = []
        self.status = 204
        self._held: list[Exchange] | None = None

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def settings(self) -> dict[str, Any]:
        """`http` of a sink that posts to it."""
        url = f"https://127.0.0.1:{self.port}/in"
        return {"url": url, "secret": SECRET, "tls": {"ca_file": str(self.ca_file)}}

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The data of what it was told, of the types that end so."""
        return [each["data"] for each in self.told if each["type"].endswith(name)]

    def serve(self, exchange: Exchange) -> None:
        if self.status == 204:
            self.told.append(orjson.loads(exchange.body))
        if self._held is None:
            exchange.answer(Answer(status=self.status))
        else:
            self._held.append(exchange)

    def hold_answers(self, held: bool = True) -> None:
        """Take what comes and answer nothing, until it is let go."""
        waiting, self._held = self._held or [], [] if held else None
        for exchange in waiting:
            exchange.answer(Answer(status=self.status))
