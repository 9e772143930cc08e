"""`pushbridge mirror` against a running daemon whose remote does not answer: what is printed, and how it ends."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon
from hub.facts import Compared
from hub.store.contracts.store import Store
from tests.bridge.examples import read
from tests.bridge.test_admin_api import TOKEN, phone
from tests.bridge.test_client_commands import Shell

pytestmark = pytest.mark.slow

CONFIGURATION = """
bridge: {{ http: {{ listen: "127.0.0.1:0", admin_token: {token} }} }}
hub_api: {{ listen: "127.0.0.1:0" }}
hubs:
  app:
    remote: {{ connection_string: "Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=Full;SharedAccessKey=canary" }}
    mirror: {mirror}
    platforms:
      wns: {{ tenant: t, client_id: c, client_secret: s, token_url: "https://127.0.0.1:1/token" }}
  spare: {{}}
"""
LISTED = {"registrations": 3, "added": 2, "refused": 0}


@pytest.fixture
async def shell(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shell]:
    mirror = getattr(request, "param", "local")
    daemon = Daemon(read(tmp_path, CONFIGURATION.format(token=TOKEN, mirror=mirror)), config="c.yaml")
    with capture_logs():
        async with daemon.running():
            yield Shell(daemon, tmp_path)


async def kept(shell: Shell) -> Store:
    """The store, in which the hub is whether the daemon was there already or not."""
    await shell.daemon.store.hold_mirror("app", owner="test", lease=60)
    return shell.daemon.store


def lines_of(printed: str) -> list[str]:
    return [" ".join(line.split()) for line in printed.splitlines()]


async def test_a_hub_that_was_never_listed_may_not_be_cut_over_and_each_reason_is_printed(shell: Shell) -> None:
    printed = lines_of((await shell.run("mirror", "status", "--hub", "app", code=4)).stdout)
    assert printed[0] == "app may not yet be cut over (mirror: remote)"
    assert "sends the remote hub" in printed
    assert "last whole list never, 0 registrations" in printed
    assert printed[-2:] == [
        "against it: the remote hub was never listed to the end",
        "against it: no send of the last day was compared and found the same",
    ]
    found = await shell.json("mirror", "status", "--hub", "app", code=4)
    assert (found["hub"], found["sends"], found["may_change"]) == ("app", "remote", False)
    assert [f"against it: {reason}" for reason in found["against"]] == printed[-2:]
    assert (found["listed_at"], found["waiting"], found["refused"]) == (None, 0, 0)


async def test_a_hub_that_is_the_same_as_its_remote_may_be_cut_over(shell: Shell) -> None:
    store = await kept(shell)
    await store.listed("app", began=store.now(), counts=LISTED)
    await store.add_compared({("app", Compared.EQUAL.value): 2, ("app", Compared.NEWER.value): 1})
    printed = lines_of((await shell.run("mirror", "status", "--hub", "app")).stdout)
    assert printed[0] == "app may be cut over (mirror: remote)"
    assert any(line.startswith("last whole list 20") and line.endswith(", 3 registrations") for line in printed)
    assert "found by it 2 added" in printed
    assert "waiting for the remote 0, 0 refused" in printed
    assert "sends of the last day 2 equal, 1 newer" in printed
    assert not any(line.startswith("against it") for line in printed)


async def test_words_of_the_remote_cannot_command_the_terminal(shell: Shell) -> None:
    store = await kept(shell)
    await store.listing_failed("app", "HTTP 503: \x1b[31mbusy")
    printed = (await shell.run("mirror", "status", "--hub", "app", code=4)).stdout
    assert "\x1b" not in printed
    assert printed.count("HTTP 503: �[31mbusy") == 2


@pytest.mark.parametrize("shell", ["remote"], indirect=True)
async def test_after_the_cut_over_the_way_back_waits_for_what_the_remote_does_not_have(shell: Shell) -> None:
    store = await kept(shell)
    await store.listed("app", began=store.now(), counts=LISTED)
    await shell.daemon.hub.put_installations("app", [phone("a")])
    printed = lines_of((await shell.run("mirror", "status", "--hub", "app", code=4)).stdout)
    assert printed[0] == "app may not yet be taken back (mirror: local)"
    assert "sends this daemon" in printed
    assert any(line.startswith("waiting for the remote 1, 0 refused, since 20") for line in printed)
    assert printed[-1] == "against it: devices that the remote hub does not have yet: 1"


async def test_the_remote_is_listed_at_once_when_it_is_asked_for(shell: Shell) -> None:
    store = await kept(shell)
    printed = (await shell.run("mirror", "list", "--hub", "app")).stdout
    assert printed == "the remote hub is being listed: pushbridge mirror status\n"
    assert (await store.mirror_state("app")).is_wanted
    assert (await shell.json("mirror", "list", "--hub", "APP"))["hub"] == "app"


async def test_what_a_lost_remote_had_is_written_there_again_or_taken_away_here_by_a_named_actor(shell: Shell) -> None:
    store = await kept(shell)
    await store.listed("app", began=store.now(), counts={**LISTED, "missing": 2})
    await shell.daemon.hub.put_installations("app", [phone("a"), phone("b")])
    written = [replace(each, said="s") for each in await store.due_devices("app", limit=9)]
    await store.written_there("app", written)
    assert any("(pushbridge mirror rewrite)" in line for line in await against(shell))

    printed = (await shell.run("mirror", "rewrite", "--hub", "app")).stdout
    assert printed == "2 devices of the hub app are written to the remote hub again\n"
    assert {each.key for each in await store.due_devices("app", limit=9)} == {"i:a", "i:b"}

    printed = (await shell.run("mirror", "list", "--hub", "app", "--remove")).stdout
    assert printed == "the remote hub is being listed: pushbridge mirror status\n"
    assert (await store.mirror_state("app")).may_remove
    audit = (await store.audit(limit=9)).items
    assert [(each.entry.action, each.entry.target) for each in audit] == [
        ("mirror.remove", "app"),
        ("mirror.rewrite", "app"),
    ]


async def against(shell: Shell) -> list[str]:
    return lines_of((await shell.run("mirror", "status", "--hub", "app", code=4)).stdout)


async def test_a_hub_that_mirrors_none_is_named_with_its_key(shell: Shell) -> None:
    for command in ("status", "list", "rewrite"):
        said = await shell.error("mirror", command, "--hub", "spare", code=5)
        assert "hubs.spare.mirror is not written" in said
        assert "there is no hub 'none'; there are app, spare" in await shell.error(
            "mirror", command, "--hub", "none", code=5
        )
        assert "say --hub: there are app, spare" in await shell.error("mirror", command, code=2)
