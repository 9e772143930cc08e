"""A hub kept the same as another one, in a store: what a list that breaks off does, and an id that has expired there."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hub.delivery.remote_api import RemoteApi
from hub.errors import RemoteError
from hub.facts import DeviceMirrored, HubFact, MirrorWrite
from hub.installation import Installation, Registration
from hub.moving.asking import Asking
from hub.moving.relisting import Relisting
from hub.moving.writing_through import WritingThrough
from hub.notification import Platform
from hub.store.contracts.mirrors import MirrorBacklog, MirroredDevice
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.mirrored_store import mirrored_store
from tests.hub.other_hub import ListedHub
from tests.hub.test_moving import SETTINGS, Remote, described, feed

OWNED = described("1-1-1", "$InstallationId:{phone},news")
SINGLES = [described("2-2-1", "a"), described("3-3-1", "b")]
SINGLE = Registration(registration_id="7-7-1", platform=Platform.APNS, push_channel="AA", tags=("a",))
PHONE = Installation(id="phone", platform=Platform.APNS, push_channel="BB")


@pytest.fixture
def clock() -> HostClock:
    return HostClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HostClock) -> AsyncIterator[SqlStore]:
    async with mirrored_store(tmp_path, clock) as store:
        yield store


def page(*descriptions: str, token: str = "") -> httpx.Response:
    headers = {"x-ms-continuationtoken": token} if token else {}
    return httpx.Response(200, content=feed(*descriptions), headers=headers)


async def registered(store: SqlStore) -> dict[str, tuple[str, ...]]:
    """The tags of what is kept here: of the installation, and of each single registration."""
    ids = [description.partition("<RegistrationId>")[2].partition("<")[0] for description in SINGLES]
    singles = [await store.get_registration(HUB, id) for id in ids]
    phone = await store.get_installation(HUB, "phone")
    return {phone.id: tuple(phone.tags), **{each.registration_id: tuple(each.tags) for each in singles}}


@pytest.mark.parametrize(
    "end",
    [
        httpx.ReadTimeout("late"),
        httpx.Response(503),
        httpx.Response(401),
        httpx.Response(200, content=feed(*SINGLES)[:-9]),
        page(*SINGLES, token="Mg"),
    ],
    ids=["away", "busy", "refused", "cut off", "same page again"],
)
async def test_a_list_that_breaks_off_half_way_changes_and_deletes_nothing(
    store: SqlStore, clock: HostClock, end: httpx.Response | Exception
) -> None:
    whole = ListedHub()
    whole.listed = dict(zip(("1-1-1", "2-2-1", "3-3-1"), (OWNED, *SINGLES), strict=True))
    assert await whole.list_into(HUB, store, began=store.now()) == {"added": 3}
    before = await registered(store)
    clock.advance(60)

    broken = Remote(page(described("1-1-1", "$InstallationId:{phone},changed"), described("9-9-1"), token="Mg"), end)
    with pytest.raises(RemoteError):
        await Relisting(HUB, broken.listing, Asking(broken.api), store, other_wins=True).run(began=store.now())
    assert await registered(store) == before
    assert {each.key for each in await store.mirrored_before(HUB, store.now(), limit=10)} == {
        "i:phone",
        "r:2-2-1",
        "r:3-3-1",
    }
    assert await store.mirror_backlog(HUB) == MirrorBacklog()

    whole.listed = {"1-1-1": OWNED}
    assert await whole.list_into(HUB, store, began=store.now()) == {"removed": 2}, "a whole list deletes what it lacks"


class OtherHub:
    """Gives ids, and serves those that it gave and that have not expired; keeps what it was asked."""

    def __init__(self, store: SqlStore) -> None:
        self.asked: list[str] = []
        self.expired: set[str] = set()
        self.breaks: Callable[[str], bool] = lambda asked: False
        self.facts: list[DeviceMirrored] = []
        self._given = 0
        api = RemoteApi(SETTINGS)
        api._client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.writing = WritingThrough(HUB, api, store, observer=self)

    def observe(self, fact: HubFact) -> None:
        assert isinstance(fact, DeviceMirrored)
        self.facts.append(fact)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(f"/{SETTINGS.hub}/")
        self.asked.append(f"{request.method} {path}")
        if self.breaks(self.asked[-1]):
            raise httpx.ConnectError("refused")
        if path == "registrationids":
            self._given += 1
            url = f"{SETTINGS.endpoint}/{SETTINGS.hub}/registrationids/9-9-{self._given}?api-version=2020-06"
            return httpx.Response(201, headers={"Content-Location": url})
        if request.method == "GET":
            return httpx.Response(404)
        return httpx.Response(410 if path.rpartition("/")[2] in self.expired else 200)


async def known(store: SqlStore, key: str) -> MirroredDevice:
    (device,) = await store.mirrored(HUB, [key])
    return device


async def test_a_registration_whose_id_is_gone_at_the_other_hub_gets_another_one_there(store: SqlStore) -> None:
    other = OtherHub(store)
    await store.put_registration(HUB, SINGLE)
    await other.writing.part()
    assert other.asked == ["GET registrations/7-7-1", "POST registrationids", "PUT registrations/9-9-1"]
    assert (await known(store, "r:7-7-1")).there == "9-9-1"

    other.expired.add("9-9-1")
    other.asked.clear()
    await store.put_registration(HUB, replace(SINGLE, tags=("b",)))
    await other.writing.part()
    assert other.asked == ["PUT registrations/9-9-1", "POST registrationids", "PUT registrations/9-9-2"]
    assert (await known(store, "r:7-7-1")).there == "9-9-2"
    assert await store.mirror_backlog(HUB) == MirrorBacklog()
    assert (await store.get_registration(HUB, SINGLE.registration_id)).tags == ("b",), "here it keeps its id"

    other.asked.clear()
    await store.delete_registration(HUB, SINGLE.registration_id)
    await other.writing.part()
    assert other.asked == ["DELETE registrations/9-9-2"]
    assert [fact.outcome for fact in other.facts] == [MirrorWrite.WRITTEN, MirrorWrite.WRITTEN, MirrorWrite.DELETED]


async def test_the_new_id_is_kept_before_it_is_used_so_that_no_try_makes_a_second_one(store: SqlStore) -> None:
    other = OtherHub(store)
    await store.put_registration(HUB, SINGLE)
    other.breaks = lambda asked: asked == "PUT registrations/9-9-1"
    with pytest.raises(RemoteError):
        await other.writing.part()
    waiting = await known(store, "r:7-7-1")
    assert (waiting.there, waiting.said, waiting.waits_since is None) == ("9-9-1", "", False)

    other.breaks = lambda asked: False
    other.asked.clear()
    await other.writing.part()
    assert other.asked == ["PUT registrations/9-9-1"]


async def test_an_installation_that_the_other_hub_serves_no_more_is_refused_and_holds_up_no_other(
    store: SqlStore,
) -> None:
    other = OtherHub(store)
    other.expired.add("phone")
    await store.put_installations(HUB, [PHONE, replace(PHONE, id="second")])
    await other.writing.part()
    assert {fact.key: fact.outcome for fact in other.facts} == {
        "i:phone": MirrorWrite.REFUSED,
        "i:second": MirrorWrite.WRITTEN,
    }
    backlog = await store.mirror_backlog(HUB)
    assert (backlog.waiting, backlog.refused) == (1, 1)
    assert "serves this id no more" in backlog.reason
