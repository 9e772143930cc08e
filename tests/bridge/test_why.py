"""Why a push came, or did not, asked of a daemon with the command line and through the API."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bridge.observe.facts import NotKept
from hub.acceptance import Ingest, JournalEntry
from hub.installation import Template
from tests.bridge.test_admin_api import Api, phone
from tests.bridge.test_admin_api import running as api_running
from tests.bridge.test_client_commands import Shell, at_rest, running
from tests.bridge.test_console import running as console_running


async def post(shell: Shell, body: str) -> None:
    async with httpx.AsyncClient(base_url=shell.url, trust_env=False, timeout=60) as client:
        while (await client.post("/in/hr", content=body)).status_code == 503:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_why_tells_of_an_event_and_a_device_also_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.put_installations("app", [phone("in", "team:hr"), phone("out", "team:it")])
        await post(shell, "ann joined")
    async with running(tmp_path) as shell:
        traced = await shell.json("why", "ann", "in")
        assert (traced["outcome"], traced["data"], traced["same_configuration"]) == ("accepted", {"who": "ann"}, False)
        (rule,) = traced["rules"]
        assert (rule["rule"], rule["result"]) == ("all", "fired")
        (notification,) = traced["notifications"]
        native, template = notification["device"]
        assert native["answer"] == "no_template"
        assert template["answer"] in ("waiting", "under_way", "audience_unknown")  # nothing answers for WNS
        (notification,) = (await shell.json("why", notification["id"], "out"))["notifications"]
        assert {(each["answer"], each["unmet"]) for each in notification["device"]} == {("tags", "team:hr")}
        printed = (await shell.run("why", "ann", "out")).stdout
        assert "its tags do not match the audience" in printed
        assert "not met: team:hr" in printed
        assert "the hub has no such device" in (await shell.run("why", "ann", "none")).stdout
    at_rest(shell, tmp_path)
    assert "its tags do not match" in (await shell.run("why", "ann", "out")).stdout


async def test_properties_that_the_template_of_a_device_misspells_are_named(tmp_path: Path) -> None:
    template = Template(body="<toast><text>$(titel)</text><text>$(name)</text></toast>", headers={})
    async with running(tmp_path) as shell:
        device = replace(phone("odd", "team:hr"), templates={"t": template})  # has the push variable name
        await shell.daemon.hub.store.put_installations("app", [device])
        await post(shell, "ann joined")
        answer = "audience_unknown"
        while answer == "audience_unknown":
            (notification,) = (await shell.json("why", "ann", "odd"))["notifications"]
            native, traced = notification["device"]
            answer = traced["answer"]
        assert (native["missing"], traced["missing"]) == ([], ["titel"])
        assert "properties that are missing: titel" in (await shell.run("why", "ann", "odd")).stdout


@pytest.mark.slow
async def test_why_of_a_send_is_that_of_its_notification_and_of_nothing_is_said_so(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        sent = (await shell.run("send", "--hub", "app", "--everyone", "--with", "a=b")).stdout.strip()
        traced = await shell.json("why", sent)
        assert [each["id"] for each in traced["notifications"]] == [sent]
        assert traced["outcome"] == ""
        assert "no event 'nope' is kept: events are kept for 7 days" in await shell.error("why", "nope", code=5)
        assert "not found" in await shell.error("why", "0" * 32, code=5)


async def test_hostile_values_of_an_event_cannot_command_the_terminal(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        await post(shell, "[red]\x1b[31mann joined")
        printed = (await shell.run("why", "[red]\x1b[31mann")).stdout
        assert "[red]" in printed
        assert "\x1b" not in printed


async def test_the_api_answers_the_same_by_its_document(tmp_path: Path) -> None:
    async with api_running(tmp_path) as api:
        await _ask(api)


async def _ask(api: Api) -> None:
    while (await api.http.post("/in/hr", content="x/y joined")).status_code == 503:
        await asyncio.sleep(0.01)
    traced = await api.get("/events/x%2Fy/trace")
    assert (traced["id"], traced["type"], traced["same_configuration"]) == ("x/y", "hr", True)
    assert json.dumps(traced["rules"]).count("fired") == 1
    await api.get("/events/none/trace", status=404)
    await api.get("/events/x/trace", status=404, source="bank")


@pytest.mark.slow
async def test_a_device_of_another_hub_is_said_to_be_there(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.put_installations("app", [phone("in", "team:hr")])
        await shell.daemon.hub.store.put_installations("spare", [phone("foreign", "team:hr")])
        await post(shell, "ann joined")
        assert "the hub has no such device; there is one in spare" in (await shell.run("why", "ann", "foreign")).stdout
        (notification,) = (await shell.json("why", "ann", "nowhere"))["notifications"]
        assert (notification["device"], notification["device_hubs"], notification["remote"]) == ([], [], False)


async def test_of_an_event_that_caused_no_notification_a_device_is_said_to_be_there_or_not(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.put_installations("spare", [phone("pad", "team:hr")])
        detail = json.dumps({"rules": [], "type": "x"}).encode()
        entry = JournalEntry(source="hr", event_id="lost", outcome="no_match", detail=detail)
        await shell.daemon.hub.store.accept([Ingest(source="hr", event_id="lost", journal=entry)], start=0)
        printed = (await shell.run("why", "lost", "pad")).stdout
        assert "pad is in spare; of this event nothing was sent to any device" in printed
        assert "none is in no hub here; of this event nothing" in (await shell.run("why", "lost", "none")).stdout
        assert (await shell.json("why", "lost"))["device"] is None
        assert (await shell.json("why", "lost", "pad"))["device"] == {"id": "pad", "hubs": ["spare"], "remote_hubs": []}


async def test_after_a_change_of_the_configuration_both_are_named_and_what_is_not_known_any_more(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, config_hash="before") as shell:
        await post(shell, "ann joined")
        traced = await shell.json("why", "ann")
        assert (traced["same_configuration"], traced["rules_missing"]) == (True, "")
    async with running(tmp_path, config_hash="after") as shell:
        traced = await shell.json("why", "ann")
        assert (traced["config_hash"], traced["config_hash_now"], traced["revision_now"]) == ("before", "after", "r7")
        printed = (await shell.run("why", "ann")).stdout
        assert "r7 before; now r7 after" in printed
        assert "has changed since, and the rules may have too: only the rules that matched then are named" in printed
    at_rest(shell, tmp_path)
    assert len((await shell.json("why", "ann"))["config_hash_now"]) == 12


@pytest.mark.slow
async def test_why_says_how_many_phones_have_no_template_also_where_no_daemon_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        phones = [replace(phone(name, "team:hr"), templates={}) for name in ("one", "two")]
        await shell.daemon.hub.store.put_installations("app", phones)
        await post(shell, "ann joined")
        while not (await shell.json("why", "ann"))["notifications"][0]["unreached"]:
            await asyncio.sleep(0.01)
    at_rest(shell, tmp_path)
    printed = " ".join((await shell.run("why", "ann")).stdout.split())
    assert "none of them has registered a template (2 registrations)" in printed
    assert (await shell.json("why", "ann"))["notifications"][0]["unreached"] == "no_template"
    (event,) = json.loads((await shell.run("events", "list", "--json")).stdout)
    assert (event["id"], event["outcome"], event["notifications"]) == ("ann", "accepted", 1)


async def test_why_of_an_event_whose_values_are_too_many_says_so(tmp_path: Path) -> None:
    detail = json.dumps({"rules": [], "type": "x", "not_kept": NotKept.TOO_LARGE.value}).encode()
    entry = JournalEntry(source="hr", event_id="big", outcome="accepted", detail=detail)
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.accept([Ingest(source="hr", event_id="big", journal=entry)], start=0)
        assert "more than 32 KiB" in (await shell.run("why", "big")).stdout


REMOTE = """
rules:
  - { name: joined, push: { to: "team:hr", with: { title: "{{ data.id }} joined" } } }
