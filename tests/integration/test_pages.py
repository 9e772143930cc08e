"""Every command of README and docs is run: here beside one daemon, or by the test of its page. What cannot be run stands in
a table with the reason; a new block that is in neither fails."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox.services import PushServices
from tests.integration.daemon import Daemon, hubs
from tests.integration.pages import PAGES, ROOT, Block, blocks, blocks_in

pytestmark = [pytest.mark.processes, pytest.mark.slow]

PATIENCE = 60.0
TOKEN = "of who is on duty tonight"

BY_THEIR_OWN_TEST = {
    r"README\.md": "integration/test_quickstart.py",
    r"docs/cookbook/.*": "bridge/test_cookbook.py",
    r"docs/(files|sql)\.md": "integration/test_source_pages.py",
    r"docs/moving\.md": "integration/test_import.py",
    r"docs/registration\.md": "integration/test_phones.py",
    r"docs/runbooks/.*": "integration/test_runbooks.py",
}
"""By page, the test that runs its blocks as they stand there; commands of runbooks that name something are run here."""

NOT_RUN = {
    r"make (demo|test)$": "the demo has bridge/test_demo.py, and this is the other",
    r"make (wheelhouse|sbom)|python -m pip install --no-index": "minutes of a network: deploy/test_release.py runs them",
    r"docker (build|run|compose)": "no Docker: deploy/test_image.py and test_compose.py run the steps without it",
    r"helm install": "no cluster: deploy/test_chart.py renders the chart",
    r"az ": "an Azure account",
    r"pg_dump|createdb|pg_restore": "a database of PostgreSQL: integration/test_postgres_backup.py runs them",
    r"pushbridge migrate --from": "a database of PostgreSQL: hub/store/postgres/test_filling.py runs it",
    r"pushbridge run rules/": "secrets of another machine: bridge/test_layouts.py checks the same files",
    r"pushbridge mirror ": "a mirrored hub: bridge/test_mirror_commands.py runs them",
}
"""What this machine cannot run, or not here, and why."""

WORDS = {
    "CONFIG": "pushbridge.yaml",
    "FILE": "copy.db",
    "HUB": "app",
    "TAG": "team:hr",
    "/etc/pushbridge": "pushbridge.yaml",
}
"""What stands for the words that a reader replaces. `ID` is found when it is asked for."""

ENDLESS = re.compile(r"pushbridge (events --follow|top)")
NAMING = re.compile(r"\b(TAG|ID|NAME|HUB|rewrite|restore|remove)\b")


def is_run_here(block: Block, command: str) -> bool:
    if any(re.match(found, command) for found in NOT_RUN):
        return False
    page = next((found for found in BY_THEIR_OWN_TEST if re.fullmatch(found, block.page)), None)
    return page is None or ("runbooks" in block.page and NAMING.search(command) is not None)


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN_HERE = [(block, commands) for block in BLOCKS if (commands := [c for c in block.commands if is_run_here(block, c)])]


def test_tables_name_what_is_there() -> None:
    pages = {block.page for block in BLOCKS}
    commands = [command for block in BLOCKS for command in block.commands]
    assert [page for page in BY_THEIR_OWN_TEST if not any(re.fullmatch(page, each) for each in pages)] == []
    assert [found for found in NOT_RUN if not any(re.match(found, each) for each in commands)] == []
    named = [*BY_THEIR_OWN_TEST.values(), *re.findall(r"\w+/[\w/]+\.py", " ".join(NOT_RUN.values()))]
    assert [test for test in named if not (ROOT / "tests" / test).exists()] == []


def test_a_new_block_is_run_here_unless_a_table_says_otherwise() -> None:
    page = (
        "# A page\n\n    kubectl get pods  # all\n    docker run x\n\n"
        "- in a list:\n   ```bash\n   pushbridge status \\\n     --json\n   ```\n"
        "\n    bridge: { name: x }\n\n```yaml\npushbridge: no\n```\n"
    )
    found = list(blocks_in(page, "docs/new.md"))
    assert [(block.line, block.commands) for block in found] == [
        (7, ["pushbridge status --json"]),
        (3, ["kubectl get pods", "docker run x"]),
    ]
    run = [command for block in found for command in block.commands if is_run_here(block, command)]
    assert run == ["pushbridge status --json", "kubectl get pods"]


class World:
    """A daemon with all that the pages speak of, and a directory to be in."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon, self.directory = daemon, directory
        self._environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PUSHBRIDGE")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PUSHBRIDGE_CONFIG": "pushbridge.yaml",
            "PUSHBRIDGE_TOKEN_FILE": "admin-token",
            "HOME": str(directory),
        }

    async def run(self, command: str) -> str:
        """What a command prints; it has to end well. One without an end is ended."""
        line = f"timeout --preserve-status -s INT 2 {command}" if ENDLESS.match(command) else command
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", line),
            cwd=self.directory,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await asyncio.wait_for(process.communicate(b"y\n"), PATIENCE)
        ends = (0, 130) if ENDLESS.match(command) else (0,)
        assert process.returncode in ends, f"{command}: {process.returncode}\n{said.decode()}{complaints.decode()}"
        return said.decode()

    async def filled_in(self, command: str) -> str:
        """With this machine's words in the place of a reader's."""
        for word, text in WORDS.items():
            command = re.sub(rf"(?<![\w/]){re.escape(word)}(?!\w)", text, command)
        command = command.replace("localhost:8080", self.daemon.url.removeprefix("http://"))
        if command.startswith("pushbridge events export"):  # a reader has none yet
            (self.directory / "events.jsonl").unlink(missing_ok=True)
        if command.startswith("pushbridge restore"):  # of a daemon that does not run
            command = command.replace("pushbridge.yaml", "spare.yaml")
        return re.sub(r"\bID\b", await self._id_for(command), command) if re.search(r"\bID\b", command) else command

    async def _id_for(self, command: str) -> str:
        if "--device" in command:
            return "ann-phone"
        kind = "silences list" if "silences" in command else "notifications list --state Held"
        found = json.loads(await self.run(f"pushbridge {kind} --json"))
        assert found, f"{command}: there is none"
        return str(found[0]["id"])


