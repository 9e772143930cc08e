"""The playground over HTTP: a try in a process of its own, by role, with limits, and nothing of it is kept or sent."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from bridge.admin.playground.process import Playground
from bridge.app import Daemon
from bridge.cli.main import app
from hub.installation import Template
from tests.bridge.test_console import post, running
from tests.hub.examples import installation

pytestmark = pytest.mark.processes

AUTH = """{ tokens: [
  { name: vi, role: viewer, token: canary-view },
  { name: ann, role: operator, token: canary-operate },
  { name: root, role: admin, token: canary-administer },
] }"""
MORE = """
  bank:
    http: { path: /in/bank, auth: { bearer: canary-in } }
    map: { id: "{{ data.id }}", type: "posting.{{ data.kind }}" }
  broker: { rabbitmq: { url: "amqp://u:canary-broker@127.0.0.1:1/", queue: { name: q } } }
listeners: { hub_api: { address: "127.0.0.1:0" } }
hubs:
  app:
    auth: { sas: [ { name: Full, rights: [Listen, Send, Manage], key: canary-key } ] }
    platforms: { wns: { tenant: t, client_id: c, client_secret: canary-wns, token_url: "https://127.0.0.1:1/token" } }
# what all rules share
defaults: { push: { ttl: 6h } }
rules:
  # who pays
  - name: debit
    source: bank
    match: { type: posting.debit, data: { amount: { gte: 100 } } }
    push: { to: "customer:{{ data.customer }}", with: { title: "Debit {{ data.amount }}", body: "{{ data.note }}" } }
  - name: joined
    source: hr
    push: { to: everyone, with: { title: "hello" } }
"""
BODY = '{"id": "p1", "kind": "debit", "amount": 900, "customer": "4711", "note": "${env:HOME}\\n1e5: yes"}'
API = "/api/v1/playground"


@asynccontextmanager
async def opened(directory: Path, *, more: str = MORE) -> AsyncIterator[tuple[Daemon, httpx.AsyncClient]]:
    async with running(directory, auth=AUTH.replace("\n", " "), more=more) as (daemon, client):
        client.headers["authorization"] = "Bearer canary-operate"
        yield daemon, client


async def tried(client: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    begun = await client.get(API)
    assert begun.status_code == 200, begun.text
    rules = begun.json()["rules"]
    answer = await client.post(API, json={"source": "bank", "body": BODY, "rules": rules, **given})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def test_a_draft_begins_with_the_rules_as_they_are_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        draft = (await client.get(API)).json()
        _, _, written = MORE.partition("# what all rules share\n")
        assert "# who pays" in draft["rules"]
        assert yaml.safe_load(draft["rules"]) == yaml.safe_load(written)
        assert [each["name"] for each in draft["sources"]] == ["hr", "bank", "broker"]
        assert draft["may_try"] is True
        assert "canary" not in str(draft)


async def test_an_event_is_explained_and_its_audience_counted_in_the_live_registry(tmp_path: Path) -> None:
    async with opened(tmp_path) as (daemon, client):
        template = {"hello": Template(body='{"message":{"notification":{"title":"$(title)","body":"$(other)"}}}')}
        phone = replace(installation("ann", "customer:4711"), templates=template)
        await daemon.hub.put_installations("app", [phone, installation("bob", "customer:1")])
        content = await tried(client)
        (event,) = content["events"]
        assert event["outcome"] == "accepted"
        assert [(rule["rule"], rule["result"], rule["place"]) for rule in event["rules"]] == [
            ("debit", "fired", "4:5: rules[0]")
        ]
        assert event["rules_of_other_sources"] == 1
        (push,) = event["notifications"]
        assert push["to"] == "customer:4711"
        assert push["audience"] == push["reach"]["counts"] == {"fcmv1": 1}
        first, *samples = push["payloads"]
        assert (first["platform"], first["registrations"], first["missing"]) == ("fcmv1", 1, ["other"])
        assert orjson.loads(first["body"])["message"]["notification"]["title"] == "Debit 900"
        assert [(each["platform"], each["registrations"]) for each in samples] == [
            ("apns", 0),
            ("wns", 0),
            ("browser", 0),
        ]
        assert "canary" not in str(content)


CONTENT = """
content:
  debit:
    locales:
      en: { title: "Debit {{ amount | money('CHF') }}", body: "{{ note }}" }
      de: { title: "Belastung {{ amount | money('CHF') }}", body: "{{ note }}" }
    fallback: en