hubs:
  far:
    remote:
      connection_string: "Endpoint=sb://127.0.0.1:9/;SharedAccessKeyName=Full;SharedAccessKey=YWJjZGVmZ2hpamtsbW5vcA=="
"""


@pytest.mark.parametrize(
    ("bodies", "said"),
    [(0, "are not kept, as journal.bodies says"), (1e-9, "are kept for"), (3600, "had to make room")],
)
async def test_why_there_are_no_values_is_said_and_the_type_is_shown(tmp_path: Path, bodies: float, said: str) -> None:
    saw = {
        "place": "c.yaml:1:1: rules[0]",
        "wanted": "x",
        "seen": {"type": {"kind": "text of 1 character"}},
        "error": "",
    }
    rule = {"rule": "all", "place": "", "result": "not matched", "condition": saw, "stopped_by": ""}
    detail = json.dumps({"rules": [], "type": "z", "explanations": [rule]}).encode()
    entry = JournalEntry(source="hr", event_id="bare", outcome="no_match", detail=detail)
    async with running(tmp_path) as shell:
        journal = shell.daemon.settings.journal
        object.__setattr__(journal, "bodies", bodies)
        await shell.daemon.hub.store.accept([Ingest(source="hr", event_id="bare", journal=entry)], start=0)
        printed = (await shell.run("why", "bare")).stdout
        assert said in printed
        assert 'type = "z"' in printed


async def test_what_a_notification_waits_for_is_said_and_that_a_remote_hub_alone_knows_its_devices(
    tmp_path: Path,
) -> None:
    async with console_running(tmp_path, token="t", more=REMOTE) as (_, client):
        client.headers["authorization"] = "Bearer t"
        while (await client.post("/in/hr", content="ann joined")).status_code == 503:
            await asyncio.sleep(0.01)
        waits_for: list[str] = []
        while not waits_for:
            await asyncio.sleep(0.01)
            trace = (await client.get("/api/v1/events/ann/trace", params={"device": "one"})).json()
            (notification,) = trace["notifications"]
            waits_for = notification["waits_for"]
        assert waits_for[0].startswith("remote hub far: ")
        assert notification["remote"] is True
