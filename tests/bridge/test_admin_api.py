"""The admin API of a running daemon: what it answers, to whom, and that its OpenAPI document says the same."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from bridge.admin.api.routes import OPERATIONS, routes
from bridge.app import Daemon
from hub.acceptance import DeadLetter, Ingest
from hub.guards import AudienceGuard
from hub.installation import Installation, Template
from hub.notification import Platform
from hub.quiet import QuietHours
from hub.windows import Window
from tests.bridge.examples import complaints, read
from tests.hub.examples import installation, notification

TOKEN = "canary-admin-token"
CHANNEL = "canary-push-channel"
HUB = "app"
CONFIGURATION = """
bridge: {{ revision: r7, http: {{ listen: "127.0.0.1:0"{token} }} }}
hub_api: {{ listen: "127.0.0.1:0" }}
sources:
  hr:
    http: {{ path: /in/hr }}
    decode: {{ format: text, pattern: "(?P<who>.+) joined" }}
    map: {{ id: "{{{{ data.who }}}}", person: "{{{{ data.who }}}}" }}
hubs:
  app:
    platforms:
      wns: {{ tenant: t, client_id: c, client_secret: canary-secret, token_url: "https://127.0.0.1:1/token" }}
  spare: {{}}
rules: [ {{ name: all, source: hr, push: {{ hub: app, to: "team:hr", with: {{ title: hello }} }} }} ]
"""
VERSION = {"hash": "abc", "revision": "r7"}


class Api:
    """A client of the API that holds each answer against the document."""

    def __init__(self, daemon: Daemon, http: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self.daemon = daemon
        self.http = http
        self.document = document

    async def call(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """The JSON of an answer of that status, valid by the document."""
        answer = await self.http.request(method, f"/api/v1{path}", **more)
        assert answer.status_code == status, answer.text
        media_type = answer.headers["content-type"]
        schema = self._described(method, path)["responses"][str(status)]["content"][media_type]["schema"]
        content = answer.json()
        checked(content, schema, self.document)
        assert not any(secret in answer.text for secret in (TOKEN, CHANNEL, "canary-secret", "canary value"))
        assert answer.headers["cache-control"] == "no-store"
        return content

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        return await self.call("GET", path, status=status, params=query)

    async def all_of(self, path: str, **query: Any) -> list[Any]:
        """A whole list, part by part."""
        items: list[Any] = []
        while True:
            part = await self.get(path, **query)
            items += part["items"]
            if part["next"] is None:
                return items
            query["cursor"] = part["next"]

    def _described(self, method: str, path: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = [
            operations[method.lower()]
            for known, operations in sorted(
                self.document["paths"].items(), key=lambda item: (item[0].count("{"), -len(item[0]))
            )
            if method.lower() in operations
            and re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(known)), f"/api/v1{path}")
        ]
        return found[0]


def checked(content: object, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Validate with the formats of times, with references into the document."""
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content)


@asynccontextmanager
async def running(directory: Path, *, token: str | None = TOKEN) -> AsyncIterator[Api]:
    text = CONFIGURATION.format(token="" if token is None else f", admin_token: {token}")
    daemon = Daemon(read(directory, text), config="c.yaml", config_hash=VERSION["hash"])
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    url = "http://{}:{}"
    async with daemon.running():
        url = url.format(*daemon.admin.address)
        async with httpx.AsyncClient(verify=False, base_url=url, headers=headers, trust_env=False, timeout=60) as http:
            document = (await http.get("/api/v1/openapi.json")).raise_for_status().json()
            yield Api(daemon, http, document)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path) as api:
        yield api


def phone(name: str, *tags: str, user: str | None = None) -> Installation:
    return Installation(
        id=name,
        platform=Platform.WNS,
        push_channel=f"{CHANNEL} of {name}",
        user_id=user,
        tags=tags,
        templates={"t": Template(body="<toast><text>$(title)</text></toast>", headers={"X-WNS-Type": "wns/toast"})},
        push_variables={"name": "canary value"},
    )


def letter(number: int, **changes: Any) -> DeadLetter:
    given = {"source": "hr", "event_id": f"e{number}", "stage": "map", "reason": "map", "detail": "no id"}
    version = {"config_hash": VERSION["hash"], "revision": VERSION["revision"]}
    return DeadLetter(**{**given, **version, "body": b"body", **changes})


