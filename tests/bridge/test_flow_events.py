"""Flow control in a daemon: what a sender is answered, what is counted, and what `why` says of each event."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon
from bridge.observe.facts import ReplayOutcome
from hub.store.contracts.dead_letters import LetterFilter
from tests.bridge.examples import read
from tests.bridge.test_client_commands import Shell

TOKEN = "admin-token-of-this-test"
BASE = f"""
bridge: {{ store: {{ allow_ephemeral: true }} }}
listeners: {{ admin: {{ address: "127.0.0.1:0", auth: {{ bearer: {TOKEN} }} }}, hub_api: {{ address: "127.0.0.1:0" }} }}
sources: {{ bank: {{ http: {{ path: /in }}, map: {{ id: "{{{{ data.id }}}}", type: "{{{{ data.type }}}}" }} }} }}
hubs: {{ app: {{}} }}
rules:
  - name: spike
    match: {{ type: spike }}
    key: "{{{{ data.who }}}}"
    throttle: {{ key: "{{{{ data.who }}}}", max: 1, per: 1h, on_excess: digest }}
    push: {{ to: "c:{{{{ data.who }}}}", with: {{ body: "{{{{ digest.count }}}}: {{{{ 10 / (digest.count - 2) }}}}" }} }}
  - name: log
    match: {{ type: spike, data: {{ log: true }} }}
    push: {{ to: "team:log", with: {{ body: x }} }}
  - {{ name: paid, match: {{ type: paid }}, cancel: {{ key: "{{{{ data.who }}}}" }} }}
"""


class Bench:
    def __init__(self, daemon: Daemon, shell: Shell) -> None:
        self.daemon = daemon
        self.shell = shell

    async def post(self, id_: str, type_: str = "spike", **data: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.shell.url, trust_env=False, timeout=60) as client:
            body = {"id": id_, "type": type_, "who": "c9", **data}
            while (answer := await client.post("/in", json=body)).status_code == 503:
                await asyncio.sleep(0.01)
            return dict(answer.json())

    def count(self, metric: str, **labels: str) -> float | None:
        return self.daemon.metrics.registry.get_sample_value(f"pushbridge_{metric}", labels)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    daemon = Daemon(read(tmp_path, BASE), config="c.yaml", config_hash="h")
    with capture_logs():
        async with daemon.running():
            shell = Shell(daemon, tmp_path)
            shell.token_file.write_text(TOKEN)
            yield Bench(daemon, shell)


@pytest.mark.slow
async def test_an_event_is_suppressed_counted_explained_and_its_digest_withdrawn(bench: Bench) -> None:
    assert (await bench.post("1"))["outcome"] == "accepted"
    second = await bench.post("2")
    assert (second["outcome"], second["suppressed"]) == ("suppressed", [{"rule": "spike", "cause": "throttle"}])
    assert (await bench.post("2"))["outcome"] == "duplicate"
    both = await bench.post("4", log=True)
    assert (both["outcome"], [each["rule"] for each in both["notifications"]]) == ("accepted", ["log"])
    traced = await bench.shell.json("why", "2")
    (suppressed,) = traced["suppressed"]
    assert (traced["outcome"], suppressed["rule"], suppressed["cause"]) == ("suppressed", "spike", "throttle")
    assert [each["id"] for each in traced["notifications"]] == [suppressed["digest"]]
    assert "COUNTED INTO" in (await bench.shell.run("why", "2")).stdout
    paid = await bench.post("5", "paid")
    assert paid["cancelled"] == [{"id": suppressed["digest"], "rule": "paid"}]
    (digest,) = (await bench.shell.json("why", "2"))["notifications"]
    assert (digest["state"], digest["cancelled_by"]) == ("Cancelled", "rule paid, event 5")
    (cancelled,) = (await bench.shell.json("why", "5"))["cancelled"]
    assert (cancelled["rule"], cancelled["of"]) == ("paid", "spike")
    assert bench.count("rule_suppressed_total", rule="spike", cause="throttle") == 2
    assert bench.count("rule_suppressed_total", rule="spike", cause="dedupe") == 0
    assert bench.count("ingest_messages_total", source="bank", outcome="suppressed") == 1
    assert bench.count("rule_cancelled_notifications_total", rule="paid") == 1
    assert bench.count("notifications_total", hub="app", outcome="cancelled") == 1


@pytest.mark.slow
async def test_a_digest_that_cannot_be_filled_is_a_dead_letter_and_its_replay_counts_as_of_now(bench: Bench) -> None:
    await bench.post("1")
    await bench.post("2")
    failed = await bench.post("3")  # a digest of two: the text divides by zero
    assert (failed["outcome"], failed["failures"][0]["reason"]) == ("suppressed", "render")
    assert failed["failures"][0]["detail"].startswith("in a digest of 2: ")
    (kept,) = (await bench.daemon.store.letters(LetterFilter(), limit=9)).items
    assert (kept.letter.event_id, kept.letter.rule, kept.letter.reason) == ("3", "spike", "render")
    assert (await bench.daemon.replayer.replay(kept.id, actor="ann")).outcome is ReplayOutcome.SUPPRESSED
    (digest,) = {each["digest"] for each in (await bench.shell.json("why", "2"))["suppressed"]}
    content = (await bench.daemon.store.sent(digest)).content
    assert getattr(content, "properties", {})["body"].startswith("3: ")
