"""A configuration that changes under a running daemon."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon, Timing
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.config.reload import Reloader
from bridge.config.watch import ConfigWatch, fingerprint
from bridge.intake.manager import SOURCE_STOP, RunningSource
from connectors.base import Source
from hub.errors import StoreError
from rules.read_files import ReadFiles

BASE = """
bridge: { store: { url: "sqlite:///../x.db" } }
hubs: { app: {} }
listeners: { admin: { address: "127.0.0.1:0" }, hub_api: { address: "127.0.0.1:0" } }
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
async def daemon(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[Daemon]:
    settings, problems = check(directory)
    assert settings is not None, problems
    config_hash = fingerprint(directory)
    daemon = Daemon(
        settings,
        config_hash=config_hash,
        reload=lambda daemon: Reloader(
            directory, daemon, config_hash=config_hash, files=ReadFiles(), on_result=daemon.reloaded
        ),
        timing=Timing(source_stop=getattr(request, "param", SOURCE_STOP)),
    )
    async with daemon.running():
        yield daemon


def sources(daemon: Daemon) -> dict[str, Source]:
    return {inlet.source.name: inlet.source for inlet in daemon.intake}


async def post(daemon: Daemon, path: str, id: str) -> int:
    host, port = daemon.admin.address
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        while True:  # until the source is connected
            answer = await client.post(f"http://{host}:{port}{path}", json={"id": id})
            if answer.status_code != 503:
                return answer.status_code
            await asyncio.sleep(0.01)


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
    assert [entry.rules for entry in daemon.recent_events.entries()] == [("shop-rule",)]


async def test_revision_and_hash_of_the_configuration_stand_in_the_log_and_in_a_metric(
    daemon: Daemon, directory: Path
) -> None:
    def in_force() -> dict[str, str]:
        (family,) = (family for family in daemon.metrics.registry.collect() if family.name == "pushbridge_build")
        (sample,) = family.samples
        return {name: sample.labels[name] for name in ("revision", "config_hash")}

    before = in_force()
    (directory / "revision.yaml").write_text("bridge: { revision: main/4f2c9e1 }\n")
    with capture_logs() as lines:
        assert await reload(daemon)
    (applied,) = (line for line in lines if line["event"] == "configuration applied")
    now = {"revision": "main/4f2c9e1", "config_hash": fingerprint(directory)}
    assert {name: applied[name] for name in now} == in_force() == now
    assert before == {"revision": "", "config_hash": before["config_hash"]}
    assert before["config_hash"] not in ("", now["config_hash"])


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
    assert daemon.recent_events.entries()[-1].rules == ("other-rule",)


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
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
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
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        assert (await client.get(url)).status_code == 401
        policy = "{ name: all, rights: [Manage], key: k }"
        (directory / "second.yaml").write_text(f"hubs: {{ second: {{ auth: {{ sas: [{policy}] }} }} }}")
        (directory / "base.yaml").write_text(BASE.replace("app: {}", "app: { default: true }"))
        assert await reload(daemon)
        assert {hub for hub, _ in daemon.hub.without_credential} == {"app", "second"}


async def test_files_that_change_are_noticed(daemon: Daemon, directory: Path) -> None:
    (directory / "shop.yaml").write_text(backend("shop"))
    async with asyncio.timeout(60):
        while "shop" not in sources(daemon):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("part", ["hub_wiring.senders_of", "hub_wiring.remotes_of", "app.routes_of"])
async def test_what_cannot_be_applied_leaves_the_old_configuration_in_force_and_the_next_one_counts(
    daemon: Daemon, directory: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, settings = sources(daemon), daemon.settings
    (directory / "hr.yaml").write_text(backend("hr").replace("hr-rule", "other-rule"))
    (directory / "second.yaml").write_text("hubs: { second: {} }")
    (directory / "base.yaml").write_text(BASE.replace("app: {}", "app: { default: true }"))
    with monkeypatch.context() as patched:
        patched.setattr(f"bridge.{part}", lambda settings, **_: 1 / 0)
        assert not await reload(daemon)
    assert (sources(daemon), daemon.settings) == (before, settings)
    assert value(daemon, "pushbridge_config_last_reload_successful") == 0
    assert await post(daemon, "/in/hr", "1") == 202
    assert daemon.recent_events.entries()[-1].rules == ("hr-rule",)
    assert await reload(daemon)
    assert {hub for hub, _ in daemon.hub.without_credential} == {"app", "second"}
    assert await post(daemon, "/in/hr", "2") == 202
    assert daemon.recent_events.entries()[-1].rules == ("other-rule",)


async def test_a_defect_in_reading_costs_the_reload_and_not_the_process(
    daemon: Daemon, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, *, files: ReadFiles) -> None:
        raise OSError("stale file handle")

    assert daemon.reloader is not None
    monkeypatch.setattr("bridge.config.reload.check", broken)
    result = await daemon.reloader.reload()
    assert result == (False, ["could not be applied: OSError: stale file handle"], ())
    assert await post(daemon, "/in/hr", "1") == 202


async def test_a_configuration_that_is_deleted_is_refused_and_the_events_go_on(daemon: Daemon, directory: Path) -> None:
    before = sources(daemon)
    for file in directory.iterdir():
        file.unlink()
    assert not await reload(daemon)
    directory.rmdir()
    assert not await reload(daemon)
    assert sources(daemon) == before
    assert await post(daemon, "/in/hr", "1") == 202


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "hr.yaml:1:1: nothing is left"), (" \n\n", "nothing is left"), ("# People\n", "nothing is left")],
)
async def test_a_file_that_was_cut_off_is_refused_and_what_it_held_stays(
    content: str, words: str, daemon: Daemon, directory: Path
) -> None:
    (directory / "hr.yaml").write_text(content)
    assert daemon.reloader is not None
    result = await daemon.reloader.reload()
    assert (result.applied, words in result.complaints[-1]) == (False, True)
    assert daemon.reloader.refusal is not None
    assert words in daemon.reloader.refusal.mistakes[0]
    assert value(daemon, "pushbridge_config_last_reload_successful") == 0
    assert await post(daemon, "/in/hr", "1") == 202
    (directory / "hr.yaml").unlink()
    assert await reload(daemon), "who deletes it means it"
    assert await post(daemon, "/in/hr", "2") == 404