async def keep(api: Api, *letters: DeadLetter) -> None:
    await api.daemon.hub.store.accept([Ingest(source="hr", event_id="", dead_letters=letters)], start=0)


@pytest.mark.slow
async def test_a_replay_is_bounded_and_answers_what_became_of_each_letter(api: Api) -> None:
    await keep(api, letter(1, body=b"ann joined"), letter(2, body=b"?", rule="gone"))
    failing, good = [one["id"] for one in await api.all_of("/dead-letters")]
    body: dict[str, Any] = {"ids": [good, failing, 10**6, good]}
    preview = await api.call("POST", "/dead-letters/replay", json={**body, "dry_run": True})
    assert [one["replayed_at"] for one in await api.all_of("/dead-letters")] == [None, None]
    done = await api.call("POST", "/dead-letters/replay", json=body)
    assert done == preview
    assert [(one["id"], one["outcome"]) for one in done["items"]] == [(good, "accepted"), (failing, "failed")]
    ((sent,), _) = (one["notifications"] for one in done["items"])
    assert (sent["rule"], sent["expression"], sent["is_new"]) == ("all", "team:hr", True)
    assert (done["missing"], done["left"]) == ([10**6], [])
    again = await api.call("POST", "/dead-letters/replay", json=body)
    assert [one["outcome"] for one in again["items"]] == ["repeated", "failed"]
    assert [one["id"] for one in await api.all_of("/dead-letters", open="true")] == [failing]
    shown = await api.get(f"/dead-letters/{failing}")
    assert [(one["actor"], one["outcome"].partition(":")[0]) for one in shown["replays"]] == [("admin", "decode")] * 2
    mistakes: list[dict[str, Any]] = [{"ids": []}, {"ids": list(range(1, 102))}, {"ids": [1], "dry_run": "no"}]
    for wrong in mistakes:
        await api.call("POST", "/dead-letters/replay", status=400, json=wrong)


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    served = {route.path for route in routes(Nothing())}
    described = {f"/api/v1{operation.path}" for operation in OPERATIONS}
    assert {path.replace(":rest}", "}") for path in served} == described | {"/api/v1/openapi.json", "/api/v1/{rest}"}


@pytest.mark.slow
async def test_the_document_is_openapi_3_1_with_schemas_that_are_json_schemas(api: Api) -> None:
    document = api.document
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', (await api.http.get("/api/v1/openapi.json")).text))
    assert references <= document["components"]["schemas"].keys()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
            assert operation["summary"].endswith(".")
            for parameter in operation["parameters"]:
                Draft202012Validator.check_schema(parameter["schema"])
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


async def test_status_says_what_readiness_says_and_which_configuration_is_in_force(api: Api) -> None:
    status = await api.get("/status")
    assert (status["name"], status["ready"], status["rules"], status["sources"]) == ("pushbridge", True, 1, ["hr"])
    in_force = status["configuration"]
    assert (in_force["file"], in_force["revision"], in_force["hash"]) == ("c.yaml", "r7", "abc")
    assert status["hubs"] == [
        {"name": "app", "remote": False, "platforms": ["wns"], "only_to": "", "confirm_above": None, "held": 0},
        {"name": "spare", "remote": False, "platforms": [], "only_to": "", "confirm_above": None, "held": 0},
    ]
    assert {part["kind"] for part in status["parts"]} >= {"process", "store", "configuration", "source", "listener"}
    readiness = (await api.http.get("/readyz")).text.splitlines()
    assert set(readiness) <= {part["line"] for part in status["parts"]}
    await api.daemon.apply(api.daemon.settings, config_hash="def")
    assert (await api.get("/status"))["configuration"]["hash"] == "def"


