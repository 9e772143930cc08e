"""Who answers for a rule or a source is named where its trouble is seen: dead letters, `why`, `explain` and metrics."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from bridge.app import Daemon
from bridge.cli.main import app
from tests.bridge.examples import complaints, read

CONFIGURATION = """
bridge: { store: { allow_ephemeral: true } }
listeners: { admin: { address: "127.0.0.1:0" }, hub_api: { address: "127.0.0.1:0" } }
sources:
  hr:
    http: { path: /in/hr }
    owner: people-team
    on_no_match: dead_letter
    map: { id: "{{ data.id }}", type: "hr.{{ data.kind }}" }
hubs: { app: {} }
defaults: { owner: platform@acme.example }
rules:
  - name: broken
    owner: Team A
    source: hr
    match: { type: hr.a }
    push: { to: everyone, with: { t: "{{ data.x }}" } }
  - { name: whole, match: { type: hr.b }, push: { to: everyone, with: { t: hello } } }
"""


async def test_an_owner_stands_in_dead_letters_traces_and_metrics(tmp_path: Path) -> None:
    daemon = Daemon(read(tmp_path, CONFIGURATION), config="c.yaml")
    async with daemon.running():
        url = "http://{}:{}".format(*daemon.admin.address)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            for kind in "abc":
                while (await http.post("/in/hr", json={"id": kind, "kind": kind})).status_code == 503:
                    await asyncio.sleep(0.01)
            letters = (await http.get("/api/v1/dead-letters")).json()["items"]
            assert {(one["rule"], one["owner"]) for one in letters} == {("broken", "Team A"), ("", "people-team")}
            for id_, owners in (("b", ["platform@acme.example"]), ("c", ["Team A", "platform@acme.example"])):
                trace = (await http.get(f"/api/v1/events/{id_}/trace")).json()
                assert trace["owner"] == "people-team"
                assert [rule["owner"] for rule in trace["rules"]][-len(owners) :] == owners
            metrics = (await http.get("/metrics")).text
    assert 'pushbridge_source_info{owner="people-team",source="hr"} 1.0' in metrics
    assert 'pushbridge_rule_info{owner="Team A",rule="broken"} 1.0' in metrics


def test_explain_names_the_owner_of_each_rule(tmp_path: Path) -> None:
    read(tmp_path, CONFIGURATION)
    (tmp_path / "event.json").write_text('{"id": "1", "kind": "b"}')
    arguments = ["explain", str(tmp_path / "c.yaml"), str(tmp_path / "event.json")]
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert {rule["rule"]: rule["owner"] for rule in report["rules"]} == {
        "broken": "Team A",
        "whole": "platform@acme.example",
    }
    assert "OWNER" in CliRunner().invoke(app, arguments).stdout


def test_the_configuration_as_understood_names_the_owner_that_a_rule_inherits(tmp_path: Path) -> None:
    read(tmp_path, CONFIGURATION)
    shown = json.loads(CliRunner().invoke(app, ["check", "--show", "--json", str(tmp_path / "c.yaml")]).stdout)
    rules = shown["configuration"]["rules"]
    assert [rule["owner"] for rule in rules] == ["Team A", "platform@acme.example"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('sources: { s: { http: { path: /in/s }, map: { id: "{{ data.id }}" }, owner: "a\\tb" } }', "sources.s.owner"),
        ('hubs: { a: {} }\nrules: [ { name: r, owner: "a{b}", push: { to: x, with: { a: b } } } ]', "rules[0].owner"),
        ('defaults: { owner: "a,b" }', "defaults.owner"),
    ],
)
def test_an_owner_is_a_label_and_no_other_text(text: str, said: str, tmp_path: Path) -> None:
    (complaint,) = [line for line in complaints(tmp_path, text) if "warning" not in line]
    assert f": {said}: " in complaint
    assert "up to 100 letters, digits, spaces and @ # . : / + _ -" in complaint