async def test_a_file_that_never_held_anything_is_in_nobodys_way(daemon: Daemon, directory: Path) -> None:
    (directory / "later.yaml").write_text("# to be written\n")
    assert await reload(daemon)
    (directory / "shop.yaml").write_text(backend("shop"))
    assert await reload(daemon)
    assert await post(daemon, "/in/shop", "1") == 202
    (directory / "later.yaml").write_text("")
    assert await reload(daemon)


async def test_a_configuration_without_anything_to_do_is_refused_while_one_is_in_force(
    daemon: Daemon, directory: Path
) -> None:
    for file in directory.glob("*.yaml"):
        file.write_text("sources:\nrules:\nhubs:\n")
    assert daemon.reloader is not None
    applied, complaints, _ = await daemon.reloader.reload()
    assert (applied, "neither sources nor rules nor hubs are left" in complaints[-1]) == (False, True)
    assert await post(daemon, "/in/hr", "1") == 202


async def test_reloads_asked_for_at_once_are_done_one_after_the_other(daemon: Daemon, directory: Path) -> None:
    (directory / "shop.yaml").write_text(backend("shop"))
    host, port = daemon.admin.address
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        answers = await asyncio.gather(*(client.post(f"http://{host}:{port}/-/reload") for _ in range(5)))
    assert [answer.json() for answer in answers] == [{"applied": True, "problems": [], "restart": []}] * 5
    assert await post(daemon, "/in/shop", "1") == 202