async def test_what_was_decided_says_by_which_configuration(api: Api) -> None:
    async def post(body: str) -> None:
        while (await api.http.post("/in/hr", content=body)).status_code == 503:
            await asyncio.sleep(0.01)

    await post("ann joined")
    await api.daemon.apply(api.daemon.settings, config_hash="def")
    await post("bob joined")
    await api.call("POST", "/hubs/app/notifications", status=201, json={"everyone": True, "properties": {}})
    listed = await api.all_of("/notifications")
    told = [(one["event_id"], one["config_hash"], one["revision"]) for one in listed]
    assert told == [("", "", ""), ("bob", "def", VERSION["revision"]), ("ann", "abc", VERSION["revision"])]
    assert (await api.get(f"/notifications/{listed[1]['id']}"))["config_hash"] == "def"
    await keep(api, letter(1))
    (kept,) = await api.all_of("/dead-letters")
    shown = await api.get(f"/dead-letters/{kept['id']}")
    assert (shown["config_hash"], shown["revision"]) == (VERSION["hash"], VERSION["revision"])


async def test_events_are_listed_newest_first_and_shown_with_what_became_of_them(api: Api) -> None:
    for who in ("ann", "bob", "ann", "?"):
        body = "no such line" if who == "?" else f"{who} joined"
        while (await api.http.post("/in/hr", content=body)).status_code == 503:
            await asyncio.sleep(0.01)
    events = await api.all_of("/events", limit=1)
    assert [(event["id"], event["outcome"]) for event in events[-3:]] == [
        ("ann", "duplicate"),
        ("bob", "accepted"),
        ("ann", "accepted"),
    ]
    assert [event["number"] for event in events] == sorted((event["number"] for event in events), reverse=True)
    assert [event["id"] for event in await api.all_of("/events", outcome="duplicate")] == ["ann"]
    assert await api.all_of("/events", outcome="suppressed") == []
    await api.get("/journal", outcome="duplicate")
    (bob,) = await api.all_of("/events", id="bob")
    assert (bob["source"], bob["rules"], bob["notifications"]) == ("hr", ["all"], 1)
    shown = await api.get(f"/events/{bob['number']}")
    assert [one["expression"] for one in shown["notifications"]] == ["team:hr"]
    assert await api.all_of("/events", source="nobody") == []
    assert "none of the latest" in (await api.get("/events/4711", status=404))["detail"]
    assert (await api.get("/events", status=400, cursor="WyJldmVudHMiLCJ4Il0="))["detail"].startswith("cursor: ")


async def test_dead_letters_are_listed_shown_and_dropped_with_an_audit_row(api: Api) -> None:
    hostile = letter(2, body=b"\xff\x00", headers={"authorization": "Bearer canary-admin-token", "priority": "5"})
    await keep(api, letter(1), hostile, letter(3, source="bank", reason="decode"))
    letters = await api.all_of("/dead-letters", limit=1)
    assert [(one["event_id"], one["source"], one["size"]) for one in letters] == [
        ("e3", "bank", 4),
        ("e2", "hr", 2),
        ("e1", "hr", 4),
    ]
    assert [one["event_id"] for one in await api.all_of("/dead-letters", reason="map", source="hr")] == ["e2", "e1"]
    shown = await api.get(f"/dead-letters/{letters[2]['id']}")
    assert (shown["body"], shown["body_base64"], shown["withheld"]) == ("body", None, "")
    binary = await api.get(f"/dead-letters/{letters[1]['id']}")
    assert (binary["body"], binary["body_base64"]) == (None, "/wA=")
    assert binary["headers"] == {"authorization": "[removed]", "priority": "5"}
    ids = [letters[0]["id"], letters[1]["id"], 4711]
    answer = await api.call(
        "POST", "/dead-letters/drop", json={"ids": [*ids, ids[0]]}, headers={"Pushbridge-Actor": "ann@desk"}
    )
    assert answer == {"dropped": ids[:2], "missing": [4711]}
    assert [one["event_id"] for one in await api.all_of("/dead-letters")] == ["e1"]
    for missing in (str(ids[0]), "x", "9" * 40):
        assert "not found" in (await api.get(f"/dead-letters/{missing}", status=404))["detail"]
    rows = await api.all_of("/audit", limit=1)
    assert [(row["actor"], row["action"], row["target"]) for row in rows] == [
        ("ann@desk", "dead_letter.drop", str(ids[1])),
        ("ann@desk", "dead_letter.drop", str(ids[0])),
    ]


