"""How much waits in an entity: counted by the broker where we may ask it, else looked at."""

import time
from collections.abc import Awaitable, Callable

from connectors.servicebus.client import Client, letting_go, translated
from connectors.servicebus.settings import ServiceBusSettings

_ASK_AGAIN = 300.0
"""Seconds for which a refusal to count is taken as an answer."""


class Counter:
    """Counts by administration, which takes the right Manage; without, what `look` sees for itself counts."""

    def __init__(self, client: Client, settings: ServiceBusSettings, look: Callable[[], Awaitable[int]]) -> None:
        self._client = client
        self._settings = settings
        self._look = look
        self._refused_until = 0.0
        self._last_count = 0

    async def count(self) -> int:
        """Messages that can be received or are locked.

        The broker counts deferred ones too, which do not come: a count that stands still is none if nothing is seen.

        Raises: SourceError.
        """
        count = await self._asked_count()
        if count is not None and (count == 0 or count != self._last_count):
            self._last_count = count
            return count
        with translated(f"the {self._settings.path}"):
            seen = await self._look()
        return count if seen and count is not None else seen

    async def _asked_count(self) -> int | None:
        """The count that the broker gives, None while it gives none."""
        if time.monotonic() < self._refused_until:
            return None
        try:
            with letting_go():
                return await self._asked()
        except Exception:  # for want of rights, of a way there, or of an answer that the SDK can read
            self._refused_until = time.monotonic() + _ASK_AGAIN
            await self._client.close_administration()  # its token may be over: it renews them a minute late
            return None

    async def _asked(self) -> int:
        settings, administration = self._settings, self._client.administration
        properties: object
        if settings.queue is not None:
            properties = await administration.get_queue_runtime_properties(settings.queue.name)
        else:
            assert settings.topic is not None
            assert settings.subscription is not None
            properties = await administration.get_subscription_runtime_properties(
                settings.topic.name, settings.subscription.name
            )
        return int(getattr(properties, "dead_letter_message_count" if settings.dead_letter else "active_message_count"))
