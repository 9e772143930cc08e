"""Silences by command line and API: what is refused, what lists, `status`, `top` and the latest events say of them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.reload import Reloader
from hub.silence import LONGEST, MAX_REASON
from rules.read_files import ReadFiles
from tests.bridge.test_client_commands import Shell
from tests.bridge.test_live_commands import post
from tests.bridge.test_roles import TOKENS, ask, bearer

CONFIGURATION = """
bridge: { store: { url: "sqlite:///x.db" } }
listeners:
  admin:
    address: "127.0.0.1:0"
    auth:
      tokens:
        - { name: board, role: viewer, token: canary-view }
        - { name: ann, role: operator, token: canary-operate }
  hub_api: { address: "127.0.0.1:0" }
sources: { hr: { http: { path: /in/hr }, map: { id: "{{ data.id }}" } } }
hubs: { App: {} }
rules: [ { name: joined, push: { to: everyone, with: { title: hello } } } ]
"""
PATH = "/api/v1/silences"
ASKED = {"action": "hold", "seconds": "2h", "reason": "the shop moves", "rule": "joined"}
ADD = ("silences", "add", "--hold", "--for", "2h", "--reason", "the shop moves")


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """As the operator ann."""
    config = tmp_path / "c.yaml"
    config.write_text(CONFIGURATION)
    files = ReadFiles()
    settings, problems = check(config, files=files)
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        reload=lambda daemon: Reloader(config, daemon, config_hash="", files=files, on_result=daemon.reloaded),
    )
    with capture_logs():
        async with daemon.running():
            shell = Shell(daemon, tmp_path)
            shell.token_file.write_text(TOKENS["operator"])
            yield shell


@pytest.mark.slow
async def test_status_top_and_the_latest_events_name_the_silence_that_holds(shell: Shell) -> None:
    await post(shell, "before")
    await shell.run(*ADD, "--rule", "joined")
    await post(shell, "during")
    (silence,) = await shell.json("silences", "list")
    assert (silence["held"], silence["actor"], silence["missing"]) == (1, "ann", [])
    until = silence["until"][:19].replace("T", " ")
    line = f"silence {silence['id']} holds rule joined until {until}Z, by ann: the shop moves"
    assert line in (await shell.run("status")).stdout.splitlines()
    assert line[:80] in (await shell.run("top")).stdout.splitlines()
    (told,) = (await shell.json("status"))["silences"]
    assert (told["id"], told["action"], told["target"], told["line"]) == (silence["id"], "hold", "rule joined", line)
    said = f"held by silence {silence['id']} of ann: the shop moves"
    listed = await shell.json("events", "list")
    assert {event["id"]: event["silenced"] for event in listed} == {"during": said, "before": ""}
    assert said in (await shell.run("events", "list")).stdout
    assert said in (await shell.run("events", "show", str(listed[0]["number"]))).stdout
    await shell.run("silences", "remove", silence["id"])
    assert (await shell.json("status"))["silences"] == []
    assert "silence " not in (await shell.run("status")).stdout
    assert (await shell.json("silences", "list")) == []
    (ended,) = await shell.json("silences", "list", "--all")
    assert (ended["active"], ended["removed_by"]) == (False, "ann")
    assert "removed by ann" in (await shell.run("silences", "list", "--all")).stdout


@pytest.mark.slow
async def test_what_a_silence_drops_is_counted_and_named(shell: Shell) -> None:
    await shell.run("silences", "add", "--drop", "--for", "90s", "--reason", "a flood", "--source", "hr", "--by", "bob")
    await post(shell, "1", "2")
    (event, _) = await shell.json("events", "list")
    (silence,) = await shell.json("silences", "list")
    assert silence["dropped"] == 2
    assert silence["actor"] == "ann"  # a token has a holder, and the holder is who asks
    assert event["silenced"] == f"dropped by silence {silence['id']} of ann: a flood"


@pytest.mark.slow
async def test_the_command_line_refuses_what_says_too_little_or_names_what_is_not_there(shell: Shell) -> None:
    assert "one of --hold and --drop" in await shell.error(*ADD, "--drop", "--rule", "joined", code=2)
    assert "--rule, --source or --hub" in await shell.error(*ADD, code=2)
    for text in ("90", "soon", "", "-5m"):
        said = await shell.error("silences", "add", "--hold", f"--for={text}", "--reason=x", "--rule=joined", code=2)
        assert said == f"--for {text!r}: write a time with its unit, such as 90s, 30m or 2h"
    assert "from 1s to 30d" in await shell.error(*ADD, "--for=31d", "--rule", "joined", code=5)
    for missing in ("--for", "--reason"):
        at = ADD.index(missing)
        refused = await shell.run(*ADD[:at], *ADD[at + 2 :], "--rule", "joined", code=2)
        assert re.search(f"Missing option.*{missing}", refused.stderr)
    for kind, wrong, right in (("rule", "joinde", "joined"), ("source", "hrr", "hr"), ("hub", "appp", "app")):
        said = await shell.error(*ADD, f"--{kind}", wrong, code=5)
        assert f"{kind}: there is none named {wrong!r} (did you mean {right}?)" in said
    assert "none named 'x'" in await shell.error(*ADD, "--rule", "joined", "--source", "x", code=5)
    assert "no silence '4711' is in force" in await shell.error("silences", "remove", "4711", code=5)
    assert await shell.json("silences", "list", "--all") == []


@pytest.mark.slow
async def test_the_api_refuses_what_is_out_of_bounds_and_a_viewer(shell: Shell) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"seconds": 0.5}, "from 1s to 30d"),
        ({"seconds": LONGEST + 1}, "from 1s to 30d"),
        ({"seconds": "soon"}, "seconds"),
        ({"seconds": "nan"}, "seconds"),
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "say why"),
        ({"reason": "two\nlines"}, "say why"),
        ({"reason": "x" * (MAX_REASON + 1)}, "reason"),
        ({"rule": ""}, "say what to be silent about"),
        ({"action": "mute"}, "action"),
        ({"until": "tomorrow"}, "until"),
    ]
    for change, said in wrong:
        answer = await ask(shell.daemon, "POST", PATH, bearer("operator"), json=ASKED | change)
        assert answer.status_code == 400, change
        assert said in answer.json()["detail"], change
    answer = await ask(shell.daemon, "POST", PATH, bearer("viewer"), json=ASKED)
    assert (answer.status_code, "needs the role operator" in answer.json()["detail"]) == (403, True)
    assert shell.daemon.hub.store.known_silences == []
    made = await ask(shell.daemon, "POST", PATH, bearer("operator"), json=ASKED | {"seconds": LONGEST, "hub": "aPP"})
    assert (made.status_code, made.json()["hub"], made.json()["active"]) == (201, "app", True)
    ending = f"{PATH}/{made.json()['id']}/remove"
    assert (await ask(shell.daemon, "POST", ending, bearer("viewer"), json={})).status_code == 403
    listed = await ask(shell.daemon, "GET", PATH, bearer("viewer"))
    assert [each["active"] for each in listed.json()["items"]] == [True]
    assert (await ask(shell.daemon, "POST", ending, bearer("operator"), json={})).status_code == 200
    assert (await ask(shell.daemon, "POST", ending, bearer("operator"), json={})).status_code == 404


@pytest.mark.slow
async def test_the_list_says_which_names_the_configuration_has_no_more(shell: Shell, tmp_path: Path) -> None:
    await shell.run(*ADD, "--rule", "joined", "--hub", "app")
    (tmp_path / "c.yaml").write_text(CONFIGURATION.replace("joined", "welcome"))
    await shell.run("reload")
    assert "the configuration has no rule joined" in (await shell.run("silences", "list")).stdout
    (silence,) = await shell.json("silences", "list")
    assert (silence["missing"], silence["active"]) == (["rule joined"], True)
    assert "rule joined" in (await shell.run("status")).stdout