@pytest.mark.slow
async def test_devices_are_found_by_id_user_and_tags(api: Api) -> None:
    phones = [phone("a/1", "team:hr", user="ann"), phone("b", "team:hr", user="ann"), phone("ü ?", "vip", user="bob e")]
    await api.daemon.hub.put_installations(HUB, [installation("z"), *phones])
    found = await api.all_of("/hubs/APP/devices", limit=1)
    assert [one["id"] for one in found] == ["a/1", "b", "z", "ü ?"]
    assert found[0]["push_channel"].startswith("sha256:")
    for query, expected in (
        ({"user": "ann"}, ["a/1", "b"]),
        ({"user": "bob e"}, ["ü ?"]),
        ({"tag": "team:hr || vip"}, ["a/1", "b", "ü ?"]),
        ({"tag": "vip", "user": "ann"}, []),
        ({"id": "A/"}, ["a/1"]),
        ({"handle": "ken of z"}, ["z"]),
        ({"handle": "other of z"}, []),
    ):
        assert [one["id"] for one in await api.all_of("/hubs/app/devices", limit=1, **query)] == expected
    for query, complaint in (
        ({"handle": "n of z"}, "handle: write the last 8 characters of the push channel, or more"),
        ({"handle": "ken of z", "user": "ann"}, "search by one of id, handle, and user or tag"),
        ({"id": "a", "tag": "vip"}, "search by one of id, handle, and user or tag"),
    ):
        assert (await api.get("/hubs/app/devices", status=400, **query))["detail"] == complaint
    for one in phones:
        shown = await api.get(f"/hubs/app/devices/{quote(one.id, safe='')}")
        assert (shown["id"], shown["templates"], shown["push_variables"]) == (one.id, ["t"], ["name"])
        assert {registration["template"] for registration in shown["registrations"]} == {None, "t"}
    assert (await api.get("/hubs/app/devices", status=400, tag="team:hr &&"))["detail"].startswith("tag, column 11: ")
    assert (await api.get("/hubs/nope/devices", status=404))["detail"] == "there is no hub 'nope'; there are app, spare"
    assert "'c'" in (await api.get("/hubs/app/devices/c", status=404))["detail"]
    first = await api.get("/hubs/app/devices", limit=1)
    assert "cursor" in (await api.get("/hubs/app/devices", status=400, cursor=first["next"], tag="vip"))["detail"]


@pytest.mark.slow
async def test_a_send_reaches_the_store_with_its_actor_and_is_found_with_its_outcome(api: Api) -> None:
    await api.daemon.hub.put_installations(HUB, [phone("b", "team:hr")])
    later = datetime.now(UTC).isoformat()
    native = {"platform": "wns", "payload": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}}
    for body, audience, format_ in (
        ({"device": "b", "properties": {"title": "hi", "n": 1}}, "$InstallationId:{b}", "template"),
        ({"tags": "team:hr && !vip", "native": native}, "team:hr && !vip", "wns"),
        ({"everyone": True, "properties": {}, "expires_at": later}, "everyone", "template"),
    ):
        sent = await api.call("POST", "/hubs/APP/notifications", status=201, json=body)
        assert (sent["hub"], sent["audience"]) == ("app", audience)
        kept = await api.get(f"/notifications/{sent['id']}")
        assert (kept["hub"], kept["audience"], kept["format"]) == ("app", audience, format_)
        (row,) = (await api.get("/audit", limit=1))["items"]
        assert (row["actor"], row["action"], row["target"]) == ("admin", "notification.send", sent["id"])
        assert ("1 named" if "device" in body else audience) in row["detail"]
    listed = await api.all_of("/notifications", limit=1, hub="app")
    assert [one["audience"] for one in listed] == ["everyone", "team:hr && !vip", "$InstallationId:{b}"]
    assert await api.all_of("/notifications", event_id="none") == []
    assert (await api.get("/notifications", status=400, state="Done"))["detail"].startswith("state: 'Done' is none")
    assert "32 hexadecimal" in (await api.get("/notifications/7", status=404))["detail"]
    assert "not found" in (await api.get(f"/notifications/{'0' * 32}", status=404))["detail"]


