"""`pushbridge explain`: what an event in a file would do, by the code that the daemon runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bridge.cli.main import app
from hub.notification import Platform
from hub.store.sqlite.store import SqliteStore
from tests.bridge.test_admin_api import phone
from tests.bridge.test_client_commands import running
from tests.hub.examples import installation
from tests.hub.platforms.keys import p256_key, pem_of

CONFIGURATION = """
version: 1
sources:
  bank:
    http: { path: /in/bank }
    decode: { format: json }
    map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }
  other: { http: { path: /in/other } }
rules:
  - name: of-another
    source: other
    push: { to: everyone, with: { t: x } }
  - name: large
    source: bank
    match: { type: bank.debit, data: { amount: { gte: 100 } } }
    when: "data.currency == 'CHF'"
    push: { to: "customer:{{ data.customer }}", with: { title: "Debit {{ data.amount }}" } }
  - name: silent
    match: { data: { wakes: true } }
    push:
      to: everyone
      native: { apns: { payload: { aps: { content-available: 1 } }, headers: { apns-priority: "5" } } }
    stop: true
  - name: last
    push: { to: { user: "{{ data.user }}" }, with: { title: hello } }
hubs:
  acme:
    default: true
    platforms: { apns: { key_id: ABC123DEFG, team_id: DEF123GHIJ, topic: com.acme, key: "KEY" } }
