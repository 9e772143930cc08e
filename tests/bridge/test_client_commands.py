"""The client commands against a running daemon: what they print for people and for scripts, and how they end."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from bridge.app import Daemon
from bridge.cli.client import whoami
from bridge.cli.main import app
from bridge.cli.tables import follow_ups_said, print_json, print_table
from hub.acceptance import Ingest
from hub.api.access import AccessPolicy, Right
from hub.api.sas import signed_token
from hub.store.contracts.people import Kept
from hub.store.contracts.registry import GoneChannel
from hub.store.sqlite.store import SqliteStore
from tests.bridge.examples import read
from tests.bridge.test_admin_api import CONFIGURATION, TOKEN, VERSION, letter, phone, quiet_now
from tests.hub.examples import installation, notification


class Shell:
    """Runs commands against one daemon."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.url = "http://{}:{}".format(*daemon.admin.address)
        self.token_file = directory / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.environment = {"PUSHBRIDGE_URL": self.url, "PUSHBRIDGE_TOKEN_FILE": str(self.token_file)}

    async def run(self, *arguments: str, code: int = 0, answer: str | None = None, **environment: str) -> Result:
        given = {**self.environment, **environment}
        result = await asyncio.to_thread(
            CliRunner().invoke, app, arguments, input=answer, env={k: v or None for k, v in given.items()}
        )
        assert result.exit_code == code, result.output
        return result

    async def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads((await self.run(*arguments, "--json", code=code)).stdout)

    async def error(self, *arguments: str, code: int, **environment: str) -> str:
        """What is said on stderr: one line, and nothing on stdout."""
        result = await self.run(*arguments, code=code, **environment)
        assert result.stdout == ""
        assert result.stderr.startswith("pushbridge: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("pushbridge: ").rstrip()


@asynccontextmanager
async def running(directory: Path, config_hash: str = "") -> AsyncIterator[Shell]:
    settings = read(directory, CONFIGURATION.format(token=f", admin_token: {TOKEN}"))
    daemon = Daemon(settings, config="c.yaml", config_hash=config_hash)
    with capture_logs():
        async with daemon.running():
            yield Shell(daemon, directory)


def at_rest(shell: Shell, directory: Path) -> None:
    """From now on the shell's configuration names a daemon that does not run."""
    config = directory / "c.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:0", "127.0.0.1:1", 1))
    shell.environment = {"PUSHBRIDGE_CONFIG": str(config)}


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running(tmp_path) as shell:
        yield shell


@pytest.mark.slow
async def test_status_is_a_table_for_people_and_json_for_scripts(shell: Shell) -> None:
    printed = (await shell.run("status")).stdout
    assert printed.startswith("pushbridge     ready, version ")
    assert any(line.split()[:3] == ["source", "hr", "running"] for line in printed.splitlines())
    assert ["revision", "r7"] in [line.split() for line in printed.splitlines()]
    assert (await shell.json("status"))["ready"] is True
    assert json.loads((await shell.run("status", "--output", "json")).stdout)["ready"] is True
    assert (await shell.run("status", "--output", "text")).stdout.startswith("pushbridge     ready")


@pytest.mark.slow
async def test_status_of_a_process_that_is_not_ready_ends_with_a_code_of_its_own(shell: Shell) -> None:
    shell.daemon._stop.set()
    assert "not ready" in (await shell.run("status", code=4)).stdout
    assert (await shell.json("status", code=4))["ready"] is False


@pytest.mark.slow
async def test_events_are_listed_and_shown_and_cannot_command_the_terminal(shell: Shell) -> None:
    async with httpx.AsyncClient(verify=False, base_url=shell.url, trust_env=False, timeout=60) as client:
        while (await client.post("/in/hr", content="[red]\x1b[31mann joined")).status_code == 503:
            await asyncio.sleep(0.01)
    printed = (await shell.run("events", "list", "--source", "hr")).stdout
    assert "[red]�[31mann" in printed
    assert "\x1b" not in printed
    (event,) = await shell.json("events", "list", "--limit", "1")
    shown = (await shell.run("events", "show", str(event["number"]))).stdout
    assert "team:hr" in shown
    assert (await shell.json("events", "show", str(event["number"])))["notifications"][0]["rule"] == "all"
    assert "none of the latest" in await shell.error("events", "show", "4711", code=5)


