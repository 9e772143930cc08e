"""Forgets, every few minutes, what is past its time."""

from collections.abc import Callable

from bridge.config.models.document import Settings
from hub.engine import Hub, Retention
from hub.errors import StoreError
from hub.facts import Crashed
from hub.loops import Pulse
from hub.observer import Observer

_EVERY, _AGAIN = 300.0, 5.0
"""Seconds between two times, and until the next try where the store failed."""

_NOTIFICATIONS_KEPT = 30 * 24 * 3600.0


class Housekeeping:
    """`settings` are asked each time for the limits of what is kept; `every` are the seconds between two times."""

    def __init__(
        self, hub: Hub, *, settings: Callable[[], Settings], observer: Observer, every: float = _EVERY
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._every = every
        self._observer = observer
        self.pulse = Pulse()

    async def run(self) -> None:
        """Until cancelled; where the store fails, soon again, so that readiness names the store until it works."""
        while True:
            await self.pulse.sleep(self._every)
            with self._hub.health.repeating("housekeep"):
                while not await self._forget():
                    self.pulse.beat()
                    await self._hub.health.pause(_AGAIN)

    async def _forget(self) -> bool:
        """Whether the store did it, or never will."""
        try:
            await self._hub.housekeep(_retention(self._settings()), on_slice=self.pulse.beat)
        except StoreError:
            return False
        except Exception as error:  # events go on, even if what is past its time stays
            self._observer.observe(Crashed(work="housekeeping", error=error))
        return True


def _retention(settings: Settings) -> Retention:
    dead_letters, journal = settings.dead_letters.default.store, settings.journal
    return Retention(
        notifications=_NOTIFICATIONS_KEPT,
        content=settings.delivery.keep_content,
        dead_letters=dead_letters.retention,
        max_dead_letters=dead_letters.max_rows,
        max_dead_letter_bytes=dead_letters.max_bytes,
        events=journal.events,
        event_content=journal.bodies,
        max_journal_bytes=journal.max_bytes,
    )
