"""Installations as the wire contract's cases 62 to 80 have them: what other tests of the API do not say already."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from hub.notification import Platform
from tests.fakes.browsers import subscription
from tests.fakes.senders import GONE
from tests.hub.api.conformance.conftest import Service

GREET = {"body": '{"aps":{"alert":"$(m)"}}'}
JSON_GREET = '{"body":"{\\"aps\\":{\\"alert\\":\\"$(m)\\"}}"}'


async def patch(client: httpx.AsyncClient, *operations: tuple[str, str, Any], id: str = "i1") -> httpx.Response:
    body = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return await client.patch(f"/h1/installations/{id}", json=body)


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/h1/installations/i1")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


FULL: dict[str, Any] = {
    "tags": ["t1"],
    "userId": "u1",
    "templates": {"greet": {**GREET, "headers": {"apns-priority": "5"}, "tags": ["x"]}},
    "pushVariables": {"v": "1"},
}


@pytest.mark.parametrize(
    ("operations", "changed"),
    [
        ([("add", "/tags", "t2")], {"tags": ["t1", "t2"]}),
        ([("add", "/tags", '["t2","T1"]')], {"tags": ["t1", "t2"]}),
        ([("replace", "/tags", ["t3"])], {"tags": ["t3"]}),
        ([("add", "/tags/t2", None)], {"tags": ["t1", "t2"]}),
        ([("add", "/tags/-", "t2")], {"tags": ["t1", "t2"]}),
        ([("add", "/tags/-", None)], {"tags": ["t1", "-"]}),
        ([("remove", "/tags/T1", None)], {"tags": None}),
        ([("remove", "/Tags", None)], {"tags": None}),
        ([("add", "/userId", "u2")], {"userId": "u2"}),
        ([("Replace", "/user", "u3")], {"userId": "u3"}),
        ([("remove", "/userId", None)], {"userId": None}),
        ([("replace", "/pushChannel", "ccdd")], {"pushChannel": "CCDD"}),
        ([("replace", "/expirationTime", "2030-01-01T10:30+0000")], {"expirationTime": "2030-01-01T10:30:00.0000000Z"}),
        ([("remove", "/templates/greet", None)], {"templates": None}),
        ([("remove", "/templates", None)], {"templates": None}),
        ([("add", "/templates", {"x": GREET})], {"templates": {**FULL["templates"], "x": {**GREET, "tags": ["x"]}}}),
        ([("replace", "/templates", {"x": GREET})], {"templates": {"x": {**GREET, "tags": ["x"]}}}),
        (
            [("replace", "/templates/x", JSON_GREET)],
            {"templates": {**FULL["templates"], "x": {**GREET, "tags": ["x"]}}},
        ),
        (
            [("replace", "/templates/a~1b%20c", GREET), ("remove", "/templates/greet", None)],
            {"templates": {"a/b c": {**GREET, "tags": ["a/b c"]}}},
        ),
        ([("replace", "/pushVariables/w", "2")], {"pushVariables": {"v": "1", "w": "2"}}),
        ([("remove", "/pushVariables/v", None)], {"pushVariables": None}),
        ([("replace", "/pushVariables", {"a": "b"})], {"pushVariables": {"a": "b"}}),
    ],
)
async def test_71_to_76_each_path_changes_what_it_names_alone(
    service: Service, client: httpx.AsyncClient, operations: list[tuple[str, str, Any]], changed: dict[str, Any]
) -> None:
    await service.put("i1", **FULL)
    before = await document(client)
    answer = await patch(client, *operations)
    assert (answer.status_code, answer.content) == (200, b"")
    expected = {name: value for name, value in {**before, **changed}.items() if value is not None}
    after = await document(client)
    if "greet" in expected.get("templates", {}):
        expected["templates"]["greet"] = before["templates"]["greet"]
    assert after == expected


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        (("replace", "/templates/greet/body", '{"aps":{}}'), {"body": '{"aps":{}}'}),
        (("add", "/templates/greet/expiry", "2030-01-01"), {"expiry": "2030-01-01"}),
        (("replace", "/templates/greet/headers", {"apns-topic": "t"}), {"headers": {"apns-topic": "t"}}),
        (("replace", "/templates/greet/headers/apns-priority", "10"), {"headers": {"apns-priority": "10"}}),
        (("remove", "/templates/greet/headers/apns-priority", None), {"headers": None}),
        (("remove", "/templates/greet/headers", None), {"headers": None}),
        (("add", "/templates/greet/tags", "y"), {"tags": ["x", "y", "greet"]}),
        (("add", "/templates/greet/tags/y", None), {"tags": ["x", "y", "greet"]}),
        (("add", "/templates/greet/tags/-", "y"), {"tags": ["x", "y", "greet"]}),
        (("remove", "/templates/greet/tags/x", None), {"tags": ["greet"]}),
        (("remove", "/templates/greet/tags", None), {"tags": ["greet"]}),
    ],
)
async def test_75_each_path_of_a_template_changes_what_it_names_alone(
    service: Service, client: httpx.AsyncClient, operation: tuple[str, str, Any], changed: dict[str, Any]
) -> None:
    await service.put("i1", **FULL)
    before = (await document(client))["templates"]["greet"]
    assert (await patch(client, operation)).status_code == 200
    after = (await document(client))["templates"]["greet"]
    assert after == {name: value for name, value in {**before, **changed}.items() if value is not None}


@pytest.mark.parametrize(
    "operation",
    [
        ("add", "/nothing", "x"),
        ("move", "/tags", "x"),
        ("add", "tags", "x"),
        ("replace", "/tags/t1", "x"),
        ("add", "/userId/x", "x"),
        ("add", "/templates/greet/colour", "x"),
        ("remove", "/templates/greet/body", None),
        ("add", "/templates/x/expiry", "0"),
        ("replace", "/templates/greet/body", '{"m":"$(bad-name)"}'),
        ("replace", "/templates/greet", "no object"),
        ("remove", "/pushChannel", None),
        ("replace", "/pushChannel", "xyz"),
        ("add", "/tags", "$InstallationId:{i2}"),
        ("add", "/tags/-", "$InstallationId:{i2}"),
        ("add", "/tags", "bad tag!"),
        ("replace", "/tags", [f"t{number}" for number in range(1000)]),
        ("replace", "/tags", {"a": "b"}),
        ("replace", "/pushVariables/v", 5),
        ("add", "/secondaryTiles/t", {}),
    ],
)
async def test_77_a_patch_that_means_nothing_is_refused_whole(
    service: Service, client: httpx.AsyncClient, operation: tuple[str, str, Any]
) -> None:
    await service.put("i1", **FULL)
    before = await document(client)
    answer = await patch(client, ("add", "/tags", "first"), operation)
    assert (answer.status_code, "<Code>400</Code>" in answer.text) == (400, True)
    assert await document(client) == before


@pytest.mark.parametrize("body", ["{}", "[1]", "no", '[{"op":"add"}]', '[{"path":"/tags"}]'])
async def test_77_what_is_no_patch_is_refused(service: Service, client: httpx.AsyncClient, body: str) -> None:
    await service.put("i1")
    assert (await client.patch("/h1/installations/i1", content=body)).status_code == 400


async def test_77_a_patch_of_no_installation_is_a_404(service: Service, client: httpx.AsyncClient) -> None:
    assert (await patch(client, ("add", "/tags", "t"))).status_code == 404
    await service.put("i1")
    assert (await patch(client, ("add", "/tags", "t"), id="i2")).status_code == 404


async def test_73_76_what_derives_from_an_installation_follows(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", **FULL)
    await patch(
        client, ("replace", "/userId", "u2"), ("replace", "/pushChannel", "ccdd"), ("add", "/templates/n", GREET)
    )
    found = (await service.hub.registrations("h1", tag="$UserId:{u2}", limit=9)).items
    assert [each.push_channel for each in found] == ["CCDD"] * 3
    assert not (await service.hub.registrations("h1", tag="$UserId:{u1}", limit=9)).items


async def test_patches_at_once_lose_none(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1")
    answers = await asyncio.gather(*(patch(client, ("add", "/tags", f"t{number}")) for number in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted((await document(client))["tags"]) == [f"t{number}" for number in range(8)]


async def test_a_patch_keeps_the_user_s_tag_among_the_tags(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["$UserId:{u1}"])
    await patch(client, ("add", "/tags", "t"))
    (found,) = (await service.hub.registrations("h1", tag="$UserId:{u1}", limit=9)).items
    assert found.tags == ("$InstallationId:{i1}", "$UserId:{u1}", "t")


@pytest.mark.parametrize(("path", "value", "expired"), [("/tags", "t", True), ("/pushChannel", "CCDD", False)])
async def test_126_a_dead_push_channel_stays_dead_until_there_is_another(
    service: Service, client: httpx.AsyncClient, path: str, value: str, expired: bool
) -> None:
    await service.put("i1")
    service.senders[Platform.APNS].answer = GONE
    await client.post("/h1/messages", content="{}", headers={"ServiceBusNotification-Format": "apple"})
    await service.observer.until_ended(1)
    assert (await document(client))["pushChannelExpired"] is True
    await patch(client, ("replace", path, value))
    assert (await document(client))["pushChannelExpired"] is expired


async def test_66_a_browser_s_push_channel_is_an_object_or_its_text(client: httpx.AsyncClient) -> None:
    text = subscription("https://e.example/x")
    channel = json.loads(text)
    for given in (channel, text):
        body = {"installationId": "b", "platform": "browser", "pushChannel": given}
        assert (await client.put("/h1/installations/b", json=body)).status_code == 200
        assert (await client.get("/h1/installations/b")).json()["pushChannel"] == channel


async def test_70_a_put_clears_what_it_leaves_out(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", **FULL)
    await service.put("i1")
    assert set(await document(client)) == {
        "installationId",
        "pushChannel",
        "pushChannelExpired",
        "platform",
        "expirationTime",
    }


async def test_79_what_was_deleted_is_there_when_it_is_put_again(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", **FULL)
    before = await document(client)
    assert (await client.delete("/h1/installations/i1")).status_code == 204
    await service.put("i1", **FULL)
    assert await document(client) == before


async def test_62_63_78_a_document_is_put_read_and_deleted(service: Service, client: httpx.AsyncClient) -> None:
    body = {"installationId": "i1", "platform": "apns", "pushChannel": "AABB", "tags": ["t1"], "userId": "u1"}
    put = await client.put("/h1/installations/i1", json=body)
    assert (put.status_code, put.content) == (200, b"")
    got = await document(client)
    assert got == {**body, "pushChannelExpired": False, "expirationTime": got["expirationTime"]}
    assert (await client.delete("/h1/installations/i1")).status_code == 204
    missing = await client.get("/h1/installations/i1")
    assert (missing.status_code, "<Detail>Installation not found." in missing.text) == (404, True)
    assert (await client.delete("/h1/installations/i1")).status_code == 204


async def test_64_65_68_69_80_a_document_is_read_as_the_sdks_write_it(client: httpx.AsyncClient) -> None:
    nothing = {"userId": None, "expirationTime": None, "pushChannelExpired": None}  # as .NET writes it
    for platform, channel, more, status in (
        ("APNS", "AABB", nothing, 200),
        ("FCMV1", "f", {}, 200),
        ("fcmV1", "f", {}, 200),
        ("GCM", "f", {}, 200),
        ("nope", "f", {}, 400),
        ("apns", "AABB", {"templates": {"Template Name": {"body": '{"aps":{}}'}}}, 200),
        ("apns", "AABB", {"expirationTime": "2030-01-01T10:30+0000"}, 200),
    ):
        body = {"platform": platform, "pushChannel": channel, **more}
        put = await client.put("/h1/installations/i%7Bd%7D%201%3F%23", json=body)
        assert put.status_code == status, (platform, put.text)
    got = (await client.get("/h1/installations/i%7Bd%7D%201%3F%23")).json()
    assert (got["installationId"], got["expirationTime"]) == ("i{d} 1?#", "2030-01-01T10:30:00.0000000Z")


async def test_67_a_template_is_a_registration_of_its_own(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", templates={"greet": GREET})
    found = (await service.hub.registrations("h1", tag="$InstallationId:{i1}", limit=9)).items
    native, template = sorted(found, key=lambda each: each.template_name or "")
    assert (native.template_name, template.template_name) == (None, "greet")
    assert template.tags[-1] == "greet"
    assert "greet" in (await document(client))["templates"]["greet"]["tags"]


async def test_72_the_last_tag_takes_the_property_with_it(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t1", "t2"])
    await patch(client, ("remove", "/tags/t1", None))
    assert (await document(client))["tags"] == ["t2"]
    await patch(client, ("remove", "/tags/t2", None))
    assert "tags" not in await document(client)