async def test_a_notification_that_has_not_ended_is_cancelled_once_and_the_audit_says_by_whom(api: Api) -> None:
    later = notification(hub="app", schedule_at=datetime(2099, 1, 1, tzinfo=UTC))
    await api.daemon.hub.store.accept([Ingest(source="", event_id="", notifications=[later])], start=0)
    cancelled = await api.call("POST", f"/notifications/{later.id}/cancel", json={})
    assert (cancelled["id"], cancelled["state"]) == (later.id, "Cancelled")
    assert "has ended" in (await api.call("POST", f"/notifications/{later.id}/cancel", status=404, json={}))["detail"]
    (entry,) = (await api.get("/audit"))["items"]
    assert (entry["action"], entry["target"]) == ("notification.cancel", later.id)


async def test_a_preview_says_whom_a_send_would_reach_and_a_send_to_many_needs_a_confirmation(api: Api) -> None:
    hub = api.daemon.hub
    await hub.put_installations(HUB, [phone("tester", "team:hr", "tester", user="anna"), phone("customer", "team:hr")])
    hub.guards[HUB] = AudienceGuard(confirm_above=1)
    body = {"tags": "team:hr && !vip", "properties": {"title": "hi"}}
    found = await api.call("POST", "/hubs/app/preview", json=body)
    assert (found["total"], found["counts"], found["confirm"]) == (2, {"wns": 2}, 2)
    assert found["tags"] == {"team:hr": 4, "vip": 0}
    assert found["reasons"] == ["no registration carries the tag vip"]
    assert {(one["device"], one["user"]) for one in found["samples"]} == {("tes…", "an…"), ("cus…", "")}
    refused = await api.call("POST", "/hubs/app/notifications", status=400, json=body)
    assert "send it with confirm: 2" in refused["detail"]
    await api.call("POST", "/hubs/app/notifications", status=201, json={**body, "confirm": 2})
    assert "there is no hub" in (await api.call("POST", "/hubs/none/preview", status=404, json=body))["detail"]


async def test_a_held_notification_is_listed_and_approved_by_a_named_actor(api: Api) -> None:
    hub = api.daemon.hub
    await hub.put_installations(HUB, [phone("a", "team:hr"), phone("b", "team:hr")])
    hub.guards[HUB] = AudienceGuard(confirm_above=1)
    one = notification("team:hr", hub=HUB)
    await hub.accept([Ingest(source="hr", event_id="e", notifications=[one])])
    while not (held := (await api.get("/notifications", state="Held"))["items"]):
        await asyncio.sleep(0.01)
    assert [(each["id"], each["held_for"], each["unreached_count"]) for each in held] == [(one.id, 2, 0)]
    for nobody in ({}, {"pushbridge-actor": ""}):
        unnamed = await api.call("POST", f"/notifications/{one.id}/approve", status=400, json={}, headers=nobody)
        assert "Pushbridge-Actor: write 1 to" in unnamed["detail"]
    headers = {"pushbridge-actor": "ann"}
    approved = await api.call("POST", f"/notifications/{one.id}/approve", json={}, headers=headers)
    assert (approved["state"] != "Held", approved["held_for"]) == (True, None)
    assert (await api.get("/audit", limit=1))["items"][0]["actor"] == "ann"
    again = await api.call("POST", f"/notifications/{one.id}/approve", status=404, json={}, headers=headers)
    assert "waits for an approval" in again["detail"]


def quiet_now(zone: str = "") -> QuietHours:
    """Hours that began an hour ago and end within the next two."""
    now = datetime.now(UTC)
    begin, end = ((now.hour + hours) % 24 * 60 for hours in (-1, 2))
    return QuietHours(window=Window(name="siesta", times=((begin, end),), zone=zone))


async def test_a_list_says_what_quiet_hours_hold_and_until_when(api: Api) -> None:
    await api.daemon.hub.put_installations(HUB, [phone("a", "team:hr"), phone("b", "team:hr")])
    whole, parts = (notification("team:hr", hub=HUB, quiet=quiet_now(zone)) for zone in ("UTC", ""))
    await api.daemon.hub.accept([Ingest(source="hr", event_id="e", notifications=[whole, parts])])
    async with asyncio.timeout(30):
        while any(each["quiet_hold"] is None for each in await api.all_of("/notifications")):
            await asyncio.sleep(0.01)
    holds = {each["id"]: each["quiet_hold"] for each in await api.all_of("/notifications")}
    assert [(holds[each.id]["window"], holds[each.id]["pushes"]) for each in (whole, parts)] == [
        ("siesta", None),
        ("siesta", 2),
    ]
    for one in (whole, parts):
        assert (await api.get(f"/notifications/{one.id}"))["quiet_hold"] == holds[one.id]
        assert holds[one.id]["first_end"] == holds[one.id]["last_end"] > datetime.now(UTC).isoformat()
        cancelled = await api.call("POST", f"/notifications/{one.id}/cancel", json={})
        assert cancelled["quiet_hold"] is None


