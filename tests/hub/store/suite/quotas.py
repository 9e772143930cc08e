"""What is known of the quotas of push services: learnt from a refusal, kept, and shared by all processes."""

import pytest

from hub.notification import Platform
from hub.quota import QuotaReport
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.store.suite.harness import Stores, Suite

FCM = (HUB, Platform.FCM)
WNS = (HUB, Platform.WNS)


def full(spent: int = 6000, *, wanted: float = 1000.0) -> QuotaReport:
    """Of so many pushes that were taken in ten seconds, and one that was refused for another fifty."""
    slots = [(10.0 - part / 2, spent // 20) for part in range(20)]
    return QuotaReport(spent=slots, refused=1, retry_after=50.0, wanted=wanted)


class Quotas(Suite):
    async def test_nothing_is_known_of_a_service_that_refused_nothing(self, store: SqlStore) -> None:
        grants = await store.share_quotas({FCM: QuotaReport(spent=[(0.1, 500)], wanted=1000)})
        assert grants[FCM].limit is None
        assert not await store.known_quotas()

    async def test_a_refusal_says_what_a_service_takes_and_a_new_process_knows_it(
        self, store: SqlStore, stores: Stores
    ) -> None:
        grants = await store.share_quotas({FCM: full(), WNS: QuotaReport(wanted=1)})
        assert grants[FCM].limit == 6000
        assert grants[FCM].pushes == 0, "nothing goes before the next period begins"
        assert grants[WNS].limit is None
        await stores.crash()
        again = await stores.open()
        assert await again.known_quotas() == {FCM: 6000.0}

    async def test_what_one_process_spends_another_is_not_granted(
        self, store: SqlStore, stores: Stores, clock: HostClock
    ) -> None:
        await store.share_quotas({FCM: full()})
        clock.advance(120)
        other = await stores.take_over()
        assert (await other.share_quotas({FCM: QuotaReport(spent=[(1.0, 5900)], wanted=1000)}))[FCM].pushes > 0
        clock.advance(0.5)
        grant = (await store.share_quotas({FCM: QuotaReport(wanted=1000)}))[FCM]
        assert grant.limit == pytest.approx(6000)
        assert grant.pushes < 6000 * 0.995 - 5900
