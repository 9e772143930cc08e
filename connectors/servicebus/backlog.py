"""How much waits in an entity: counted by the broker where we may ask it, else looked at."""

import time
from collections.abc import Callable

from connectors.servicebus.client import Client, letting_go, translated
from connectors.servicebus.receiver import Receiver
from connectors.servicebus.settings import ServiceBusSettings

_PEEKED = 100
_ASK_AGAIN = 300.0
"""Seconds for which a refusal to count is taken as an answer."""


class Counter:
    """Counts by administration, which takes the right Manage; without, up to a hundred messages are counted by peeking."""

    def __init__(self, client: Client, settings: ServiceBusSettings, receiver: Callable[[], Receiver | None]) -> None:
        self._client = client
        self._settings = settings
        self._receiver = receiver
        self._refused_until = 0.0

    async def count(self) -> int | None:
        """Messages that can be received or are locked; None where only sessions could be asked.

        Raises: SourceError.
        """
        if time.monotonic() >= self._refused_until:
            try:
                with letting_go():
                    return await self._told()
            except Exception:  # for want of rights, of a way there, or of an answer that the SDK can read
                self._refused_until = time.monotonic() + _ASK_AGAIN
                await self._client.close_administration()  # its token may be over: it renews them a minute late
        receiver = self._receiver()
        if receiver is None:
            return None
        with translated(f"the {self._settings.path}"):
            return await receiver.waiting(_PEEKED)

    async def _told(self) -> int:
        settings, administration = self._settings, self._client.administration
        properties: object
        if settings.queue is not None:
            properties = await administration.get_queue_runtime_properties(settings.queue.name)
        else:
            assert settings.topic is not None
            assert settings.subscription is not None
            properties = await administration.get_subscription_runtime_properties(
                settings.topic, settings.subscription.name
            )
        return int(getattr(properties, "dead_letter_message_count" if settings.dead_letter else "active_message_count"))
