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

from tests.integration.daemon import HUB, KEY
from tests.integration.moving import Moving, counted, document_of, moving, scripts, single_of

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
    if not progress.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{progress}?mode=ro", uri=True)) as file:
            return int(file.execute("SELECT COUNT(*) FROM found").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


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
