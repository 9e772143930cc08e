"""The hub that another one mirrors, as its wire API shows it: what is there by now, and what its lists say of that."""

from collections.abc import Callable

import httpx
import orjson

from hub.delivery.remote_api import RemoteApi
from hub.facts import MirrorAnswer
from hub.moving.asking import Asking
from hub.moving.listing import Listing
from hub.moving.relisting import Registered, Relisting
from tests.hub.test_moving import SETTINGS, described, feed

HEX = "<DeviceToken>{}</DeviceToken>"


class ListedHub:
    """`registrations` are descriptions by id and `installations` documents by id. A list shows `listed` where that is said,
    in pages of `per_page`; `at_page` is called before each page is given, `answers` come before all else."""

    def __init__(self) -> None:
        self.registrations: dict[str, str] = {}
        self.installations: dict[str, dict[str, object]] = {}
        self.listed: dict[str, str] | None = None
        self.per_page = 100
        self.at_page: Callable[[int], None] = lambda page: None
        self.answers: dict[str, httpx.Response] = {}
        self.asked: list[str] = []
        self.waited: list[float] = []
        self.api = RemoteApi(SETTINGS)
        self.api._client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def put(self, id: str, channel: str, *tags: str, template: str = "") -> None:
        """An installation with a native registration, and one of a template where that is said."""
        self.forget(id)
        document: dict[str, object] = {"installationId": id, "platform": "apns", "pushChannel": channel}
        own = f"$InstallationId:{{{id}}},{','.join(tags)}"
        self.registrations[f"{id}-{channel}-1"] = described(f"{id}-{channel}-1", own, inner=HEX.format(channel))
        if tags:
            document["tags"] = list(tags)
        if template:
            document["templates"] = {"news": {"body": template}}
            inner = HEX.format(channel) + f"<BodyTemplate><![CDATA[{template}]]></BodyTemplate>"
            inner += "<TemplateName>news</TemplateName>"
            name = "AppleTemplate"
            self.registrations[f"{id}-{channel}-2"] = described(
                f"{id}-{channel}-2", f"{own},news", name=name, inner=inner
            )
        self.installations[id] = document

    def put_single(self, id: str, channel: str, *tags: str) -> None:
        self.registrations[id] = described(id, ",".join(tags), inner=HEX.format(channel))

    def forget(self, id: str) -> None:
        self.installations.pop(id, None)
        for each in [each for each in self.registrations if each == id or each.startswith(f"{id}-")]:
            del self.registrations[each]

    def relisting(
        self, hub: str, store: Registered, *, other_wins: bool = True, may_go_on: Callable[[], bool] = lambda: True
    ) -> Relisting:
        listing, asking = Listing(self.api, sleep=self._sleep), Asking(self.api, sleep=self._sleep)
        return Relisting(hub, listing, asking, store, other_wins=other_wins, may_go_on=may_go_on)

    async def list_into(
        self, hub: str, store: Registered, *, began: float, other_wins: bool = True, may_remove: bool = False
    ) -> dict[str, int]:
        """How many devices had each answer that any had."""
        counts = await self.relisting(hub, store, other_wins=other_wins).run(began=began, may_remove=may_remove)
        assert counts is not None
        return {each.value: counts[each.value] for each in MirrorAnswer if counts[each.value]}

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(f"/{SETTINGS.hub}/")
        self.asked.append(path)
        if (answer := self.answers.pop(path, None)) is not None:
            return answer
        kind, _, id = path.partition("/")
        if kind == "installations":
            document = self.installations.get(id)
            return httpx.Response(404) if document is None else httpx.Response(200, content=orjson.dumps(document))
        if id:
            found = self.registrations.get(id)
            if found is None:
                return httpx.Response(404)
            entry = (
                f'<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">{found}</content></entry>'
            )
            return httpx.Response(200, content=entry.encode())
        return self._page(request.url.params.get("continuationtoken", ""))

    def _page(self, after: str) -> httpx.Response:
        self.at_page(sum(each == "registrations" for each in self.asked))
        listed = self.registrations if self.listed is None else self.listed
        left = sorted(each for each in listed if each > after)
        shown = left[: self.per_page]
        headers = {"x-ms-continuationtoken": shown[-1]} if len(left) > len(shown) else {}
        return httpx.Response(200, content=feed(*(listed[each] for each in shown)), headers=headers)