@pytest.mark.slow
async def test_dead_letters_are_listed_shown_and_dropped(shell: Shell) -> None:
    letters = [letter(number, source="ab"[number % 2]) for number in range(6)]
    await shell.daemon.hub.store.accept([Ingest(source="", event_id="", dead_letters=letters)], start=0)
    assert "no id" in (await shell.run("dead-letters", "list")).stdout
    listed = await shell.json("dead-letters", "list", "--limit", "600")
    ids = [str(one["id"]) for one in listed]
    assert len(ids) == 6
    shown = (await shell.run("dead-letters", "show", ids[0])).stdout
    assert "body" in shown
    assert all(word in shown for word in VERSION.values())
    assert (await shell.json("dead-letters", "show", ids[0]))["body"] == "body"
    assert (await shell.run("dead-letters", "drop", ids[0])).stdout == "1 dropped\n"
    assert (await shell.run("dead-letters", "drop", ids[0], code=5)).stdout == f"0 dropped; not there: {ids[0]}\n"
    assert (await shell.run("dead-letters", "drop", "--all", "--source", "a", "--rule", "no")).stdout == "0 dropped\n"
    assert (await shell.run("dead-letters", "drop", "--all", "--source", "a")).stdout == "3 dropped\n"
    assert {one["source"] for one in await shell.json("dead-letters", "list")} == {"b"}
    for wrong in ([], ["1", "--all"], ["1", "--source", "a"]):
        assert "say which" in await shell.error("dead-letters", "drop", *wrong, code=2)
    (row, *_) = (await shell.daemon.hub.store.audit(limit=1)).items
    assert "@" in row.entry.actor


@pytest.mark.slow
async def test_dead_letters_are_replayed_a_dry_run_first_and_nothing_twice(shell: Shell) -> None:
    kept = [letter(number, body=f"{name} joined".encode()) for number, name in enumerate(["ann", "bob"])]
    kept.append(letter(3, body=b"\x1b[31m", reason="decode"))
    await shell.daemon.hub.store.accept([Ingest(source="", event_id="", dead_letters=kept)], start=0)
    unread, *mended = [one["id"] for one in await shell.json("dead-letters", "list")]
    printed = (await shell.run("dead-letters", "replay", "--source", "hr", "--dry-run", code=5)).stdout
    assert "WOULD BE" in printed
    assert printed.count("to team:hr") == 2
    assert "failed" in printed
    assert "\x1b" not in printed
    assert (await shell.json("notifications", "list")) == []
    began = time.monotonic()
    arguments = ["dead-letters", "replay", *map(str, [*reversed(mended), 99]), "--rate", "4", "--json"]
    result = await shell.run(*arguments, code=5)
    done = json.loads(result.stdout)
    assert [(one["id"], one["outcome"]) for one in done["items"]] == [(id, "accepted") for id in reversed(mended)]
    assert done["missing"] == [99]
    assert len(await shell.json("notifications", "list")) == 2
    printed = (await shell.run("dead-letters", "replay", *map(str, mended), "--rate", "1")).stderr
    assert printed == "1 of 2\n"
    assert time.monotonic() - began >= 1
    assert len(await shell.json("notifications", "list")) == 2
    assert [one["id"] for one in await shell.json("dead-letters", "list", "--open")] == [unread]
    assert (await shell.json("dead-letters", "replay", "--reason", "decode", code=5))["items"][0]["reason"] == "decode"
    assert (await shell.json("dead-letters", "list", "--reason", "decode"))[0]["replay"].startswith("decode: ")
    again = await shell.run("dead-letters", "replay", "--reason", "decode", code=5)  # what failed is tried again
    assert again.stdout.endswith("done: 1 failed (decode)\n")
    shown = (await shell.run("dead-letters", "show", str(unread))).stdout
    assert shown.count(": decode: ") == 2
    for wrong in ([], ["1", "--source", "a"]):
        assert "say which" in await shell.error("dead-letters", "replay", *wrong, code=2)
    entries = [row.entry for row in (await shell.daemon.hub.store.audit(limit=9)).items]
    assert {entry.action for entry in entries} == {"dead_letter.replay"}
    assert {entry.target for entry in entries} == {str(one) for one in (unread, *mended)}


