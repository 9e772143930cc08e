"""A night's page as it comes about: Prometheus scrapes a daemon, a push service refuses its key, and one alert fires.

The rules are those that ship, with every window and every `for` shortened by one factor; their full lengths are tested by
promtool. So this shows that names, labels and joins hold on a live daemon, and not how long an alert takes.
"""

import asyncio
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox.services import PushServices
from tests.bridge.test_alerts import RULES, RUNBOOKS, commands, rules
from tests.integration.daemon import HUB, Daemon
from tests.integration.test_operator import configuration, post, register
from tests.ports import free_ports

pytestmark = pytest.mark.processes

SHORTER = 20
"""By how much: ten minutes are 30 s, five are 15 s."""
SHORTEST = 5
"""Seconds that a window has at least: several scrapes."""
SECONDS = {"s": 1, "m": 60, "h": 3600}
DEADLINE = 240.0
QUIET = 3
"""Evaluations during which no other alert may join the one that fires."""


def shortened() -> dict[str, Any]:
    """The rules that ship, `SHORTER` times as impatient."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for rule in rules(document):
        rule["expr"] = re.sub(r"\[(\w+)\]", lambda found: f"[{_shorter(found[1])}]", rule["expr"])
        if "for" in rule:
            rule["for"] = _shorter(rule["for"])
    return document


def _shorter(duration: str) -> str:
    return f"{max(SHORTEST, int(duration[:-1]) * SECONDS[duration[-1]] // SHORTER)}s"


@asynccontextmanager
async def prometheus(directory: Path, target: str) -> AsyncIterator[str]:
    """Prometheus on the shortened rules, scraping the target each second; its address."""
    program = shutil.which("prometheus")
    assert program is not None, "there is no prometheus: deploy/servers.sh promtool"
    directory.mkdir()
    (directory / "alerts.yaml").write_text(yaml.safe_dump(shortened()))
    scrape = {"job_name": "pushbridge", "static_configs": [{"targets": [target]}]}
    (directory / "prometheus.yaml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["alerts.yaml"],
                "scrape_configs": [scrape],
            }
        )
    )
    (port,) = free_ports(1)
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()


async def asked(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The data of an answer of Prometheus; empty until it answers."""
    try:
        answer = await client.get(url)
    except httpx.TransportError:
        return {}
    return answer.json()["data"] if answer.status_code == httpx.codes.OK else {}


async def firing(client: httpx.AsyncClient, url: str) -> dict[str, dict[str, str]]:
    """Alerts that fire, by name, with their labels."""
    found = (await asked(client, f"{url}/api/v1/alerts")).get("alerts", [])
    return {each["labels"]["alertname"]: each["labels"] for each in found if each["state"] == "firing"}


async def told(daemon: Daemon, command: str) -> str:
    """What a command of a runbook prints, to an operator whose token is in the file `token` if there is one."""
    arguments = shlex.split(command.replace("/etc/pushbridge", str(daemon.config_file)))
    if arguments[0] not in ("check", "doctor"):
        arguments += ["--url", daemon.url]
        if (token := daemon.config_file.parent / "token").exists():
            arguments += ["--token-file", str(token)]
    process = await asyncio.create_subprocess_exec(
        *(*daemon.beside, sys.executable, "-m", "bridge", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:  # whoever waited has given up
            process.kill()
            await process.communicate()
    return output.decode()


@pytest.mark.slow
async def test_a_refused_key_fires_its_alert_alone_and_the_runbook_finds_the_cause(
    services: PushServices, tmp_path: Path
) -> None:
    async with (
        Daemon(tmp_path, configuration(services)) as daemon,
        prometheus(tmp_path / "prometheus", daemon.url.removeprefix("http://")) as url,
        httpx.AsyncClient(timeout=60) as client,
    ):
        await daemon.start()
        await register(daemon, services)
        services.apns.faults.answer(403, "InvalidProviderToken")
        async with asyncio.timeout(DEADLINE):
            while not (await asked(client, f'{url}/api/v1/query?query=up{{job="pushbridge"}}==1')).get("result"):
                await asyncio.sleep(0.2)
            while await firing(client, url):  # while the daemon started there was none to scrape
                await asyncio.sleep(0.2)
            fired: dict[str, dict[str, str]] = {}
            number = 0
            while not fired:
                number += 1
                await post(daemon, f"order-{number}")
                fired = await firing(client, url)
                await asyncio.sleep(1)
            for _ in range(QUIET):
                await asyncio.sleep(1)
                fired |= await firing(client, url)
        assert fired == {
            "PushbridgePnsCredentialRejected": {
                "alertname": "PushbridgePnsCredentialRejected",
                "severity": "critical",
                "hub": HUB,
                "platform": "apns",
            }
        }
        page = (RUNBOOKS / "delivery.md").read_text()
        first, *_ = commands(page, "PushbridgePnsCredentialRejected")
        assert "InvalidProviderToken" in await told(daemon, first)


async def test_each_metric_of_the_rules_is_on_a_live_daemon(services: PushServices, tmp_path: Path) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        there = {re.split(r"[{ ]", sample)[0] for sample in await daemon.metrics()}
    # Without these features of a configuration there is nothing to count.
    of_others = {
        "pushbridge_ingest_lag_messages",
        "pushbridge_push_reports_total",
        "pushbridge_mirror_list_every_seconds",
        "pushbridge_mirror_listed_total",
        "pushbridge_mirror_listed_timestamp_seconds",
        "pushbridge_mirror_oldest_waiting_timestamp_seconds",
        "pushbridge_mirror_sends_total",
        "pushbridge_remote_circuit_open",
        "pushbridge_schema_awaited_since_timestamp_seconds",
        "pushbridge_sink_messages_dropped_total",
        "pushbridge_sink_oldest_message_seconds",
    }
    expressions = [rule["expr"] for rule in rules(yaml.safe_load(RULES.read_text()))]
    used = {name for each in expressions for name in re.findall(r"(?<!:)\bpushbridge_\w+(?![\w:])", each)}
    assert used - there <= of_others
