"""`pushbridge import anh` between two daemons, and what it says when the other hub does not do its part."""

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sandbox.exchange import Answer, Exchange
from tests.hub.other_hub import ListedHub
from tests.hub.test_moving import SETTINGS
from tests.integration.daemon import HUB, KEY
from tests.integration.moving import Moving, counted, document_of, moving, scripts, single_of
from tests.integration.played import PlayedServer

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

SINGLES = 120
DOCUMENTS = [document_of(number, random.Random(number)) for number in range(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Moving]:
    singles = [single_of(number) for number in range(SINGLES)]
    async with moving(tmp_path_factory.mktemp("moving"), DOCUMENTS, singles) as world:
        yield world


async def imported(world: Moving, *arguments: str) -> dict[str, Any]:
    code, output, errors = await world.run("--json", *arguments)
    assert code == 0, output + errors
    found: dict[str, Any] = json.loads(output)
    return found


async def test_a_dry_run_counts_and_changes_nothing(world: Moving) -> None:
    found = await imported(world, "--dry-run")
    assert (found["dry_run"], found["cannot_move"], found["answers"]) == (True, [], {})
    old = counted(await world.listed(world.old))
    assert {each["platform"]: each["can_move"] for each in found["platforms"]} == {
        platform: old[platform, "native"] + old[platform, "template"]
        for platform in ("apns", "fcmv1", "wns", "adm", "browser")
    }
    assert await world.listed(world.new) == []
    assert not list(world.directory.glob("*.progress"))


async def test_an_import_that_was_killed_goes_on_and_all_counts_are_equal(world: Moving) -> None:
    process = await world.process()
    progress = world.directory / f"import-{HUB}.progress"
    async with asyncio.timeout(60):
        while listed(progress) < 100 and process.returncode is None:
            await asyncio.sleep(0.005)
    if process.returncode is None:
        process.kill()
    await process.communicate()
    assert progress.stat().st_mode & 0o777 == 0o600
    found = await imported(world)
    old = await world.listed(world.old)
    assert counted(old) == counted(await world.listed(world.new))
    assert len(old) == found["registrations"] or process.returncode == 0
    again = await imported(world)
    assert again["answers"] == {"unchanged": len(DOCUMENTS) + SINGLES}


def listed(progress: Path) -> int:
    return asked(progress, "SELECT COUNT(*) FROM found")


def asked(progress: Path, question: str) -> int:
    """The number that is the answer; 0 as long as there is none."""
    if not progress.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{progress}?mode=ro", uri=True)) as file:
            return int(file.execute(question).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


async def test_an_import_that_is_killed_at_any_step_goes_on_there_and_brings_all_once(world: Moving) -> None:
    """Between pages, when all is listed, between batches, and when all is taken: as the progress file shows it."""
    into = {"installationId": "more", "platform": "apns", "pushChannel": "CC" * 32}
    await world.put(into)
    steps = (
        "SELECT COUNT(*) > 150 FROM found",
        "SELECT COUNT(*) FROM state WHERE name = 'listed' AND value = 'yes'",
        "SELECT COUNT(*) > 0 FROM taken",
        "SELECT COUNT(*) > 200 FROM taken",
        "SELECT COUNT(*) FROM state WHERE name = 'over' AND value = 'yes'",
    )
    progress = world.directory / "steps.progress"
    for step in steps:
        process = await world.process("--progress", str(progress))
        async with asyncio.timeout(120):
            while process.returncode is None and not asked(progress, step):
                await asyncio.sleep(0.001)
        if process.returncode is None:
            process.kill()
        await process.communicate()
    found = await imported(world, "--progress", str(progress))
    assert set(found["answers"]) <= {"added", "unchanged", "kept"}
    here = [each.installation_id for each in await world.listed(world.new)]
    assert here.count("more") == 1
    assert len(set(here)) - 1 == len({each.installation_id for each in await world.listed(world.old)}) - 1
    ends, begins = (await world.audited())[:2]
    assert ends.startswith("ends: ")
    assert begins == f"begins: {asked(progress, 'SELECT COUNT(*) FROM taken')} devices to take, of {world.source}"


async def test_the_audit_and_the_metrics_have_what_became_of_an_import(world: Moving) -> None:
    await imported(world)
    before = await world.imported()
    found = await imported(world)
    count = sum(found["answers"].values())
    after = await world.imported()
    name = f'devices_total{{hub="{HUB}",outcome="unchanged"}}'
    assert after[name] - before.get(name, 0.0) == found["answers"]["unchanged"]
    assert after[f'found_devices{{hub="{HUB}"}}'] == count
    said = ", ".join(f"{found['answers'][each]} {each}" for each in ("unchanged", "kept") if each in found["answers"])
    ends, begins = (await world.audited())[:2]
    assert (ends, begins) == (f"ends: {said}, of {world.source}", f"begins: {count} devices to take, of {world.source}")


async def test_a_key_without_manage_is_told_what_it_lacks_and_brings_nothing(world: Moving) -> None:
    listen = world.connection_string.replace("SharedAccessKeyName=Full", "SharedAccessKeyName=Listen")
    code, _, errors = await world.run("--progress", "listen", PUSHBRIDGE_IMPORT_CONNECTION_STRING=listen)
    assert (code, "the policy 'Listen' may not do this" in errors, "takes the right Manage" in errors) == (
        4,
        True,
        True,
    )


class PlayedAzure(PlayedServer):
    """A hub of Azure that is busy now and then, and changes while it is listed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hub = ListedHub()
        self.busy: list[Answer] = []

    def serve(self, exchange: Exchange) -> None:
        if self.busy:
            exchange.answer(self.busy.pop(0))
            return
        path = exchange.path.replace(f"/{HUB}/", f"/{SETTINGS.hub}/")
        answer = self.hub.answer(httpx.Request(exchange.method, f"{SETTINGS.endpoint}{path}"))
        headers = tuple((name, value) for name, value in answer.headers.items() if name != "content-length")
        exchange.answer(Answer(status=answer.status_code, headers=headers, body=(answer.content,)))


async def test_a_hub_that_throttles_and_changes_meanwhile_is_brought_over_by_the_next_run(
    world: Moving, tmp_path: Path
) -> None:
    async with PlayedAzure(tmp_path) as azure:
        for number in range(6):
            azure.hub.put(f"played-{number}", f"{number:02X}" * 32, "news", template='{"aps":{"alert":"$(m)"}}')
        azure.hub.put_single("bad-1-1", "AB", "bad tag!")
        azure.hub.per_page = 4
        azure.busy = [
            Answer(status=429, headers=(("retry-after", "1"),)),
            Answer(status=503),
            Answer(status=403, headers=(("retry-after", "1"),)),
        ]

        def change(page: int) -> None:
            if page == 2:
                azure.hub.put("played-0", "FF" * 32, "news", template='{"aps":{"alert":"$(m)"}}')
                azure.hub.forget("played-5")

        azure.hub.at_page = change
        string = f"Endpoint=sb://127.0.0.1:{azure.port}/;SharedAccessKeyName=Full;SharedAccessKey=k"
        arguments = ("--json", "--progress", str(tmp_path / "p"), "--ca-file", str(azure.ca_file))
        code, output, errors = await world.run(*arguments, PUSHBRIDGE_IMPORT_CONNECTION_STRING=string)
        assert code == 4, output + errors
        assert errors.count(" is busy: HTTP ") == 3, errors
        first = json.loads(output)
        assert [(each["key"], "bad tag!" in each["reason"]) for each in first["cannot_move"]] == [("r:bad-1-1", True)]
        assert f'refused_devices_total{{hub="{HUB}",reason="tag"}}' in await world.imported()

        azure.hub.at_page = lambda page: None
        code, output, errors = await world.run(*arguments, PUSHBRIDGE_IMPORT_CONNECTION_STRING=string)
        assert code == 4, output + errors
        here = [each for each in await world.listed(world.new) if (each.installation_id or "").startswith("played-0")]
        assert {each.push_channel for each in here} == {"FF" * 32}
        assert {each.template_name for each in here} == {None, "news"}


async def test_what_a_phone_says_here_since_stays_and_what_changes_there_comes(world: Moving) -> None:
    """After an import: a phone moves to the new hub, another changes at the old one, a third is new there."""
    await imported(world)
    moved, changed, new = (dict(DOCUMENTS[number]) for number in (0, 1, 5))
    await world.put({**moved, "pushChannel": "BB" * 32}, at=world.new.hub_url)
    await world.put({**moved, "tags": ["stale"]})
    await world.put({**changed, "pushChannel": "rotated"})
    await world.put({**new, "installationId": "newcomer"})
    found = await imported(world)
    assert (found["answers"]["added"], found["answers"]["changed"], found["answers"]["kept"]) == (1, 1, 1)
    here = {each.installation_id: each for each in await world.listed(world.new) if each.template is None}
    assert here["phone-0"].push_channel == "BB" * 32
    assert here["phone-1"].push_channel == "rotated"
    assert "newcomer" in here


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (("--hub", "nothing"), {}, "refuses the key of the policy 'Full' for the hub 'nothing'"),
        ((), {"PUSHBRIDGE_IMPORT_CONNECTION_STRING": "Endpoint=sb://x"}, "the connection string has no"),
        (("--into", "nothing", "--progress", "other"), {}, "there is no hub 'nothing'"),
        (("--dry-run", "--hub", HUB, "--connection-string-file", "none"), {}, "say --connection-string-file, or"),
    ],
)
async def test_what_is_wrong_is_said_in_a_line(
    world: Moving, arguments: tuple[str, ...], environ: dict[str, str], words: str
) -> None:
    code, output, errors = await world.run(*arguments, **environ)
    assert code != 0
    assert words in errors, errors
    assert output == ""
    assert "Traceback" not in errors
    assert KEY not in errors


async def test_a_wrong_key_is_told_with_its_policy(world: Moving) -> None:
    wrong = world.connection_string.replace(KEY, "wrong")
    code, _, errors = await world.run("--progress", "wrong", PUSHBRIDGE_IMPORT_CONNECTION_STRING=wrong)
    assert (code, "refuses the key of the policy 'Full'" in errors) == (4, True), errors
    assert "run it again to go on from wrong" in errors


async def test_a_progress_file_of_another_import_is_refused(world: Moving) -> None:
    await imported(world)
    progress = f"import-{HUB}.progress"
    code, _, errors = await world.run("--hub", "other", "--progress", progress)
    assert (code, "is of an import from" in errors) == (4, True), errors


async def test_the_daemon_takes_nothing_without_its_token(world: Moving) -> None:
    answer = await world.client.post(f"{world.new.url}/api/v1/hubs/{HUB}/devices/import", json={"items": []})
    assert answer.status_code == httpx.codes.UNAUTHORIZED


async def test_the_commands_of_the_page_run_as_they_stand(world: Moving, tmp_path: Path) -> None:
    code, output = await world.shell("\n".join(scripts("Doing it")), tmp_path)
    assert code == 0, output
    assert "CAN MOVE" in output
    answers = json.loads((tmp_path / "moved.json").read_text())["answers"]
    assert answers.keys() <= {"unchanged", "kept"}
    old, new = counted(await world.listed(world.old)), counted(await world.listed(world.new))
    assert old["fcmv1", "native"] == new["fcmv1", "native"]