async def test_a_notification_that_reached_nobody_says_what_is_lacking(api: Api) -> None:
    await api.daemon.hub.put_installations(HUB, [phone("a", "team:hr")])
    sent = await api.call("POST", "/hubs/app/notifications", status=201, json={"tags": "team:hrr", "properties": {}})
    while (found := await api.get(f"/notifications/{sent['id']}"))["state"] != "NoTargetFound":
        await asyncio.sleep(0.01)
    assert (found["unreached"], found["reasons"]) == ("no_tag", ["no registration carries the tag team:hrr"])
    traced = await api.get(f"/events/{sent['id']}/trace")
    assert traced["notifications"][0]["reasons"] == found["reasons"]


async def test_a_time_beyond_the_last_year_is_shown_as_the_end_of_time(api: Api) -> None:
    body = {"everyone": True, "properties": {}, "expires_at": "9999-12-31T23:59:59-14:00"}
    sent = await api.call("POST", "/hubs/app/notifications", status=201, json=body)
    (listed,) = (await api.get("/notifications"))["items"]
    shown = await api.get(f"/notifications/{sent['id']}")
    assert listed["expires_at"] == shown["expires_at"] == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    "body, status, detail",
    [
        ({"properties": {}}, 400, "body: say to whom: one of device, tags and everyone"),
        ({"everyone": True, "tags": "a", "properties": {}}, 400, "body: say to whom: one of device, tags and everyone"),
        ({"everyone": True}, 400, "body: say what: one of properties and native"),
        ({"everyone": "perhaps", "properties": {}}, 400, "body: everyone: input should be a valid boolean"),
        ({"everyone": True, "properties": {}, "at": 1}, 400, "body: at: unknown; there are device, tags, everyone"),
        ({"tags": "a && ", "properties": {}}, 400, "tags, column "),
        ({"device": "nobody", "properties": {}}, 404, "device 'nobody' not found"),
        ({"everyone": True, "native": {"platform": "palm", "payload": {}}}, 400, "native.platform: 'palm' is none"),
        (
            {"everyone": True, "native": {"platform": "apns", "payload": {}}},
            400,
            "the hub app has no credential for it",
        ),
        ({"everyone": True, "native": {"platform": "wns", "payload": "<"}}, 400, "native: "),
        ([], 400, "body: "),
    ],
)
async def test_a_send_that_cannot_be_is_a_problem_that_says_why(
    api: Api, body: object, status: int, detail: str
) -> None:
    problem = await api.call("POST", "/hubs/app/notifications", status=status, json=body)
    assert problem["detail"].startswith(detail)
    assert (await api.get("/notifications"))["items"] == (await api.get("/audit"))["items"] == []