@pytest.mark.slow
async def test_notifications_are_listed_and_shown_with_what_became_of_them(shell: Shell) -> None:
    await shell.daemon.store.accept(
        [
            Ingest(source="hr", event_id="e1", notifications=[notification("team:x", hub="app", event_id="e1")]),
            Ingest(source="hr", event_id="e2", notifications=[notification("team:y", hub="spare", event_id="e2")]),
        ],
        start=0,
    )
    assert "team:x" in (await shell.run("notifications", "list")).stdout
    (one,) = await shell.json("notifications", "list", "--event", "e1")
    assert (one["hub"], one["audience"]) == ("app", "team:x")
    assert [each["event_id"] for each in await shell.json("notifications", "list", "--hub", "spare")] == ["e2"]
    async with asyncio.timeout(30):
        while (shown := await shell.json("notifications", "show", one["id"]))["state"] != "NoTargetFound":
            await asyncio.sleep(0.05)
    assert shown["failures"] == []
    assert "NoTargetFound" in (await shell.run("notifications", "show", one["id"])).stdout
    listed = await shell.json("notifications", "list", "--state", "notargetfound")
    assert one["id"] in [each["id"] for each in listed]
    assert "state: 'Done' is none" in await shell.error("notifications", "list", "--state", "Done", code=5)
    assert "hexadecimal" in await shell.error("notifications", "show", "7", code=5)


@pytest.mark.slow
async def test_what_quiet_hours_hold_is_listed_and_shown_in_words(shell: Shell) -> None:
    hub = shell.daemon.hub
    await hub.put_installations("app", [phone("a", "team:x")])
    whole, part = (notification("team:x", hub="app", quiet=quiet_now(zone)) for zone in ("UTC", ""))
    await hub.accept([Ingest(source="hr", event_id="e1", notifications=[whole, part])])
    for one, said in ((whole, ""), (part, "1 push ")):
        async with asyncio.timeout(30):
            while (hold := (await shell.json("notifications", "show", one.id))["quiet_hold"]) is None:
                await asyncio.sleep(0.05)
        line = f"{said}held by quiet hours of window siesta until {hold['last_end']}"
        for command in (("list",), ("show", one.id)):
            assert line in (printed := (await shell.run("notifications", *command)).stdout), printed


@pytest.mark.slow
async def test_devices_are_listed_and_shown(shell: Shell) -> None:
    await shell.daemon.hub.put_installations("app", [phone("a/b", "vip", user="ann"), phone("c")])
    assert "say --hub: there are app, spare" in await shell.error("devices", "list", code=2)
    listed = await shell.json("devices", "list", "--hub", "app")
    assert [one["id"] for one in listed] == ["a/b", "c"]
    for chosen in (["--user", "ann"], ["--tag", "vip && !x"], ["--limit", "1"]):
        assert [one["id"] for one in await shell.json("devices", "list", "--hub", "app", *chosen)] == ["a/b"]
    for chosen in (["--id", "A/"], ["--handle", (phone("a/b").push_channel)[-8:]]):
        found = await shell.json("devices", "list", "--hub", "app", *chosen)
        assert [one["id"] for one in found if one["id"] == "a/b"] == ["a/b"]
    assert "last 8 characters" in await shell.error("devices", "list", "--hub", "app", "--handle", "abc", code=5)
    assert "a/b" in (await shell.run("devices", "list", "--hub", "app")).stdout
    shown = (await shell.run("devices", "show", "a/b", "--hub", "app")).stdout
    assert "native" in shown
    assert (await shell.json("devices", "show", "a/b", "--hub", "app"))["user_id"] == "ann"
    assert "'x' not found" in await shell.error("devices", "show", "x", "--hub", "app", code=5)


