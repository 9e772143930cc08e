"""Secondary tiles: sections 5.4, 6.1, 6.6 and 6.7 of the wire contract."""

from collections import Counter
from typing import Any

import httpx
import pytest

from hub.notification import Platform
from tests.fakes.senders import GONE
from tests.hub.api.conformance.conftest import Service

TOAST = {"body": "<toast><text>$(m)</text></toast>"}
MAIN, TILE, OTHER = ("https://wns.example/main", "https://wns.example/tile", "https://wns.example/other")
DOCUMENT: dict[str, Any] = {
    "platform": "wns",
    "pushChannel": MAIN,
    "tags": ["t1"],
    "userId": "u1",
    "templates": {"greet": TOAST},
    "secondaryTiles": {"city": {"pushChannel": TILE, "tags": ["zurich"], "templates": {"weather": TOAST}}},
}
NATIVE = {"ServiceBusNotification-Format": "windows", "X-WNS-Type": "wns/toast"}


@pytest.fixture
async def i1(service: Service) -> Service:
    await service.put("i1", **DOCUMENT)
    return service


async def patch(client: httpx.AsyncClient, *operations: tuple[str, str, Any]) -> httpx.Response:
    body = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return await client.patch("/h1/installations/i1", json=body)


async def tiles(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/h1/installations/i1")).json().get("secondaryTiles", {})
    return found


async def registered(service: Service) -> int:
    return len((await service.hub.registrations("h1", limit=9)).items)


async def reached(service: Service, tags: str, **headers: str) -> Counter[str]:
    """The push channels that a send to a tag expression reached."""
    sender = service.senders[Platform.WNS]
    before, ended = len(sender.pushes), service.observer.states.total()
    body = '{"m":"hi"}' if headers.get("ServiceBusNotification-Format") == "template" else "<toast/>"
    answer = await service.client.post(
        "/h1/messages", content=body, headers={**NATIVE, "ServiceBusNotification-Tags": tags, **headers}
    )
    assert answer.status_code == 201, answer.text
    await service.observer.until_ended(ended + 1)
    return Counter(push.push_channel for push in sender.pushes[before:])


async def test_a_tile_is_kept_and_read(i1: Service, client: httpx.AsyncClient) -> None:
    document = (await client.get("/h1/installations/i1")).json()
    assert document["secondaryTiles"] == {
        "city": {
            "pushChannel": TILE,
            "pushChannelExpired": False,
            "tags": ["zurich"],
            "templates": {"weather": {**TOAST, "tags": ["weather"]}},
        }
    }
    assert list(document)[-1] == "secondaryTiles"
    assert (await client.put("/h1/installations/i1", json=document)).status_code == 200  # what was read can be put
    assert (await client.get("/h1/installations/i1")).json() == document


async def test_a_tile_has_registrations_of_its_own(i1: Service, client: httpx.AsyncClient) -> None:
    found = (await i1.hub.registrations("h1", tag="$InstallationId:{i1}", limit=9)).items
    assert {(each.push_channel, each.template_name, each.secondary_tile): each.tags[2:] for each in found} == {
        (MAIN, None, None): ("t1",),
        (MAIN, "greet", None): ("t1", "greet"),
        (TILE, None, "city"): ("zurich",),
        (TILE, "weather", "city"): ("zurich", "weather"),
    }
    assert {each.tags[:2] for each in found} == {("$InstallationId:{i1}", "$UserId:{u1}")}
    assert len({each.registration_id for each in found}) == 4
    for each in found:
        entry = await client.get(f"/h1/registrations/{each.registration_id}")
        assert entry.status_code == 200
        is_native_tile = each.secondary_tile is not None and each.template is None
        assert ("<SecondaryTileName>city</SecondaryTileName>" in entry.text) is is_native_tile
        assert (await client.delete(f"/h1/registrations/{each.registration_id}")).status_code == 400
    assert (await client.get("/h1/registrations/i1%0Acity")).status_code in (400, 404)
    assert (await client.delete("/h1/registrations/i1%0Acity")).status_code in (400, 404)
    assert len(await tiles(client)) == 1


async def test_a_send_reaches_a_tile_by_its_own_tags(i1: Service) -> None:
    template = {"ServiceBusNotification-Format": "template"}
    assert await reached(i1, "zurich") == {TILE: 1}
    assert await reached(i1, "t1") == {MAIN: 1}
    assert await reached(i1, "$UserId:{u1}") == {MAIN: 1, TILE: 1}
    assert await reached(i1, "$InstallationId:{i1} && weather", **template) == {TILE: 1}
    assert await reached(i1, "zurich", **template) == {TILE: 1}
    assert await reached(i1, "$InstallationId:{i1}", **template) == {MAIN: 1, TILE: 1}


@pytest.mark.parametrize(
    ("operations", "changed"),
    [
        ([("replace", "/secondaryTiles/city/pushChannel", OTHER)], {"pushChannel": OTHER}),
        ([("add", "/secondaryTiles/city/tags", "bern")], {"tags": ["zurich", "bern"]}),
        ([("replace", "/SecondaryTiles/city/Tags", ["bern"])], {"tags": ["bern"]}),
        ([("add", "/secondaryTiles/city/tags/bern", None)], {"tags": ["zurich", "bern"]}),
        ([("remove", "/secondaryTiles/city/tags/ZURICH", None)], {"tags": None}),
        ([("remove", "/secondaryTiles/city/tags", None)], {"tags": None}),
        ([("remove", "/secondaryTiles/city/templates/weather", None)], {"templates": None}),
        ([("remove", "/secondaryTiles/city/templates", None)], {"templates": None}),
        (
            [("add", "/secondaryTiles/city/templates/x", '{"body":"<badge/>"}')],
            {
                "templates": {
                    "weather": {**TOAST, "tags": ["weather"]},
                    "x": {"body": "<badge/>", "tags": ["x"]},
                }
            },
        ),
        (
            [
                ("replace", "/secondaryTiles/city/templates/weather/body", "<badge/>"),
                ("add", "/secondaryTiles/city/templates/weather/headers/X-WNS-Tag", "w"),
                ("add", "/secondaryTiles/city/templates/weather/tags", "bern"),
            ],
            {
                "templates": {
                    "weather": {"body": "<badge/>", "headers": {"X-WNS-Tag": "w"}, "tags": ["bern", "weather"]}
                }
            },
        ),
        (
            [("replace", "/secondaryTiles/city", {"pushChannel": OTHER})],
            {"pushChannel": OTHER, "tags": None, "templates": None},
        ),
    ],
)
async def test_each_path_of_a_tile_is_patched(
    i1: Service, client: httpx.AsyncClient, operations: list[tuple[str, str, Any]], changed: dict[str, Any]
) -> None:
    before = (await tiles(client))["city"]
    answer = await patch(client, *operations)
    assert answer.status_code == 200, answer.text
    after = (await tiles(client))["city"]
    assert after == {name: value for name, value in {**before, **changed}.items() if value is not None}


async def test_tiles_come_and_go_by_patch(i1: Service, client: httpx.AsyncClient) -> None:
    second = {"pushChannel": OTHER, "tags": ["bern"]}
    assert (await patch(client, ("add", "/secondaryTiles/b~1c", second))).status_code == 200
    assert list(await tiles(client)) == ["city", "b/c"]
    assert await reached(i1, "bern || zurich") == {TILE: 1, OTHER: 1}
    assert (await patch(client, ("remove", "/secondaryTiles/city", None))).status_code == 200
    assert await reached(i1, "bern || zurich") == {OTHER: 1}
    more = {"x": {"pushChannel": TILE}}
    assert (await patch(client, ("add", "/secondaryTiles", more))).status_code == 200
    assert list(await tiles(client)) == ["b/c", "x"]
    assert (await patch(client, ("remove", "/secondaryTiles", None))).status_code == 200
    assert await tiles(client) == {}
    assert await registered(i1) == 2


@pytest.mark.parametrize(
    "operation",
    [
        ("add", "/secondaryTiles/t", {}),
        ("add", "/secondaryTiles/t/tags", "x"),
        ("add", "/secondaryTiles/city/colour", "x"),
        ("remove", "/secondaryTiles/city/pushChannel", None),
        ("replace", "/secondaryTiles/city/pushChannel", "http://no"),
        ("replace", "/secondaryTiles/city/pushChannel/x", "x"),
        ("add", "/secondaryTiles/city/tags", "$InstallationId:{i2}"),
        ("add", "/secondaryTiles/city/templates/x", {"body": "<toast>$(a-b)</toast>"}),
        ("replace", "/secondaryTiles", [1]),
        ("add", f"/secondaryTiles/{'x' * 65}", {"pushChannel": OTHER}),
        ("add", "/secondaryTiles/a%0Ab", {"pushChannel": OTHER}),
        ("replace", "/secondaryTiles", {f"t{n}": {"pushChannel": OTHER} for n in range(61)}),
    ],
)
async def test_a_patch_of_a_tile_that_means_nothing_is_refused_whole(
    i1: Service, client: httpx.AsyncClient, operation: tuple[str, str, Any]
) -> None:
    before = (await client.get("/h1/installations/i1")).json()
    answer = await patch(client, ("add", "/secondaryTiles/city/tags", "first"), operation)
    assert (answer.status_code, "<Code>400</Code>" in answer.text) == (400, True), answer.text
    assert (await client.get("/h1/installations/i1")).json() == before


async def test_only_platforms_with_tiles_have_any(client: httpx.AsyncClient) -> None:
    for platform, channel in (("apns", "AABB"), ("fcmv1", "token")):
        body = {"platform": platform, "pushChannel": channel, "secondaryTiles": {"t": {"pushChannel": channel}}}
        answer = await client.put("/h1/installations/i1", json=body)
        assert (answer.status_code, "they are for wns, mpns" in answer.text) == (400, True), answer.text


async def test_a_dead_tile_is_told_and_leaves_the_phone_alone(i1: Service, client: httpx.AsyncClient) -> None:
    i1.senders[Platform.WNS].answer = GONE
    assert await reached(i1, "zurich") == {TILE: 1}
    document = (await client.get("/h1/installations/i1")).json()
    assert (document["pushChannelExpired"], document["secondaryTiles"]["city"]["pushChannelExpired"]) == (False, True)
    assert await reached(i1, "zurich || t1") == {MAIN: 1}
    await patch(client, ("add", "/tags", "t2"))
    assert (await tiles(client))["city"]["pushChannelExpired"] is True
    await patch(client, ("replace", "/secondaryTiles/city/pushChannel", OTHER))
    assert await reached(i1, "zurich") == {OTHER: 1}


async def test_a_tile_goes_with_its_installation(i1: Service, client: httpx.AsyncClient) -> None:
    assert (await client.delete("/h1/installations/i1")).status_code == 204
    assert await registered(i1) == 0
    await i1.put("i1", **DOCUMENT)
    assert await registered(i1) == 4
    await i1.hub.erase_person("u1", actor="test")
    assert await registered(i1) == 0
    await i1.put("i1", **DOCUMENT)
    assert len(await tiles(client)) == 1


async def test_a_tile_whose_installation_died_and_was_forgotten_goes_too(
    i1: Service, client: httpx.AsyncClient
) -> None:
    i1.senders[Platform.WNS].answer = GONE
    await reached(i1, "t1")
    i1.clock.now += 31 * 24 * 3600
    while await i1.hub.store.forget_dead(kept=30 * 24 * 3600):
        pass
    assert await registered(i1) == 0
    await i1.put("i1", **DOCUMENT)
    assert await registered(i1) == 4


async def test_the_tile_of_a_registration_is_kept(client: httpx.AsyncClient) -> None:
    namespace = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
    described = (
        f'<WindowsRegistrationDescription xmlns="{namespace}"><Tags>a</Tags><ChannelUri>{TILE}</ChannelUri>'
        "<SecondaryTileName>a&amp;b</SecondaryTileName></WindowsRegistrationDescription>"
    )
    put = await client.put("/h1/registrations/1-2-3", content=f"<entry><content>{described}</content></entry>")
    assert put.status_code == 200, put.text
    for answer in (put, await client.get("/h1/registrations/1-2-3"), await client.get("/h1/registrations")):
        assert f"<ChannelUri>{TILE}</ChannelUri><SecondaryTileName>a&amp;b</SecondaryTileName>" in answer.text