@pytest.mark.slow
async def test_what_the_http_of_a_request_gets_wrong_is_a_problem_too(api: Api) -> None:
    for method, path, status, detail, more in (
        ("GET", "/nothing", 404, "nothing is at /api/v1/nothing", {}),
        ("GET", "/nothing%0Aat all", 404, "nothing is at /api/v1/nothing", {}),
        ("GET", "/hubs/app/devices/a%0Ab", 404, "device 'a\\nb' not found", {}),
        ("DELETE", "/status", 405, "DELETE is not allowed here; GET is", {}),
        ("GET", "/dead-letters/drop", 405, "GET is not allowed here; POST is", {}),
        ("POST", "/dead-letters/drop", 400, "body: not JSON", {"content": b"{"}),
        ("POST", "/dead-letters/drop", 413, "The body has more than", {"content": b"1" * 70_000}),
        ("POST", "/dead-letters/drop", 400, "body: ids: ", {"json": {"ids": []}}),
        ("POST", "/dead-letters/drop", 400, "body: ids.0: ", {"json": {"ids": [2**63]}}),
        ("POST", "/dead-letters/drop", 400, "body: ids.0: ", {"json": {"ids": [True]}}),
        ("POST", "/dead-letters/drop", 400, "body: ids.0: ", {"json": {"ids": ["1"]}}),
        ("POST", "/hubs/app/notifications", 400, "body: everyone: ", {"json": {"everyone": "1", "properties": {}}}),
        (
            "POST",
            "/dead-letters/drop",
            400,
            "Pushbridge-Actor: ",
            {"json": {"ids": [1]}, "headers": {"Pushbridge-Actor": "x" * 101}},
        ),
        ("GET", "/events?limit=501", 400, "query: limit: input should be less than or equal to 500", {}),
        ("GET", "/events?limit=1&limit=2", 400, "query: limit: is there 2 times", {}),
        ("GET", "/events?outcome=Accepted", 400, "outcome: 'Accepted' is none; there are accepted, ", {}),
        ("GET", "/events?sourec=hr", 400, "query: sourec: unknown; there are limit, cursor, source", {}),
    ):
        answer = await api.http.request(method, f"/api/v1{path}", **more)
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (problem["status"], problem["type"]) == (status, "about:blank")
        assert problem["detail"].startswith(detail)
        checked(problem, {"$ref": "#/components/schemas/Problem"}, api.document)


async def test_without_its_token_nobody_reads_or_changes(api: Api) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
        for method, path in (("GET", "/status"), ("GET", "/openapi.json"), ("POST", "/dead-letters/drop")):
            answer = await api.http.request(method, f"/api/v1{path}", headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (401, "a token is needed")
            assert answer.headers.get_list("www-authenticate")[0] == "Bearer"
    other = await api.http.get("/api/v1/status", headers={"origin": "https://evil.example"})
    assert (other.status_code, other.json()["detail"]) == (403, "not from another site")


async def test_where_no_token_is_configured_this_machine_reads_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, token=None) as api:
        await keep(api, letter(1))
        ((kept),) = (await api.get("/dead-letters"))["items"]
        shown = await api.get(f"/dead-letters/{kept['id']}")
        assert (shown["body"], shown["body_base64"]) == (None, None)
        assert "listeners.admin.auth" in shown["withheld"]
        for path, body in (
            ("/dead-letters/drop", {"ids": [kept["id"]]}),
            ("/hubs/app/notifications", {"everyone": True, "properties": {}}),
            ("/users/ann/erase", {}),
        ):
            problem = await api.call("POST", path, status=403, json=body)
            assert "set listeners.admin.auth" in problem["detail"]
        assert "set listeners.admin.auth" in (await api.get("/users/ann/export", status=403))["detail"]
        assert len((await api.get("/dead-letters"))["items"]) == 1
        assert (await api.get("/notifications"))["items"] == []


async def test_a_store_that_fails_is_a_problem_with_the_time_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.daemon.store.close()
    answer = await api.http.get("/api/v1/dead-letters")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "the store cannot do it now: the store is closed"


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/status", "/api/live"])
def test_no_source_takes_a_path_of_the_api_and_its_authorization_away(tmp_path: Path, path: str) -> None:
    (complaint,) = complaints(tmp_path, f"sources: {{ hr: {{ http: {{ path: {path}, format: cloudevents }} }} }}")
    assert "this path is one of the process's own" in complaint


@pytest.mark.slow
async def test_requests_are_counted_by_their_route_whatever_ids_are_in_the_path(api: Api) -> None:
    await api.get("/hubs/app/devices/c", status=404)
    await api.http.get("/api/v1/what/ever")
    metrics = (await api.http.get("/metrics")).text
    for route in ("/api/v1/hubs/{hub}/devices/{id}", "/api/v1"):
        assert re.search(rf'pushbridge_http_requests_total{{.*route="{re.escape(route)}".*}} 1', metrics)


@pytest.mark.slow
async def test_lists_of_twenty_parts_are_whole_and_each_part_is_as_large_as_asked(api: Api) -> None:
    store = api.daemon.hub.store
    await store.put_installations("spare", [installation(f"d{number:05}", "all") for number in range(2_000)])
    for query in ({}, {"tag": "all"}):
        found = await api.all_of("/hubs/spare/devices", limit=100, **query)
        assert [one["id"] for one in found] == [f"d{number:05}" for number in range(2_000)]
    await store.accept([Ingest(source="s", event_id="", notifications=[notification(hub="spare")])], start=0)
    assert len(await api.all_of("/notifications", hub="spare")) == 1