@pytest.mark.slow
async def test_removed_devices_are_brought_back(shell: Shell) -> None:
    hub = shell.daemon.hub
    await hub.put_installations("app", [phone("a"), phone("b")])
    gone = [GoneChannel(platform=each.platform, push_channel=each.push_channel, reason="410") for each in (phone("a"),)]
    assert await hub.store.mark_channels_dead("app", gone) > 0
    await hub.store.mark_channels_dead("app", gone)
    for since, wanted in (
        ("soon", "--since 'soon': is no time: write how long ago"),
        ("-2h", "--since '-2h': is no time: write how long ago without a sign, such as 2h"),
        ("2026-03-02T10:00:00", "has no time zone: write 2026-03-02T10:00:00Z for UTC"),
    ):
        assert wanted in await shell.error("devices", "restore", f"--since={since}", "--hub", "app", code=2)
    assert "future" in await shell.error(
        "devices", "restore", "--since", "2999-01-01T00:00:00Z", "--hub", "app", code=5
    )
    ages = ("devices", "restore", "--hub", "app", "--since", "99999999d")
    assert "no date is so long ago" in await shell.error(*ages, code=2)
    assert (await shell.json("devices", "restore", "--since", "2h", "--hub", "spare"))["registrations"] == 0
    said = await shell.run("devices", "restore", "--since", "2h", "--hub", "app")
    assert "of the hub app live again" in said.stdout
    assert not (await hub.store.get_installation("app", "a")).push_channel_expired
    assert [one.entry.action for one in (await hub.store.audit(limit=9)).items][:2] == ["devices.restore"] * 2


@pytest.mark.slow
async def test_a_notification_is_sent_to_a_device_tags_or_everyone(shell: Shell, tmp_path: Path) -> None:
    await shell.daemon.hub.put_installations("app", [phone("b", "vip")])
    toast = tmp_path / "toast.xml"
    toast.write_text("<toast/>")
    native = ["--native", "wns", "--payload", str(toast), "--header", "X-WNS-Type=wns/toast"]
    for arguments, audience, format_ in (
        (["--device", "b", "--with", "title=a=b"], "$InstallationId:{b}", "template"),
        (["--to", "vip && !x", *native], "vip && !x", "wns"),
        (["--everyone", "--with", "title=x"], None, "template"),
    ):
        sent = (await shell.run("send", "--hub", "app", *arguments)).stdout.strip()
        kept = await shell.daemon.hub.store.notification(sent)
        assert (kept.audience, kept.format) == (audience, format_)
    assert (await shell.json("send", "--hub", "app", "--to", "vip", "--with", "a=b"))["audience"] == "vip"
    for wrong, said in (
        (["--with", "a=b"], "say to whom"),
        (["--to", "a", "--everyone", "--with", "a=b"], "say to whom"),
        (["--to", "a"], "say what"),
        (["--to", "a", "--native", "wns"], "say what"),
        (["--to", "a", "--with", "ab"], "--with 'ab': write NAME=TEXT"),
        (["--to", "a", "--with", "a=1", "--with", "A=2"], "--with 'A': is there twice"),
        (["--to", "a", *native, "--header", "x-wns-type=wns/raw"], "--header 'x-wns-type': is there twice"),
        (["--to", "a", "--native", "wns", "--payload", str(tmp_path / "none")], "cannot be read"),
    ):
        assert said in await shell.error("send", "--hub", "app", *wrong, code=2)
    assert "column" in await shell.error("send", "--hub", "app", "--to", "a &&", "--with", "a=b", code=5)


