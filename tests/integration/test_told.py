"""What an operator reads of a delivery that went wrong: a line with the cause, a count, and never a handle.

One daemon for all rows, with an HTTP source. Each row has a tag of its own, so that none hears what another one sends.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import START_TIMEOUT, Daemon, authorization, hubs

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEMPLATES = {
    "apns": '{"aps": {"alert": {"title": "$(title)", "body": "$(text)"}}}',
    "fcmv1": '{"message": {"notification": {"title": "$(title)", "body": "$(text)"}}}',
    "wns": '<toast><visual><binding template="ToastText02"><text id="1">$(title)</text><text id="2">$(text)</text>'
    "</binding></visual></toast>",
}
LONG_KEY = "order-" + "7" * 68


def _rules() -> list[dict[str, Any]]:
    says = {"to": "row:{{ data.row }}", "with": {"title": "{{ data.title | default('Hello') }}", "text": "there"}}
    native = {"apns": {"payload": {"aps": {"alert": "native"}}}}
    return [
        {"name": "says", "push": says},
        {"name": "collapses", "push": {**says, "collapse": "{{ data.key }}"}},
        {"name": "for-windows", "platforms": ["wns"], "push": says},
        {"name": "native", "push": {"to": "row:{{ data.row }}", "native": native}},
        {"name": "lone", "push": {**says, "hub": "lone"}},
        {"name": "lone-everyone", "push": {**says, "hub": "empty", "to": "everyone"}},
        {"name": "wrong-key", "push": {**says, "hub": "wrong"}},
    ]


@dataclass
class World:
    daemon: Daemon
    services: PushServices
    client: httpx.AsyncClient
    phones: list[VirtualPhone] = field(default_factory=list)

    async def phone(self, platform: str, row: str, *, hub: str = "app", body: str | None = "") -> VirtualPhone:
        """Somebody's phone, with a template unless `body` is None."""
        phone = self.services.add_phone(f"phone-{uuid4().hex[:8]}", platform)
        self.phones.append(phone)
        url = f"{self.daemon.hub_url}/{hub}/installations/{phone.name}"
        document = {
            "installationId": phone.name,
            "platform": platform,
            "pushChannel": phone.handle,
            "tags": [f"row:{row}"],
            **({} if body is None else {"templates": {"t": {"body": body or TEMPLATES[platform]}}}),
        }
        answer = await self.client.put(
            url, params={"api-version": "2020-06"}, json=document, headers={"Authorization": authorization(url)}
        )
        answer.raise_for_status()
        return phone

    async def send(self, rule: str, row: str, **data: Any) -> str:
        """Post an event for one rule; its id."""
        id_ = f"e-{uuid4().hex[:10]}"
        body = json.dumps({"id": id_, "rule": rule, "row": row, **data}).encode()
        headers = {"Content-Type": "application/json"}
        answer = await self.client.post(f"{self.daemon.url}/in", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return id_

    async def line(self, event_id: str, event: str) -> dict[str, Any]:
        """The one line `event` of an event, as soon as it is there."""
        found = await self.lines(lambda line: (line.get("event_id"), line["event"]) == (event_id, event))
        assert len(found) == 1
        return found[0]

    async def lines(self, matches: Callable[[Mapping[str, Any]], bool]) -> Sequence[dict[str, Any]]:
        async with asyncio.timeout(START_TIMEOUT):
            while not (found := [line for line in self.daemon.log() if matches(line)]):
                await asyncio.sleep(0.02)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("told")
    async with PushServices(directory) as services:
        whole = hubs(services)
        (app,) = whole.values()
        foreign = directory / "foreign.p8"
        key = ec.generate_private_key(ec.SECP256R1())
        foreign.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        platforms = app["platforms"]
        whole["lone"] = {**app, "platforms": {"fcm": platforms["fcm"]}}
        whole["empty"] = {**app, "platforms": {"fcm": platforms["fcm"]}}
        whole["wrong"] = {**app, "platforms": {"apns": {**platforms["apns"], "key": f"${{file:{foreign}}}"}}}
        config = {
            "sources": {"in": {"http": {"path": "/in"}, "map": {"id": "{{ data.id }}", "type": "{{ data.rule }}"}}},
            "rules": [
                {"source": "in", "match": {"type": rule["name"]}, **rule, "push": {"hub": "app", **rule["push"]}}
                for rule in _rules()
            ],
            "hubs": whole,
        }
        async with (
            Daemon(directory, config) as daemon,
            httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client,
        ):
            await daemon.start()
            yield World(daemon, services, client)


NOBODY = [
    # rule, phones (platform, has a template), reason, level
    ("says", [], "no_tag", "info"),
    ("says", [("apns", False)], "no_template", "warning"),
    ("says", [("apns", False), ("wns", False), ("fcmv1", False)], "no_template", "warning"),
    ("for-windows", [("apns", True), ("fcmv1", True)], "other_platform", "info"),
    ("for-windows", [("wns", False), ("fcmv1", True)], "no_template", "warning"),
    ("native", [("fcmv1", True)], "other_platform", "info"),
    ("lone", [("apns", True)], "no_credential", "warning"),
    ("lone-everyone", [], "no_registration", "info"),
]


@pytest.mark.parametrize(("rule", "phones", "reason", "level"), NOBODY)
async def test_an_event_that_reaches_nobody_is_a_line_and_a_count_that_say_why(
    world: World, rule: str, phones: Sequence[tuple[str, bool]], reason: str, level: str
) -> None:
    row = uuid4().hex
    hub = {"lone": "lone", "lone-everyone": "empty"}.get(rule, "app")
    for platform, has_template in phones:
        await world.phone(platform, row, hub=hub, body="" if has_template else None)
    series = f'pushbridge_notifications_unreached_total{{hub="{hub}",reason="{reason}"}}'
    before = (await world.daemon.metrics())[series]
    line = await world.line(await world.send(rule, row), "nobody reached")
    assert (line["rule"], line["hub"], line["reason"], line["level"]) == (rule, hub, reason, level)
    assert line["detail"]
    assert (await world.daemon.metrics())[series] == before + 1


async def test_a_phone_that_is_gone_is_told_of_with_the_first_push_and_ever_after(world: World) -> None:
    row = uuid4().hex
    phone = await world.phone("fcmv1", row)
    world.services.fcm.unregister(phone.handle)
    first = await world.send("says", row)
    pushed = await world.line(first, "pushed")
    assert (pushed["level"], pushed["outcomes"], pushed["failed"], pushed["reason"]) == (
        "warning",
        {"BadChannel": 1},
        1,
        "UNREGISTERED",
    )
    assert (await world.line(first, "nobody reached"))["reason"] == "gone"
    assert (await world.line(await world.send("says", row), "nobody reached"))["reason"] == "gone"


async def test_a_push_that_went_well_warns_of_nothing(world: World) -> None:
    row = uuid4().hex
    for platform in TEMPLATES:
        await world.phone(platform, row)
    event_id = await world.send("says", row)
    async with asyncio.timeout(START_TIMEOUT):
        while sum(line.get("event_id") == event_id and line["event"] == "pushed" for line in world.daemon.log()) < 3:
            await asyncio.sleep(0.02)
    mine = [line for line in world.daemon.log() if line.get("event_id") == event_id]
    assert {(line["event"], line["level"]) for line in mine} == {("event taken", "info"), ("pushed", "info")}


BAD = [
    # platform, how its stand-in answers: status and reason; the outcome and the reason in the line
    ("apns", 400, "DeviceTokenNotForTopic", {"WrongChannel": 1}, "DeviceTokenNotForTopic"),
    ("apns", 410, "Unregistered", {"ExpiredChannel": 1}, "Unregistered"),
    ("apns", 413, "PayloadTooLarge", {"InvalidNotificationSize": 1}, "PayloadTooLarge"),
    ("fcmv1", 404, "UNREGISTERED", {"BadChannel": 1}, "UNREGISTERED"),
    ("fcmv1", 403, "SENDER_ID_MISMATCH", {"InvalidCredentials": 1}, "SENDER_ID_MISMATCH"),
    ("wns", 403, "The token is another app's", {"WrongToken": 1}, "The token is another app's"),
    ("wns", 410, "The channel has expired", {"ExpiredChannel": 1}, "The channel has expired"),
]


@pytest.mark.parametrize(("platform", "status", "said", "outcomes", "reason"), BAD)
async def test_a_push_that_ended_badly_is_a_warning_with_reason_and_count(
    world: World, platform: str, status: int, said: str, outcomes: Mapping[str, int], reason: str
) -> None:
    """The counts are read in the log as it is written: none of these outcomes is a secret, whatever its name."""
    row = uuid4().hex
    phone = await world.phone(platform, row)
    service = {"apns": world.services.apns, "fcmv1": world.services.fcm, "wns": world.services.wns}[platform]
    service.faults.answer(status, said, times=1)
    line = await world.line(await world.send("says", row), "pushed")
    assert (line["level"], line["outcomes"], line["failed"], line["reason"]) == ("warning", outcomes, 1, reason)
    assert phone.handle not in json.dumps(line)


async def test_a_service_that_repeats_the_handle_is_quoted_without_it(world: World) -> None:
    row = uuid4().hex
    phone = await world.phone("wns", row)
    world.services.wns.faults.answer(400, f"no such thing as {phone.handle} here", times=1)
    line = await world.line(await world.send("says", row), "pushed")
    assert line["reason"] == "no such thing as [push channel] here"


async def test_a_wrong_key_is_counted_in_the_log(world: World) -> None:
    row = uuid4().hex
    await world.phone("apns", row, hub="wrong")
    line = await world.line(await world.send("wrong-key", row), "pushes to be tried again")
    assert (line["outcomes"], line["reason"]) == ({"InvalidCredentials": 1}, "InvalidProviderToken")


MISSPELT = [
    ("fcmv1", '{"message": {"notification": {"title": "$(titel)", "body": "$(text)"}}}', ["titel"]),
    ("apns", '{"aps": {"alert": {"title": "$(Titel)", "body": "{\'To \' + $(nmae)}"}}}', ["nmae", "titel"]),
    (
        "wns",
        '<toast><visual><binding template="ToastText01"><text id="1">.(titel, 9)</text></binding></visual></toast>',
        ["titel"],
    ),
]


@pytest.mark.parametrize(("platform", "body", "missing"), MISSPELT)
async def test_a_property_that_a_template_misspells_is_named_and_counted_once(
    world: World, platform: str, body: str, missing: list[str]
) -> None:
    row = uuid4().hex
    for _ in range(3):
        await world.phone(platform, row, body=body)
    series = f'pushbridge_template_properties_missing_total{{hub="app",platform="{platform}"}}'
    before = (await world.daemon.metrics())[series]
    event_id = await world.send("says", row)
    line = await world.line(event_id, "template property missing")
    assert (line["level"], line["missing"], line["given"]) == ("warning", missing, ["text", "title"])
    assert (await world.line(event_id, "pushed"))["outcomes"] == {"Success": 3}
    assert (await world.daemon.metrics())[series] == before + 1


@pytest.mark.parametrize("title", ["$(title)", "$(titel:{Hello})", "$(titel:{})"])
async def test_a_property_that_is_there_or_has_a_default_is_not_missed(world: World, title: str) -> None:
    row = uuid4().hex
    await world.phone("fcmv1", row, body=json.dumps({"message": {"notification": {"title": title, "body": "b"}}}))
    event_id = await world.send("says", row, title="")
    await world.line(event_id, "pushed")
    events = [line["event"] for line in world.daemon.log() if line.get("event_id") == event_id]
    assert "template property missing" not in events


KEYS = [LONG_KEY, "größe " * 20, "a\nb", " order", "日本語"]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
async def test_a_collapse_key_that_fits_no_service_costs_no_phone_and_replaces_on_each(world: World, key: str) -> None:
    row = uuid4().hex
    phones = [await world.phone(platform, row) for platform in TEMPLATES]
    for title in ("first", "second"):
        await world.send("collapses", row, key=key, title=title)
        async with asyncio.timeout(START_TIMEOUT):
            while any(title not in [one.title for one in phone.received] for phone in phones):
                await asyncio.sleep(0.02)
    assert [[one.title for one in phone.screen] for phone in phones] == [["second"]] * 3


async def test_two_events_without_a_key_are_two_alerts(world: World) -> None:
    row = uuid4().hex
    phones = [await world.phone(platform, row) for platform in TEMPLATES]
    for title in ("first", "second"):
        await world.send("says", row, title=title)
    async with asyncio.timeout(START_TIMEOUT):
        while any(len(phone.received) < 2 for phone in phones):
            await asyncio.sleep(0.02)
    assert [sorted(one.title for one in phone.screen) for phone in phones] == [["first", "second"]] * 3


async def test_no_line_of_all_this_holds_a_handle(world: World) -> None:
    written = world.daemon.output_file.read_text() + world.daemon.error_file.read_text()
    assert world.phones
    assert [phone.handle for phone in world.phones if phone.handle in written] == []