def kept_of_ann() -> list[Ingest]:
    """A notification and a dead letter."""
    return [
        Ingest(
            source="hr",
            event_id="e1",
            notifications=[notification("team:hr", hub=HUB, person="Ann/1", event_id="e1")],
            dead_letters=[replace(letter(1, body=b"body 1"), person="ann/1", headers={"x-token": "canary value"})],
        )
    ]


@pytest.mark.slow
async def test_a_person_is_exported_and_erased_and_audit_log_and_answer_name_only_a_digest(api: Api) -> None:
    store = api.daemon.hub.store
    await store.accept(kept_of_ann(), start=0)
    await store.put_installations(HUB, [replace(installation("phone", "x"), user_id="other")])
    path = "/users/Ann%2F1"
    expected = {"device": 0, "subscription": 0, "notification": 1, "dead_letter": 1, "event": 0, "report": 0, "sink": 0}
    assert (await api.get(f"{path}/summary"))["rows"] == expected
    rows = await api.all_of(f"{path}/export", limit=1)
    assert [row["kind"] for row in rows] == ["notification", "dead_letter"]
    assert rows[0]["content"]["content"] == '{"title":"hello"}'
    assert rows[1]["content"]["body"] == "body 1"
    with capture_logs() as lines:
        erased = await api.call("POST", f"{path}/erase", headers={"Pushbridge-Actor": "eve"})
    assert (erased["rows"], erased["is_overwritten"]) == (expected, True)
    assert (await api.get(f"{path}/summary"))["rows"] == dict.fromkeys(expected, 0)
    assert await api.all_of(f"{path}/export") == []
    audit = (await api.get("/audit"))["items"]
    assert [(row["actor"], row["action"], row["target"]) for row in audit] == [
        ("eve", "user.erased", erased["digest"]),
        ("eve", "user.erase", erased["digest"]),
    ]
    (line,) = [line for line in lines if line["event"] == "person erased"]
    assert (line["digest"], line["actor"]) == (erased["digest"], "eve")
    assert "ann" not in f"{lines}{audit}{erased}".lower()
    metrics = (await api.http.get("/metrics")).text
    assert "pushbridge_people_erased_total 1.0" in metrics
    assert 'pushbridge_people_erased_rows_total{kind="dead_letter"} 1.0' in metrics


async def test_all_of_an_event_is_found_by_the_person_that_its_source_maps_and_gone_afterwards(api: Api) -> None:
    while (await api.http.post("/in/hr", content="Ann joined")).status_code == 503:
        await asyncio.sleep(0.01)
    await api.http.post("/in/hr", content="Bob joined")
    expected = {"device": 0, "subscription": 0, "notification": 1, "dead_letter": 0, "event": 1, "report": 0, "sink": 0}
    assert (await api.get("/users/ann/summary"))["rows"] == expected
    kinds = {row["kind"]: row["content"]["event_id"] for row in await api.all_of("/users/ann/export")}
    assert kinds == {"notification": "Ann", "event": "Ann"}
    assert "Ann" in {event["id"] for event in await api.all_of("/events")}
    erased = await api.call("POST", "/users/ann/erase")
    assert erased["rows"] == expected
    assert {event["id"] for event in await api.all_of("/events")} == {"Bob"}
    assert (await api.get("/users/bob/summary"))["rows"] == expected


async def test_the_id_of_a_person_has_bounds(api: Api) -> None:
    answer = await api.get(f"/users/{'x' * 1025}/summary", status=400)
    assert answer["detail"] == "the id of a person has 1 to 1024 characters"
    assert (await api.http.post("/api/v1/users//erase")).status_code == 400


async def test_an_audit_row_of_a_send_does_not_name_the_user(api: Api) -> None:
    body = {"tags": "$UserId:{ann}", "properties": {"title": "x"}}
    await api.call("POST", f"/hubs/{HUB}/notifications", status=201, json=body)
    (row,) = (await api.get("/audit"))["items"]
    assert row["detail"] == "template to users and phones, 1 named, of app"