@pytest.mark.slow
async def test_the_daemon_is_found_by_options_environment_or_configuration(shell: Shell, tmp_path: Path) -> None:
    host, port = shell.daemon.admin.address
    config = tmp_path / "found.yaml"
    config.write_text(f'bridge: {{ http: {{ listen: "{host}:{port}", admin_token: {TOKEN} }} }}')
    nowhere = {"PUSHBRIDGE_URL": "", "PUSHBRIDGE_TOKEN_FILE": ""}
    await shell.run("status", "--config", str(config), code=0, **nowhere)
    await shell.run("status", code=0, PUSHBRIDGE_CONFIG=str(config), **nowhere)
    await shell.run("status", "--url", f"{shell.url}/", "--token-file", str(shell.token_file), code=0, **nowhere)
    assert "wants its admin token" in await shell.error("status", code=5, PUSHBRIDGE_TOKEN_FILE="")
    assert "no daemon answers at http://127.0.0.1:1: " in await shell.error(
        "status", "--url", "http://127.0.0.1:1", code=3
    )
    for url in ("nonsense", "http://[::1", "http://", "ftp://127.0.0.1"):
        assert "not a URL" in await shell.error("status", "--url", url, code=2)
    refused = await shell.error("status", "--url", "http://ann:hush@127.0.0.1:1", code=2)
    assert ("use --token-file" in refused, "hush" in refused) == (True, False)
    assert "cannot be read" in await shell.error("status", "--token-file", str(tmp_path / "none"), code=2)
    config.write_text("brigde: {}")
    assert "did you mean bridge?" in (await shell.run("status", "--config", str(config), code=1, **nowhere)).stderr


@pytest.mark.slow
async def test_a_daemon_is_found_while_a_file_of_its_configuration_is_being_mended(
    shell: Shell, tmp_path: Path
) -> None:
    host, port = shell.daemon.admin.address
    nowhere = {"PUSHBRIDGE_URL": "", "PUSHBRIDGE_TOKEN_FILE": ""}
    listeners, rules = tmp_path / "a.yaml", tmp_path / "b.yaml"
    listeners.write_text(f'listeners: {{ admin: {{ address: "{host}:{port}", auth: {{ bearer: {TOKEN} }} }} }}')
    both = ("--config", str(listeners), "--config", str(rules))
    for text, said in (("\trules: []", "never with tabs"), ("rules: [ { nmae: a } ]", "did you mean name?")):
        rules.write_text(text)
        result = await shell.run("status", *both, code=0, **nowhere)
        assert result.stdout.startswith("pushbridge     ready")
        assert (said in result.stderr, "asked all the same" in result.stderr) == (True, True)
        assert TOKEN not in result.stderr
    listeners.write_text(
        f'listeners: {{ admin: {{ address: "{host}:{port}", auth: {{ bearer: "${{env:NO_SUCH}}" }} }} }}'
    )
    assert "without a token" in (await shell.run("status", *both, code=5, **nowhere)).stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", ["\tlisteners: {}", "listeners: { admn: {} }", "brigde: {}", "rules: {}\nlsnrs: {}"])
async def test_no_other_daemon_is_asked_where_a_mistake_hides_the_address(
    shell: Shell, tmp_path: Path, text: str
) -> None:
    config = tmp_path / "hidden.yaml"
    config.write_text(text)
    nowhere = {"PUSHBRIDGE_URL": "", "PUSHBRIDGE_TOKEN_FILE": ""}
    said = (await shell.run("status", "--config", str(config), code=1, **nowhere)).stderr
    assert "does not say where the daemon is: give --url and --token-file" in said


@pytest.mark.slow
async def test_a_configuration_in_several_files_finds_the_daemon(shell: Shell, tmp_path: Path) -> None:
    host, port = shell.daemon.admin.address
    rules, environment = tmp_path / "rules.yaml", tmp_path / "prod.yaml"
    rules.write_text("rules: [ { name: a, push: { to: everyone, with: { title: x } } } ]")
    environment.write_text(
        f'bridge: {{ http: {{ listen: "{host}:{port}", admin_token: {TOKEN} }} }}\nhubs: {{ app: {{}} }}'
    )
    nowhere = {"PUSHBRIDGE_URL": "", "PUSHBRIDGE_TOKEN_FILE": ""}
    await shell.run("status", "--config", str(rules), "--config", str(environment), code=0, **nowhere)
    await shell.run("status", code=0, PUSHBRIDGE_CONFIG=f"{rules}{os.pathsep}{environment}", **nowhere)