@pytest.mark.parametrize("daemon", [0.1], indirect=True, ids=["short stop"])
async def test_events_that_wait_for_the_store_outlast_reloads_of_everything_else(
    daemon: Daemon, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        async def fail(*_: object, **__: object) -> None:
            raise StoreError("disk full")

        patched.setattr(daemon.store, "accept", fail)
        staying, going = (asyncio.create_task(post(daemon, f"/in/{name}", "1")) for name in ("hr", "account"))
        while daemon.hub.store_trouble is None or not all(
            inlet.supervisor.status.unsettled_since for inlet in of(daemon)
        ):
            await asyncio.sleep(0.005)
        (directory / "account.yaml").write_text(backend("account", path="/in/elsewhere"))
        for number in range(3):
            (directory / "shop.yaml").write_text(backend("shop", path=f"/in/shop{number}"))
            assert await reload(daemon)
    assert await staying == 202  # told to come again until the store took it
    assert await going == 404  # it was told to come again, and found the path gone
    assert await post(daemon, "/in/elsewhere", "1") == 202
    assert await post(daemon, "/in/shop2", "1") == 202
    ends = [(entry.source, entry.outcome.value) for entry in daemon.recent_events.entries()]
    assert sorted(ends) == [("account", "accepted"), ("hr", "accepted"), ("shop", "accepted")]


def of(daemon: Daemon) -> list[RunningSource]:
    """The inlets that are posted to in this test."""
    return [inlet for inlet in daemon.intake if inlet.source.name in ("hr", "account")]


async def test_what_takes_a_restart_is_named_for_as_long_as_it_differs(daemon: Daemon, directory: Path) -> None:
    more = "bridge: { watchdog: { stall_after: 9s }, log: { level: debug },"
    changed = BASE.replace("x.db", "y.db").replace("bridge: {", more) + "delivery: { max_in_flight: 9 }\n"
    restart = ["bridge.store", "bridge.log", "delivery"]
    for text, expected in ((changed, restart), (changed, restart), (BASE, [])):
        (directory / "base.yaml").write_text(text)
        with capture_logs() as lines:
            async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
                answer = await client.post("http://{}:{}/-/reload".format(*daemon.admin.address))
        assert answer.json() == {"applied": True, "problems": [], "restart": expected}
        assert [line["parts"] for line in lines if line["event"] == "takes a restart"] == (
            [expected] if expected else []
        )


async def test_what_was_read_on_demand_is_not_read_again_by_the_watch(directory: Path) -> None:
    class Target:
        applied = 0

        async def apply(self, settings: Settings, *, config_hash: str) -> Sequence[str]:
            self.applied += 1
            return ()

    reloader = Reloader(
        directory,
        Target(),
        config_hash=fingerprint(directory),
        files=ReadFiles(),
        on_result=lambda applied: None,
    )
    (directory / "shop.yaml").write_text(backend("shop"))
    await reloader.reload()
    assert [reloader._watch.changed() for _ in range(3)] == [False] * 3


def test_what_changed_between_reading_and_watching_is_a_change(directory: Path) -> None:
    before = fingerprint(directory)
    (directory / "shop.yaml").write_text(backend("shop"))
    watch = ConfigWatch(directory, read=before, files=ReadFiles())
    assert [watch.changed(), watch.changed()] == [False, True]


def test_a_change_is_told_once_it_has_settled(directory: Path) -> None:
    watch = ConfigWatch(directory, read=fingerprint(directory), files=ReadFiles())
    assert not watch.changed()
    (directory / "shop.yaml").write_text("sources:")
    assert not watch.changed()  # perhaps still being written
    assert watch.changed()
    watch.renew()
    assert not watch.changed()


def test_a_link_that_is_swapped_is_a_change(directory: Path, tmp_path: Path) -> None:
    link = tmp_path / "mounted.yaml"
    link.symlink_to(directory / "hr.yaml")
    before = fingerprint(link)
    link.unlink()
    link.symlink_to(directory / "finance.yaml")
    assert fingerprint(link) != before
