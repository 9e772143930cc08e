"""The listeners of a running process, over sockets: what each serves, to whom, and which secrets are good."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import typer

from bridge.app import Daemon
from bridge.cli.client import Client, target_of
from bridge.cli.exits import Exit
from connectors.connector import MAX_BODY
from sandbox.tls import Authority
from tests.bridge.examples import read

SOURCE = 'sources: { hr: { http: { path: /in/hr }, map: { id: "{{ data.id }}" }, decode: { max_body: 1KiB } } }\n'
ADMIN = 'admin: { address: "127.0.0.1:0", auth: { bearer: [ old, new, "" ] } }'
APART = f"""
listeners:
  {ADMIN}
  probes: {{ address: "127.0.0.1:0" }}
  intake: {{ address: "127.0.0.1:0" }}
{SOURCE}
"""
TOGETHER = f"listeners: {{ {ADMIN} }}\n{SOURCE}"


@asynccontextmanager
async def running(text: str, directory: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(read(directory, text))
    async with daemon.running():
        yield daemon


@asynccontextmanager
async def client_of(daemon: Daemon, listener: str) -> AsyncIterator[httpx.AsyncClient]:
    base_url = "http://{}:{}".format(*daemon.listeners[listener].address)
    async with httpx.AsyncClient(verify=False, base_url=base_url, trust_env=False, timeout=60) as client:
        yield client


async def test_probes_get_health_and_metrics_without_a_token_and_nothing_else(tmp_path: Path) -> None:
    async with running(APART, tmp_path) as daemon, client_of(daemon, "probes") as client:
        paths = ("/livez", "/readyz", "/readyz/listeners/intake", "/startupz", "/metrics")
        assert {path: (await client.get(path)).status_code for path in paths} == dict.fromkeys(paths, 200)
        closed = ("/", "/api/v1/status", "/in/hr", "/-/reload")
        assert {path: (await client.post(path)).status_code for path in closed} == dict.fromkeys(closed, 404)
        assert 'refused_total{limit="total",listener="probes"} 0' in (await client.get("/metrics")).text
    async with running(APART, tmp_path) as daemon, client_of(daemon, "admin") as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/startupz")).status_code == 200


async def test_events_are_posted_to_the_intake_alone_where_there_is_one(tmp_path: Path) -> None:
    async with running(APART, tmp_path) as daemon:
        async with client_of(daemon, "intake") as client:
            assert (await client.post("/in/hr", json={"id": 1})).status_code == 202
            assert (await client.post("/in/hr", content=b"x" * 1025)).status_code == 413
            assert [(await client.get(path)).status_code for path in ("/livez", "/metrics", "/")] == [404, 404, 404]
        async with client_of(daemon, "admin") as client:
            shown = {"authorization": "Bearer new"}
            assert (await client.post("/in/hr", json={"id": 2}, headers=shown)).status_code == 404


async def test_without_an_intake_events_are_posted_to_the_admin_listener(tmp_path: Path) -> None:
    async with running(TOGETHER, tmp_path) as daemon, client_of(daemon, "admin") as client:
        assert [listener.name for listener in daemon.listeners] == ["admin"]
        assert (await client.post("/in/hr", json={"id": 1})).status_code == 202


async def test_the_old_and_the_new_secret_are_good_together_and_an_empty_one_is_none(tmp_path: Path) -> None:
    async with running(TOGETHER, tmp_path) as daemon, client_of(daemon, "admin") as client:
        answers = {}
        for shown in ("Bearer old", "Bearer new", "Basic Og==", "Bearer other"):
            answers[shown] = (await client.get("/metrics", headers={"authorization": shown})).status_code
    assert answers == {"Bearer old": 200, "Bearer new": 200, "Basic Og==": 401, "Bearer other": 401}
    assert MAX_BODY > 1025  # or the limit of the source was not what refused a body above


async def test_a_client_finds_an_admin_listener_in_tls_by_the_configuration_and_takes_no_other_for_it(
    tmp_path: Path,
) -> None:
    for name in ("ours", "another"):
        (tmp_path / name).mkdir()
        Authority(tmp_path / name)
    tls = "tls: {{ cert: {name}/server.pem, key: {name}/server.pem }}"
    text = 'listeners: {{ admin: {{ address: "127.0.0.1:{port}", auth: {{ bearer: secret }}, {tls} }} }}'
    async with running(text.format(port=0, tls=tls.format(name="ours")), tmp_path) as daemon:
        port = daemon.admin.address.port

        def status(name: str) -> str:
            config = tmp_path / f"{name}.yaml"
            config.write_text(text.format(port=port, tls=tls.format(name=name)))
            with Client(target_of("", None, [config])) as client:
                return str(client.get("status")["version"])

        assert await asyncio.to_thread(status, "ours") == version("pushbridge")
        with pytest.raises(typer.Exit) as refused:
            await asyncio.to_thread(status, "another")
    assert refused.value.exit_code == Exit.CANNOT_START
