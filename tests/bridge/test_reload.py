"""A configuration that changes under a running daemon."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bridge.app import Daemon
from bridge.check import check
from bridge.reload import Reloader
from bridge.watch import ConfigWatch, fingerprint
from connectors.base import Source

BASE = """
bridge: { http: { listen: "127.0.0.1:0" }, store: { url: "sqlite:///x.db" } }
hubs: { app: {} }
hub_api: { listen: "127.0.0.1:0" }
"""


def backend(name: str, *, path: str | None = None) -> str:
    return f"""
sources:
  {name}:
    http: {{ path: {path or f"/in/{name}"} }}
    map: {{ id: "{{{{ data.id }}}}", type: {name}.event }}
rules:
  - {{ name: {name}-rule, source: {name}, push: {{ to: everyone, with: {{ title: {name} }} }} }}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / "base.yaml").write_text(BASE)
    for name in ("account", "hr", "finance"):
        (config / f"{name}.yaml").write_text(backend(name))
    return config


@pytest.fixture
async def daemon(directory: Path) -> AsyncIterator[Daemon]:
    settings, problems = check(directory)
    assert settings is not None, problems
    daemon = Daemon(settings, reload=lambda daemon: Reloader(directory, daemon, told=daemon.reloaded))
    async with daemon.running():
        yield daemon


def sources(daemon: Daemon) -> dict[str, Source]:
    return {inlet.source.name: inlet.source for inlet in daemon.intake}


async def post(daemon: Daemon, path: str, id: str) -> int:
    host, port = daemon.admin.address
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://{host}:{port}{path}", json={"id": id})
        return answer.status_code


def value(daemon: Daemon, name: str) -> float | None:
    return daemon.metrics.registry.get_sample_value(name)


async def reload(daemon: Daemon) -> bool:
    assert daemon.reloader is not None
    return (await daemon.reloader.reload()).applied


async def test_a_fourth_backend_flows_without_touching_the_other_three(daemon: Daemon, directory: Path) -> None:
    before = sources(daemon)
    assert await post(daemon, "/in/shop", "1") == 404
    (directory / "shop.yaml").write_text(backend("shop"))
    assert await reload(daemon)
    assert await post(daemon, "/in/shop", "1") == 202
    after = sources(daemon)
    assert {name: after[name] for name in before} == before
    assert [entry.rules for entry in daemon.trail.entries()] == [("shop-rule",)]


async def test_a_backend_taken_away_stops_and_the_others_go_on(daemon: Daemon, directory: Path) -> None:
    (directory / "hr.yaml").unlink()
    assert await reload(daemon)
    assert set(sources(daemon)) == {"account", "finance"}
    assert await post(daemon, "/in/hr", "1") == 404
    assert await post(daemon, "/in/account", "1") == 202


async def test_a_rule_that_changes_leaves_its_source_connected(daemon: Daemon, directory: Path) -> None:
    before = sources(daemon)["hr"]
    (directory / "hr.yaml").write_text(backend("hr").replace("hr-rule", "other-rule"))
    assert await reload(daemon)
    assert sources(daemon)["hr"] is before
    await post(daemon, "/in/hr", "1")
    assert daemon.trail.entries()[-1].rules == ("other-rule",)


async def test_a_source_whose_connector_changes_is_built_anew(daemon: Daemon, directory: Path) -> None:
    before = sources(daemon)["hr"]
    (directory / "hr.yaml").write_text(backend("hr", path="/in/people"))
    assert await reload(daemon)
    assert sources(daemon)["hr"] is not before
    assert await post(daemon, "/in/people", "1") == 202


async def test_a_mistake_keeps_the_old_configuration_and_is_told(daemon: Daemon, directory: Path) -> None:
    before = sources(daemon)
    (directory / "shop.yaml").write_text(backend("shop").replace("everyone", "team:x ||"))
    host, port = daemon.admin.address
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://{host}:{port}/-/reload")
    assert answer.status_code == 400
    assert "shop.yaml:7:" in answer.json()["problems"][0]
    assert sources(daemon) == before
    assert value(daemon, "pushbridge_config_last_reload_successful") == 0
    assert await post(daemon, "/in/hr", "1") == 202
    (directory / "shop.yaml").unlink()
    assert await reload(daemon)
    assert value(daemon, "pushbridge_config_last_reload_successful") == 1


async def test_a_hub_that_is_added_takes_registrations_at_once(daemon: Daemon, directory: Path) -> None:
    assert daemon.api is not None
    host, port = daemon.api.address
    url = f"http://{host}:{port}/second/installations/i1"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(url)).status_code == 401
        policy = "{ name: all, rights: [Manage], key: k }"
        (directory / "second.yaml").write_text(f"hubs: {{ second: {{ access_policies: [{policy}] }} }}")
        (directory / "base.yaml").write_text(BASE.replace("app: {}", "app: { default: true }"))
        assert await reload(daemon)
        assert {hub for hub, _ in daemon.hub.bulkheads} == {"app", "second"}


async def test_files_that_change_are_noticed(daemon: Daemon, directory: Path) -> None:
    (directory / "shop.yaml").write_text(backend("shop"))
    async with asyncio.timeout(10):
        while "shop" not in sources(daemon):
            await asyncio.sleep(0.05)


def test_a_change_is_told_once_it_has_settled(directory: Path) -> None:
    watch = ConfigWatch(directory)
    assert not watch.changed()
    (directory / "shop.yaml").write_text("sources:")
    assert not watch.changed()  # perhaps still being written
    assert watch.changed()
    assert not watch.changed()


def test_a_link_that_is_swapped_is_a_change(directory: Path, tmp_path: Path) -> None:
    link = tmp_path / "mounted.yaml"
    link.symlink_to(directory / "hr.yaml")
    before = fingerprint(link)
    link.unlink()
    link.symlink_to(directory / "finance.yaml")
    assert fingerprint(link) != before