"""
DEVICE = {
    "installationId": "d1",
    "platform": "apns",
    "pushChannel": "abcdef",
    "tags": ["customer:c9"],
    "templates": {"t": {"body": '{"aps":{"alert":{"title":"$(title)","body":"$(body)"}}}'}},
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    key = json.dumps(pem_of(p256_key()))[1:-1]
    (tmp_path / "c.yaml").write_text(CONFIGURATION.replace("KEY", key))
    (tmp_path / "device.json").write_text(json.dumps(DEVICE))
    return tmp_path


def run(files: Path, event: object, *options: str, code: int = 0, source: str = "bank") -> Result:
    body = event if isinstance(event, str) else json.dumps(event)
    given = [*(["--source", source] if source else []), *options]
    result = CliRunner().invoke(app, ["explain", str(files / "c.yaml"), "-", *given], input=body)
    assert result.exit_code == code, result.output
    return result


def explained(files: Path, event: object, *options: str) -> Any:
    return json.loads(run(files, event, "--json", *options).stdout)


def test_each_rule_says_whether_it_fired_or_the_first_condition_that_failed_with_its_place(files: Path) -> None:
    tried = explained(files, {"id": 1, "kind": "debit", "amount": 99.5, "wakes": True})
    of_another, large, silent, last = tried["rules"]
    assert of_another["condition"]["wanted"] == "other"
    assert large["result"] == "not matched"
    assert large["condition"]["seen"] == {"data.amount": {"value": 99.5}}
    line = CONFIGURATION[: CONFIGURATION.index("{ gte: 100 }")].count("\n") + 1
    assert f"c.yaml:{line}:" in large["condition"]["place"]
    assert large["condition"]["place"].endswith("match.data.amount.gte")
    assert silent["result"] == "fired"
    assert last == last | {"result": "not reached", "stopped_by": "silent"}
    assert [each["rule"] for each in tried["notifications"]] == ["silent"]

    tried = explained(files, {"id": 1, "kind": "debit", "amount": 100, "currency": "EUR"})
    assert tried["rules"][1]["condition"]["seen"] == {"data.currency": {"value": "EUR"}}
    assert tried["rules"][2]["condition"]["seen"] == {"data.wakes": {"missing": True}}


def test_a_condition_without_an_answer_is_named_once(files: Path) -> None:
    config = files / "c.yaml"
    config.write_text(config.read_text().replace("data.currency == 'CHF'", "data.currency > 5"))
    shown = run(files, {"id": 1, "kind": "debit", "amount": 100, "currency": "EUR"}).stdout
    assert shown.count("data.currency > 5") == 1
    assert "data.currency > 5: does not go with values of these kinds" in shown


def test_the_payload_is_the_request_that_would_leave_for_the_device_given(files: Path) -> None:
    event = {"id": 1, "kind": "debit", "amount": 100, "currency": "CHF", "customer": "c9"}
    (notification,) = explained(files, event, "--device", str(files / "device.json"))["notifications"][:1]
    assert notification["to"] == "customer:c9"
    assert notification["audience"] == {"apns": 1}
    (payload,) = notification["payloads"]
    assert payload["url"] == "https://api.push.apple.com/3/device/ABCDEF"
    assert json.loads(payload["body"]) == {"aps": {"alert": {"title": "Debit 100", "body": ""}}}
    assert payload["headers"]["apns-topic"] == "com.acme"
    assert payload["headers"]["authorization"] == "bearer [access token]"
    assert payload["missing"] == ["body"]


@pytest.mark.slow
def test_an_audience_that_is_empty_says_why_and_one_that_is_not_known_invents_no_template(files: Path) -> None:
    event = {"id": 1, "kind": "debit", "amount": 100, "currency": "CHF", "customer": "c10"}
    (notification,) = explained(files, event, "--device", str(files / "device.json"))["notifications"][:1]
    assert notification["unreached"] == "no registration matches the audience"
    assert "empty: no registration matches" in run(files, event, "--device", str(files / "device.json")).stdout
    (notification,) = explained(files, event)["notifications"][:1]
    assert notification["audience"] is None
    assert notification["payloads"] == []
    assert "the phones' own" in run(files, event).stdout


def test_a_rule_that_reads_a_field_named_source_is_not_taken_for_one_of_another_source(files: Path) -> None:
    configuration = (files / "c.yaml").read_text()
    (files / "c.yaml").write_text(configuration.replace("wakes: true", "source: app"))
    printed = run(files, {"id": 1, "kind": "debit", "user": "u"}).stdout
    assert "match.data.source" in printed
    assert "1 rule is for other sources" in printed


def test_what_is_no_event_is_explained_as_far_as_it_goes(files: Path) -> None:
    tried = explained(files, '{"id": ')
    assert (tried["outcome"], tried["stage"], tried["reason"]) == ("rejected", "decode", "decode")
    assert "the body cannot be decoded" in run(files, '{"id": ').stdout
    tried = explained(files, {"kind": "debit"})
    assert (tried["stage"], tried["detail"]) == ("map", "map.id: data.id is missing")
    assert tried["data"] == {"kind": "debit"}
    tried = explained(files, {"id": 1, "kind": "debit", "amount": 100, "currency": "CHF", "customer": "a || b"})
    assert [(each["rule"], each["reason"]) for each in tried["failures"]][:1] == [("large", "tag_unsafe")]


def test_a_large_event_is_explained_with_its_data(files: Path) -> None:
    tried = explained(files, {"id": 1, "kind": "debit", "amount": 5, "text": "x" * 20_000})
    assert tried["data"]["amount"] == 5
    assert tried["rules"][1]["condition"]["seen"] == {"data.amount": {"value": 5}}


def test_values_of_an_event_cannot_command_the_terminal_nor_be_taken_for_its_markup(files: Path) -> None:
    printed = run(files, {"id": "[red]\x1b[31m", "kind": "\x9b2J", "user": "u\x1b]0;x\x07"}).stdout
    assert "[red]" in printed
    assert not {"\x1b", "\x9b", "\x07"} & set(printed)


def test_headers_and_properties_of_a_message_are_given_beside_its_body(files: Path) -> None:
    by_data = 'map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }'
    by_meta = 'map: { id: "{{ meta.message_id }}", type: "{{ meta.headers[\'X-Kind\'] }}" }'
    (files / "c.yaml").write_text((files / "c.yaml").read_text().replace(by_data, by_meta))
    event = explained(files, {}, "--meta", "message_id=m1", "--header", "x-kind=bank.debit")["event"]
    assert (event["id"], event["type"]) == ("m1", "bank.debit")


def test_what_a_file_cannot_have_of_a_message_is_asked_for(files: Path) -> None:
    by_data = 'map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }'
    for expression, hint in (
        ("meta.message_id", "--meta message_id=TEXT"),
        ("meta.headers['X-Kind']", "--header NAME=TEXT"),
        ("data.nothing", ""),
    ):
        by_meta = f'map: {{ id: "{{{{ {expression} }}}}", type: x }}'
        config = (files / "c.yaml").read_text()
        (files / "c.yaml").write_text(config.replace(by_data, by_meta))
        printed = run(files, {}).stdout
        assert (hint in printed) if hint else ("a message brings" not in printed)
        (files / "c.yaml").write_text(config)


def test_an_event_alone_is_explained_by_the_configuration_of_the_environment(files: Path) -> None:
    event = files / "event.json"
    event.write_text('{"id": 1, "kind": "debit", "amount": 100, "currency": "EUR"}')
    command = ["explain", str(event), "--source", "bank", "--json"]
    result = CliRunner().invoke(app, command, env={"PUSHBRIDGE_CONFIG": str(files / "c.yaml")})
    assert json.loads(result.stdout)["event"]["id"] == "1"
    without = CliRunner().invoke(app, command, env={"PUSHBRIDGE_CONFIG": None})
    assert (without.exit_code, "name the configuration" in without.output) == (2, True)


async def test_a_store_gives_the_audience_while_a_daemon_has_it(files: Path) -> None:
    store = SqliteStore(files / "bridge.db", allow_ephemeral=True)
    await store.open()
    try:
        device = installation("d1", "customer:c9", platform=Platform.APNS, push_channel="AB")
        await store.put_installations("acme", [device])
        event = {"id": 1, "kind": "debit", "amount": 100, "currency": "CHF", "customer": "c9"}
        tried = await asyncio.to_thread(explained, files, event, "--store", str(files / "bridge.db"))
        assert tried["notifications"][0]["audience"] == {"apns": 1}
        (payload,) = tried["notifications"][0]["payloads"]
        assert payload["url"].startswith("https://api.push.apple.com/3/device/[sha256:"), (
            "a real phone's channel is none's"
        )
    finally:
        await store.close()


@pytest.mark.slow
def test_wrong_arguments_are_named(files: Path) -> None:
    assert "--source: say which of bank, other" in run(files, "{}", source="", code=2).stderr
    assert "the configuration has bank, other" in run(files, "{}", source="bnak", code=2).stderr
    unknown = run(files, "{}", "--meta", "mesage_id=1", code=2).stderr
    assert "--meta 'mesage_id': a message of HTTP has content_type, message_id, path" in unknown
    assert "cannot be read" in run(files, "{}", "--device", str(files / "none.json"), code=2).stderr
    (files / "device.json").write_text('{"platform": "apns"}')
    assert "device.json: " in run(files, "{}", "--device", str(files / "device.json"), code=2).stderr
    assert "no such file" in run(files, "{}", "--store", str(files / "none.db"), code=3).stderr
    assert not (files / "none.db").exists()
    (files / "other.db").write_bytes(b"x" * 4096)
    assert "other.db" in run(files, "{}", "--store", str(files / "other.db"), code=3).stderr


@pytest.mark.slow
async def test_what_comes_of_it_is_sent_to_one_device_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.put_installations("app", [phone("mine", "team:hr"), phone("other", "team:hr")])
        host, port = shell.daemon.admin.address
        config = tmp_path / "mine.yaml"
        text = (tmp_path / "c.yaml").read_text()
        config.write_text(text.replace("127.0.0.1:0", f"{host}:{port}", 1))
        (tmp_path / "event").write_text("ann joined")
        event = str(tmp_path / "event")
        shell.environment.clear()  # the daemon is the one of the configuration
        sent = await shell.json("explain", str(config), event, "--send-to", "mine")
        (id_,) = sent["sent"]
        assert (await shell.daemon.hub.store.notification(id_)).audience == "$InstallationId:{mine}"
        none = await shell.run("explain", str(config), event, "--send-to", "none", code=5)
        assert "none" in none.stderr
        assert none.stdout == ""
