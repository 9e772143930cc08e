"""Sends pigeons: a line of JSON in a file for each."""

import orjson

from hub.notification import Platform
from hub.push import DELIVERED, PageVerdict, PushPage
from hub.requests import RequestGroup, Requests
from tests.fakes.pushes import pushes_of
from tests.pigeon.settings import PigeonSettings


class PigeonSender:
    """Pigeons of one ring."""

    def __init__(self, platform: Platform, settings: PigeonSettings) -> None:
        self.platform = platform
        self._loft = settings.loft

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`."""
        pushes = pushes_of(page)
        with self._loft.open("ab") as loft:
            for push in pushes:
                says, until = orjson.loads(push.payload), push.headers.get("pigeon-until")
                loft.write(orjson.dumps({"to": push.push_channel, "says": says, "until": until}) + b"\n")
        return PageVerdict.of(DELIVERED for _ in pushes)

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """See `Sender.requests`: what a line of the loft will hold."""
        for position, push in enumerate(pushes_of(page)):
            lines = [f"{name}: {value}".encode() for name, value in push.headers.items()]
            yield RequestGroup(
                "loft:", [position], "", [push.push_channel[5:]], lines, "pigeon-id", [push.id], [push.payload]
            )

    async def close(self) -> None:
        """Nothing to close."""
