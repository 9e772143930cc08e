"""Looks, when their time has come, which phones have not opened what rules with `unless_opened` pushed."""

from bridge.config.models.document import Settings
from bridge.observe.facts import FollowUpsMeasured, PushesFollowedUp, SinkObserver
from hub.errors import StoreError
from hub.facts import Crashed
from hub.follow_up import FollowUpUsage
from hub.loops import Pulse
from hub.store.contracts.follow_ups import FollowUps

_LOOK_EVERY = 1.0
"""Seconds between two looks at what is due."""

_MEASURE_EVERY = 15
"""Looks between two counts of what waits, which also find what waits for rules that are not configured any more."""


class FollowUpLoop:
    """`apply` says by which configuration; run `run` as a task. While no rule asks for it, and nothing waits, the store is
    asked four times a minute."""

    def __init__(self, store: FollowUps, *, observer: SinkObserver) -> None:
        self._store = store
        self._observer = observer
        self._is_asked = False
        self.pulse = Pulse()
        self.usage = FollowUpUsage()
        """What waited at the last count."""

    def apply(self, settings: Settings) -> None:
        self._is_asked = bool(settings.rules.follow_ups)

    async def run(self) -> None:
        """Until cancelled."""
        looks = 0
        while True:
            try:
                if looks % _MEASURE_EVERY == 0:
                    await self._measure()
                if self._is_asked or self.usage.waiting:
                    await self._look()
            except StoreError:
                pass  # reported by who watches the store, and looked at again
            except Exception as error:  # reports go on
                self._observer.observe(Crashed(work="follow-ups", error=error))
            looks += 1
            await self.pulse.sleep(_LOOK_EVERY)

    async def _look(self) -> None:
        is_more = True
        while is_more:
            followed = await self._store.follow_up()
            if followed.counts:
                self._observer.observe(PushesFollowedUp(followed=followed))
            is_more = followed.is_more

    async def _measure(self) -> None:
        self.usage = await self._store.follow_up_usage()
        self._observer.observe(FollowUpsMeasured(usage=self.usage))
