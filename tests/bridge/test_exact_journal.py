"""Numbers of an event keep their digits in the journal, so that `why` and `diff` judge them as the daemon did."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon
from hub.exact_json import dumps, loads_as_written
from tests.bridge.examples import read
from tests.bridge.test_admin_api import TOKEN
from tests.bridge.test_client_commands import Shell
from tests.bridge.test_why import post

LONG = "12345678901234567.89"
WIDE = "123456789012345678901234567890"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("19.9", 19.9),
        ("19.90", Decimal("19.90")),
        (LONG, Decimal(LONG)),
        ("1e+22", 1e22),
        ("1e22", 1e22),
        (WIDE, int(WIDE)),
        ("0.1", 0.1),
        ("-0.0", -0.0),
        ("5", 5),
    ],
)
def test_a_number_is_read_as_it_is_written(text: str, value: Any) -> None:
    found = loads_as_written(f"[{text}]".encode())[0]
    assert (type(found), str(found)) == (type(value), str(value))
    assert loads_as_written(dumps([found], wide=True)) == [value]


CONFIGURATION = """
bridge: {{ http: {{ listen: "127.0.0.1:0", admin_token: {token} }} }}
hub_api: {{ listen: "127.0.0.1:0" }}
sources: {{ bank: {{ http: {{ path: /in/hr }}, map: {{ id: "{{{{ data.id }}}}" }} }} }}
hubs: {{ app: {{}} }}
rules:
  - name: exact
    match: {{ data: {{ amount: {{ gt: 12345678901234567.88, lt: 12345678901234567.90 }}, wide: {wide} }} }}
    when: data.amount == {long}
    push: {{ to: everyone, with: {{ text: "{{{{ data.amount }}}} {{{{ data.wide }}}}" }} }}
"""


@pytest.mark.slow
async def test_a_rule_about_a_long_number_is_judged_alike_later(tmp_path: Path) -> None:
    settings = read(tmp_path, CONFIGURATION.format(token=TOKEN, long=LONG, wide=WIDE))
    daemon = Daemon(settings, config="c.yaml", config_hash="0123456789ab")
    body = '{"id": "e1", "amount": %s, "wide": %s}' % (LONG, WIDE)  # noqa: UP031 - braces of JSON
    config, exported = str(tmp_path / "c.yaml"), tmp_path / "events.jsonl"
    with capture_logs():
        async with daemon.running():
            shell = Shell(daemon, tmp_path)
            await post(shell, body)
            (rule,) = (await shell.json("why", "e1"))["rules"]
            assert rule["result"] == "fired"
            (tmp_path / "draft.yaml").write_text((tmp_path / "c.yaml").read_text().replace("text:", "title:"))
            compared = ("diff", str(tmp_path / "draft.yaml"), "--against", config)
            written = await shell.json("events", "export", "--to", str(exported))
            for events in ((), ("--events", str(exported))):
                found = await shell.json(*compared, *events)
                assert [each["kind"] for each in found["changes"]] == ["content changed"], found
                assert LONG in json.dumps(found)
                assert WIDE in json.dumps(found)
    assert (written["events"], written["without_values"]) == (1, 0)
    assert LONG in exported.read_text()


@pytest.mark.slow
async def test_events_without_values_are_counted_where_they_are_exported(tmp_path: Path) -> None:
    text = CONFIGURATION.format(token=TOKEN, long=LONG, wide=WIDE) + "journal: { bodies: 0s }\n"
    daemon = Daemon(read(tmp_path, text), config="c.yaml", config_hash="0123456789ab")
    with capture_logs():
        async with daemon.running():
            shell = Shell(daemon, tmp_path)
            await post(shell, '{"id": "e1"}')
            said = (await shell.run("events", "export", "--to", str(tmp_path / "events.jsonl"))).stdout
    assert "0 events in" in said
    assert "1 event of this time without values" in said