def configuration(services: PushServices) -> dict[str, Any]:
    page = (ROOT / "docs" / "content.md").read_text(encoding="utf-8")
    content = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    config = {"hubs": hubs(services), **content}
    config["bridge"] = {"http": {"admin_token": TOKEN}}
    config["hubs"]["app"]["limits"] = {"confirm_above": 1}
    config["sources"] = {"hr": {"http": {"path": "/in/hr"}, "map": {"id": "{{ data.id }}"}}}
    config["rules"] = [{"name": "order-shipped", "push": {"to": "team:hr", "with": {"title": "{{ data.id }}"}}}]
    return config


@pytest.fixture
async def world(services: PushServices, tmp_path: Path) -> AsyncIterator[World]:
    directory = tmp_path / "here"
    shutil.copytree(ROOT / "docs" / "layouts", directory)
    shutil.copytree(ROOT / "docs" / "layouts", directory / "main")
    (directory / "admin-token").write_text(TOKEN)
    (directory / "export.csv").write_text("account,amount\nCH93-0076,12.50\nCH93-0077,8.00\n")
    record = "AC0000000001".encode("cp500") + bytes.fromhex("00000001234c")
    (directory / "posting.dat").write_bytes(record * 3)
    async with Daemon(directory, configuration(services)) as daemon:
        await daemon.start()
        shutil.copy(daemon.config_file, directory / "acme.yaml")
        spare = json.loads(daemon.config_file.read_text())
        spare["bridge"]["store"] = {"allow_memory": True, "url": "sqlite:///spare.db"}
        (directory / "spare.yaml").write_text(json.dumps(spare))
        for name, tags in (("ann-phone", ["team:hr", "customer:c-7"]), ("bob-phone", ["team:hr"])):
            phone = services.add_phone(name, "apns")
            await daemon.register(
                {
                    "installationId": name,
                    "platform": "apns",
                    "pushChannel": phone.handle,
                    "userId": name.partition("-")[0],
                    "tags": tags,
                    "templates": {"title": {"body": '{"aps": {"alert": "$(title)"}}'}},
                }
            )
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            for number in range(4):
                answer = await client.post(f"{daemon.url}/in/hr", json={"id": f"e-{number}"})
                answer.raise_for_status()
        world = World(daemon, directory)
        async with asyncio.timeout(PATIENCE):
            while len(json.loads(await world.run("pushbridge notifications list --state Held --json"))) < 4:
                await asyncio.sleep(0.2)
        yield world


@pytest.mark.timeout(600)  # for a hundred commands, on a busy machine
async def test_every_command_of_a_page_runs(world: World) -> None:
    done: set[str] = set()
    failed: list[str] = []
    for block, commands in RUN_HERE:
        failed += await troubles(world, block, commands, done)
    assert failed == [], "\n".join(failed)
    assert len(done) > 40


async def troubles(world: World, block: Block, commands: Sequence[str], done: set[str]) -> list[str]:
    found = []
    for command in commands:
        try:
            filled = await world.filled_in(command)
            if filled not in done:
                done.add(filled)
                await world.run(filled)
        except AssertionError as error:
            found.append(f"{block.page}:{block.line}: {error}")
    return found