"""
LOCALISED = """
rules:
  - name: debit
    source: bank
    throttle: { key: "{{ data.customer }}", max: 1, per: 10m, on_excess: digest }
    push: { to: "customer:{{ data.customer }}", content: debit, with: { amount: "{{ data.amount }}", note: "x" } }
"""


@pytest.mark.parametrize(
    ("locale", "shown"),
    [("", ("en", "Debit CHF 900.00")), ("de-CH", ("de", "Belastung CHF 900.00")), ("fr", ("en", "Debit CHF 900.00"))],
)
async def test_a_text_held_here_is_shown_in_the_language_that_is_asked_for(
    locale: str, shown: tuple[str, str], tmp_path: Path
) -> None:
    async with opened(tmp_path, more=MORE + CONTENT) as (_, client):
        content = await tried(client, rules=LOCALISED, locale=locale)
        (event,) = content["events"]
        (made,) = event["notifications"]
        seen = {(each["shown"]["locale"], each["shown"]["title"].replace("\xa0", " ")) for each in made["payloads"]}
        assert seen == {shown}
        assert event["flow"] == {"debit": ["throttle: 1 in 10m for the key 4711; more is gathered into a digest"]}, (
            "what the events before would decide"
        )


async def test_nothing_is_sent_kept_or_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as (daemon, client):
        await daemon.hub.put_installations("app", [installation("ann", "customer:4711")])
        before = {path.name for path in tmp_path.iterdir()}
        await tried(client)
        assert {path.name for path in tmp_path.iterdir()} == before
        assert not (await daemon.store.notifications(limit=5)).items
        assert not (await daemon.store.journal(limit=5)).items
        assert not daemon.recent_events.entries()


async def test_what_copy_as_test_gives_passes_the_command_unchanged(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        rules = (await client.get(API)).json()["rules"]
        drafted = (
            rules.replace("gte: 100", "gte: 1")
            + "  - { name: failing, source: bank, push: { to: '{{ data.none }}', with: { title: x } } }\n"
        )
        for number, given in enumerate(
            (
                {"rules": drafted},
                {"rules": drafted, "body": "no JSON"},
                {"rules": drafted, "source": "hr", "body": "Ann: 0o17 #x joined", "headers": {"n": "1e5"}},
                {"rules": drafted, "source": "broker", "meta": {"message_id": "7", "routing_key": "a.b"}, "body": "{}"},
            )
        ):
            content = await tried(client, **given)
            assert not [each for each in content["problems"] if each["severity"] == "error"]
            directory = tmp_path / str(number)
            directory.mkdir()
            head, _, _ = MORE.partition("# what all rules share\n")
            first, _, _ = (tmp_path / "c.yaml").read_text().partition(head)
            (directory / "c.yaml").write_text(first + head + drafted)
            (directory / "copied.test.yaml").write_text(content["test"])
            result = await asyncio.to_thread(CliRunner().invoke, app, ["test", str(directory)])
            assert result.exit_code == 0, (result.output, content["test"])
            assert "1 passed" in result.output


MISTAKES = {
    "a key": ("rules:\n- name: x\n  push: { to: everyone, with: { title: x } }\n  stpo: true\n", 4, 3, "unknown key"),
    "no YAML": ("rules: [\n  - x: {", 2, 3, "not YAML"),
    "a source": ("rules:\n- { name: x, source: nope, push: { to: everyone, with: { title: x } } }\n", 2, 22, "nope"),
    "another section": ("rules: []\nhubs: { evil: {} }\n", 2, 1, "alone"),
    "aliases of aliases": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
            for before, name in zip("abcdefg", "bcdefgh", strict=True)
        )
        + "rules: []\n",
        6,
        8,
        "aliases of aliases",
    ),
    "depth": ("rules: " + "[" * 5000 + "]" * 5000, 1, None, "nest"),
}


async def test_a_mistake_is_named_at_its_line_and_column(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        for rules, line, column, words in MISTAKES.values():
            content = await tried(client, rules=rules)
            first = next(each for each in content["problems"] if each["severity"] == "error")
            assert first["line"] == line, first
            assert column in (None, first["column"]), first
            assert words in f"{first['message']} {first['hint']}", first
            assert content["events"] == []


async def test_no_variable_and_no_file_is_filled_into_a_draft(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        (tmp_path / "secret").write_text("canary-file")
        push = "{ to: everyone, with: { title: '${env:PATH} ${file:secret}' } }"
        rules = f"rules: [ {{ name: x, source: bank, push: {push} }} ]"
        content = await tried(client, rules=rules)
        (made,) = content["events"][0]["notifications"]
        assert made["content"]["properties"]["title"] == "withheld-1 withheld-1"
        assert "canary" not in str(content)


async def test_a_viewer_reads_an_operator_tries_and_an_admin_alone_has_values(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        sent = await client.post(
            "/in/bank", content=BODY, headers={"authorization": "Bearer canary-in", "content-type": "application/json"}
        )
        assert sent.status_code in (200, 202), sent.text
        seen = {}
        for token in ("view", "operate", "administer"):
            client.headers["authorization"] = f"Bearer canary-{token}"
            recent = (await client.get(f"{API}/recent", params={"id": "p1", "source": "bank"})).json()
            seen[token] = recent["masked"], orjson.loads(recent["body"])
        assert seen["view"] == seen["operate"]
        assert seen["operate"] == (
            True,
            {"id": "(text of 2 characters)", "kind": "(text of 5 characters)", "amount": 0}
            | {"customer": "(text of 4 characters)", "note": f"({'text of 20 characters'})"},
        )
        assert seen["administer"] == (False, orjson.loads(BODY))
        client.headers["authorization"] = "Bearer canary-view"
        assert (await client.get(API)).json()["may_try"] is False
        refused = await client.post(API, json={"source": "bank", "body": BODY, "rules": "rules: []"})
        assert refused.status_code == 403
        assert "needs the role operator" in refused.json()["detail"]


async def test_a_body_that_was_not_json_is_not_made_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        await post(client, "Ann joined")
        recent = (await client.get(f"{API}/recent", params={"id": "Ann", "source": "hr"})).json()
        assert recent["body"] == ""
        assert recent["missing"].startswith("bodies of hr are text")
        missing = await client.get(f"{API}/recent", params={"id": "none", "source": "hr"})
        assert missing.status_code == 404


async def test_one_more_than_may_run_is_told_to_come_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        await client.get(API)
        asked = {"source": "bank", "body": BODY, "rules": "rules: []"}
        answers = await asyncio.gather(*(client.post(API, json=asked) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
        busy = next(answer for answer in answers if answer.status_code == 429)
        assert busy.headers["retry-after"] == "3"
        metrics = (await client.get("/metrics")).text
        assert 'pushbridge_playground_tries_total{outcome="busy"} 2.0' in metrics
        assert 'pushbridge_playground_tries_total{outcome="done"} 2.0' in metrics


async def test_it_is_turned_off_by_none_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (daemon, client):
        admin = daemon.settings.listeners.admin
        playground = admin.playground.model_copy(update={"at_once": 0})
        listeners = daemon.settings.listeners.model_copy(
            update={"admin": admin.model_copy(update={"playground": playground})}
        )
        daemon.settings = daemon.settings.model_copy(update={"listeners": listeners})
        answer = await client.get(API)
        assert answer.status_code == 404
        assert "listeners.admin.playground.at_once" in answer.json()["detail"]


async def test_a_page_of_another_site_cannot_have_anything_tried(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        answer = await client.post(API, json={}, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403


async def test_a_body_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        answer = await client.post(API, json={"source": "bank", "body": "x" * 10_000_000, "rules": ""})
        assert answer.status_code == 413


async def test_what_takes_too_long_is_stopped_and_the_daemon_answers_meanwhile(tmp_path: Path) -> None:
    """A health check takes the time of the machine; what stands still for a second would be the daemon."""
    rules = "rules:\n" + "".join(
        f"- {{ name: r{number}, source: bank, push: {{ to: everyone, with: {{ title: x }} }} }}\n"
        for number in range(9000)
    )
    async with opened(tmp_path) as (daemon, client):
        daemon.playground = Playground(paths=lambda: [tmp_path / "c.yaml"], observer=daemon.telemetry, most_seconds=2.0)
        await client.get(API)
        rest = asyncio.create_task(client.post(API, json={"source": "bank", "body": BODY, "rules": rules}))
        slowest = 0.0
        async with httpx.AsyncClient(verify=False, base_url=client.base_url, trust_env=False, timeout=60) as health:
            while not rest.done():
                started = time.perf_counter()
                assert (await health.get("/livez")).status_code == 200
                slowest = max(slowest, time.perf_counter() - started)
                await asyncio.sleep(0.02)
        answer = await rest
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("it took more than 2 s")
        assert slowest < 1.0
        metrics = (await client.get("/metrics")).text
        assert 'pushbridge_playground_tries_total{outcome="stopped"} 1.0' in metrics