async def test_a_token_that_is_wrong_is_said_to_be_and_never_printed(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_text("canary-of-two\nlines")
    said = await shell.error("status", "--token-file", str(file), code=2)
    assert "a token is one line" in said
    assert "canary" not in said
    file.write_text("canary-wrong")
    said = await shell.error("status", "--token-file", str(file), code=5)
    assert "takes another admin token" in said
    assert "canary" not in said


@pytest.mark.parametrize("id", [".", "..", "...", ".a"])
async def test_an_id_of_dots_is_an_id(shell: Shell, id: str) -> None:
    await shell.daemon.hub.put_installations("app", [phone(id)])
    assert (await shell.json("devices", "show", id, "--hub", "app"))["id"] == id


@pytest.mark.parametrize(
    "status, body, said", [(200, "[]", "is no admin listener"), (500, "a defect", "answers 500 without JSON")]
)
async def test_an_answer_that_is_not_of_the_api_ends_the_command_in_words(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, status: int, body: str, said: str
) -> None:
    answer = httpx.Response(status, text=body)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda transport, request: answer)
    assert said in await shell.error("status", code=3)


def test_what_others_wrote_begins_no_row_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\nb\x9b2J\x7f\u202e"
    print_table(["ID"], [[hostile]])
    assert capsys.readouterr().out.split() == ["ID", "a�b�2J��"]
    print_json({"id": hostile, "half": "\ud800"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"id": hostile, "half": "\ud800"}
    assert all(line.isprintable() for line in printed.split("\n"))


HUBS = """
hubs:
  app: { access_policies: [ { name: Full, rights: [Send], key: only-here }, { name: Two, rights: [Send], key: k } ] }
  other: {}
"""


def test_a_token_is_made_from_the_configuration_alone_and_the_hub_api_takes_it(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(HUBS)

    def made(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["token", "--config", str(config), "--hub", "APP", *arguments])

    result = made("--policy", "Full", "--host", "push.example.com", "--lifetime", "2h")
    assert result.exit_code == 0
    policies = [AccessPolicy(name="Full", rights=frozenset([Right.SEND]), keys=["only-here"])]
    signed = signed_token(result.stdout.strip(), policies=policies)
    now = time.time()
    signed.policy_for(hosts=["push.example.com"], path="/app/messages", now=now + 7000)
    with pytest.raises(Exception, match="expired"):
        signed.policy_for(hosts=["push.example.com"], path="/app/messages", now=now + 7600)
    assert json.loads(made("--policy", "Full", "--json").stdout)["policy"] == "Full"
    for arguments, said in (
        ((), "say --policy: there are Full, Two"),
        (("--policy", "None"), "say --policy: there are Full, Two"),
        (("--policy", "Full", "--lifetime", "soon"), "--lifetime 'soon': write a time"),
    ):
        refused = made(*arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert said in refused.stderr
    assert CliRunner().invoke(app, ["token"], env={"PUSHBRIDGE_CONFIG": None}).exit_code == 2


@pytest.mark.slow
async def test_a_store_is_copied_while_the_daemon_runs_and_brought_back_after_it_ended(tmp_path: Path) -> None:
    config = tmp_path / "bridge.yaml"
    config.write_text("version: 1\nbridge: { store: { url: 'sqlite:///back.db', allow_ephemeral: true } }\n")
    copied = tmp_path / "copy.db"
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.accept([Ingest(source="hr", event_id="1", dead_letters=[letter(1)])], start=0)
        done = await shell.json("backup", str(copied))
        assert done == {"file": str(copied), "size": copied.stat().st_size}
        assert await shell.error("backup", str(copied), code=5) == f"{copied} is there already: name a new file"
        assert "another process uses" in await shell.error(
            "restore", str(copied), str(restored_to(tmp_path, shell.daemon.settings.store_path)), code=3
        )
        result = await shell.run("restore", str(copied), str(config))
        assert f"back.db: restored from {copied}" in result.stdout
        assert "a repeated event is known for 86400 s" in result.stdout
    store = SqliteStore(tmp_path / "back.db", allow_ephemeral=True)
    await store.open()
    assert len((await store.letters(limit=10)).items) == 1
    await store.close()


def restored_to(directory: Path, store: Path) -> Path:
    """A configuration whose store is another daemon's."""
    config = directory / "taken.yaml"
    config.write_text(f"version: 1\nbridge: {{ store: {{ url: 'sqlite:///{store}', allow_ephemeral: true }} }}\n")
    return config


@pytest.mark.slow
async def test_devices_are_counted_now_and_over_time_and_changes_of_the_registry_by_kind(shell: Shell) -> None:
    await shell.daemon.hub.put_installations("app", [phone("a/b", "vip", user="ann"), phone("c")])
    (app,) = await shell.json("devices", "counts", "--hub", "APP")
    (wns,) = app["platforms"]
    assert (app["name"], wns["platform"], wns["registrations"]) == ("app", "wns", 4)
    now = (await shell.run("devices", "counts")).stdout
    assert now.split("\n")[1].split() == ["app", "WNS", "4", "ok"]
    await shell.daemon.hub.store.tally({("app", "put_installation"): 2})
    for by in ("hour", "day"):
        (counted,) = (await shell.json("devices", "counts", "--by", by))["items"]
        assert (counted["hub"], counted["platform"], counted["count"]) == ("app", "wns", 4)
    (changed,) = (await shell.json("devices", "counts", "--operations"))["items"]
    assert (changed["at"], changed["name"], changed["count"]) == (None, "put_installation", 2)
    assert "put_installation" in (await shell.run("devices", "counts", "--operations", "--by", "day")).stdout
    assert "--by hour" in await shell.error("devices", "counts", "--since", "2026-03-02T10:00:00Z", code=2)


@pytest.mark.slow
async def test_where_no_daemon_answers_what_the_store_keeps_is_read_from_it(tmp_path: Path) -> None:
    letters = [letter(number) for number in range(3)]
    async with running(tmp_path) as shell:
        store = shell.daemon.hub.store
        await store.put_installations("app", [phone("one", user="u1"), phone("two")])
        await store.accept([Ingest(source="", event_id="", dead_letters=letters)], start=0)
    at_rest(shell, tmp_path)
    files = set(tmp_path.iterdir())

    listed = await shell.run("devices", "list", "--hub", "app", "--user", "u1", "--json")
    assert [device["id"] for device in json.loads(listed.stdout)] == ["one"]
    assert listed.stderr == f"no daemon answers at http://127.0.0.1:1: read from {tmp_path / 'pushbridge.db'}\n"
    assert len(await shell.json("dead-letters", "list", "--limit", "2")) == 2
    assert (await shell.run("devices", "show", "two", "--hub", "app")).stdout
    assert "not known" in (await shell.run("devices", "counts")).stdout
    assert "not found" in (await shell.run("devices", "show", "none", "--hub", "app", code=5)).stderr
    assert "say --hub: there are app, spare" in await shell.error("devices", "list", code=2)
    assert "no daemon answers" in await shell.error("dead-letters", "drop", "1", code=3)
    assert [row["kind"] for row in json.loads((await shell.run("users", "export", "u1", "--json")).stdout)] == [
        "device"
    ]
    assert "no daemon answers" in (await shell.run("users", "erase", "u1", "--yes", code=3)).stderr
    assert "no daemon answers" in await shell.error("events", "show", "1", code=3)
    other = ("devices", "list", "--hub", "app", "--url", "http://127.0.0.1:2")
    assert "no daemon answers" in await shell.error(*other, code=3), "its store may be another"
    assert set(tmp_path.iterdir()) == files, "nothing is made beside the store"
    (tmp_path / "pushbridge.db").write_bytes(b"no database" * 400)
    assert "pushbridge.db: this is no SQLite database" in (await shell.run("notifications", "list", code=3)).stderr


@pytest.mark.slow
async def test_a_person_is_exported_and_erased_after_consent(shell: Shell) -> None:
    one = notification("team:hr", hub="app", person="ann")
    kept = [letter(1, person="ann")]
    store = shell.daemon.hub.store
    await store.accept([Ingest(source="", event_id="", notifications=[one], dead_letters=kept)], start=0)
    assert [row["kind"] for row in await shell.json("users", "export", "ann")] == ["notification", "dead_letter"]
    assert "hello" in (await shell.run("users", "export", "ann")).stdout
    refused = await shell.run("users", "erase", "ann", code=5, answer="n\n")
    assert refused.stderr.startswith("This erases for good: 1 notification, 1 dead letter\n")
    assert refused.stderr.endswith("pushbridge: nothing was erased\n")
    unanswered = await shell.run("users", "erase", "ann", code=5, answer="")
    assert "nothing was erased" in unanswered.stderr
    assert (await store.count_person("ann"))[Kept.NOTIFICATION] == 1
    assert "erased: 1 notification, 1 dead letter\n" in (await shell.run("users", "erase", "ann", answer="y\n")).stdout
    assert (await shell.run("users", "export", "ann")).stdout == "nothing is kept\n"
    again = await shell.json("users", "erase", "ann", "--yes")
    assert set(again["rows"].values()) == {0}
    (newest, *_) = (await store.audit(limit=1)).items
    assert newest.entry.target == again["digest"]


async def test_a_copy_from_before_an_erasure_comes_back_without_the_person(tmp_path: Path) -> None:
    configuration = tmp_path / "c.yaml"
    configuration.write_text("version: 1\nbridge: { store: { url: 'sqlite:///back.db', allow_ephemeral: true } }\n")
    store = SqliteStore(tmp_path / "back.db", allow_ephemeral=True)
    await store.open()
    await store.erase_person("eve", actor="x")  # who comes back before the copy is made
    phones = [replace(installation(f"phone of {name}"), user_id=name) for name in ("ann", "bob", "eve")]
    await store.put_installations("app", phones)
    one, other = (notification(hub="app", person=name) for name in ("ann", "bob"))
    batch = [Ingest(source="s", event_id="e", notifications=[one, other], dead_letters=[letter(1, person="ann")])]
    await store.accept(batch, start=0)
    erasing = asyncio.ensure_future(store.erase_person("zoe", actor="x"))
    await store.back_up(tmp_path / "copy.db")
    await erasing
    await store.erase_person("Ann", actor="x")
    await store.close()
    arguments = ("restore", str(tmp_path / "copy.db"), str(configuration))
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 0, result.output
    assert "erased again: 4 rows of persons who were erased after the copy was made\n" in result.stdout
    store = SqliteStore(tmp_path / "back.db", allow_ephemeral=True)
    await store.open()
    counts = {name: sum((await store.count_person(name)).values()) for name in ("ann", "bob", "eve")}
    assert counts == {"ann": 0, "bob": 3, "eve": 2}
    (again,) = [each.entry for each in (await store.audit(limit=100)).items if "again" in each.entry.detail]
    assert (again.actor, again.action, again.detail) == (whoami(), "user.erased", "again in a restored copy: 4 rows")
    assert again.target in (tmp_path / "back.db.erased").read_text()
    assert b"phone of ann" not in (tmp_path / "back.db").read_bytes()
    await store.back_up(tmp_path / "second.db")
    await store.put_installations("app", phones[:1])
    await store.back_up(tmp_path / "third.db")
    await store.close()
    arguments = ("restore", str(tmp_path / "third.db"), str(configuration))
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert "erased again" not in result.stdout, "Ann came back before this copy was made"


def test_who_is_told_of_what_was_not_opened_is_said_in_a_line_for_each_look() -> None:
    look: dict[str, Any] = {
        "about": "delivered",
        "about_meaning": "pushes that a push service took",
        "sinks": ["sms", "crm"],
    }
    look |= {"sent_at": "10:00", "due": "10:15", "ended_at": None, "told": 0, "opened": 0}
    ended = look | {"due": None, "ended_at": "10:15", "told": 1, "opened": 2}
    many = ended | {"about": "expanded", "about_meaning": "all pushes of a notification that is for many"}
    assert follow_ups_said([look, ended, many]).splitlines() == [
        "sms, crm at 10:15, of pushes that a push service took at 10:00",
        "looked at 10:15: a report of 1 phone was written for sms, crm, 2 phones had opened it",
        "nobody: it is for many",
    ]
