"""A connector is one folder and one registration: `tests/spool` is all that there is of this one."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from sandbox.services import PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, hubs

TEMPLATE = '{"message": {"notification": {"title": "$(title)"}}}'


async def until_there(directory: Path, pattern: str) -> Path:
    async with asyncio.timeout(START_TIMEOUT):
        while not (found := list(directory.glob(pattern))):
            await asyncio.sleep(0.02)
    return found[0]


async def test_its_events_reach_a_phone_and_its_dead_letters_its_own_place(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    title = "{{ data.name }} from {{ meta.file_name }}"
    async with PushServices(tmp_path) as services:
        phone = services.add_phone("phone", "fcmv1")
        config: dict[str, Any] = {
            "version": 1,
            "sources": {"files": {"spool": {"directory": str(spool)}}},
            "dead_letter": {"sources": {"files": {"spool": {"suffix": ".dead"}}}},
            "hubs": hubs(services),
            "rules": [{"name": "hello", "source": "files", "push": {"to": "everyone", "with": {"title": title}}}],
        }
        async with Daemon(tmp_path, config, module="tests.spool") as daemon:
            await daemon.start()
            await daemon.register(
                {
                    "installationId": phone.name,
                    "platform": "fcmv1",
                    "pushChannel": phone.handle,
                    "tags": ["everyone"],
                    "templates": {"t": {"body": TEMPLATE}},
                }
            )
            (spool / "a.json").write_text('{"name": "Ada"}')
            pushed = await services.journal.wait_for(lambda entry: entry.handle == phone.handle)
            assert b"Ada from a.json" in pushed[0].payload
            (spool / "b.json").write_text("no JSON")
            assert (await until_there(spool, "*.dead")).read_text() == "no JSON"
            assert await daemon.terminate() == 0
        assert not list(spool.glob("*.json"))


def checked(directory: Path, text: str) -> list[str]:
    """What `check` says, a line each, from the column on."""
    path = directory / "c.yaml"
    path.write_text(text)
    command = [sys.executable, "-m", "tests.spool", "check", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [line.partition(f"{path}:")[2] or line for line in result.stderr.splitlines()]


def test_check_knows_its_keys_its_settings_its_old_spelling_and_its_names_under_meta(tmp_path: Path) -> None:
    text = f"""
sources:
  good: {{ mailbox: {{ directory: {tmp_path} }} }}
  empty: {{ spool: {{ watch: true }} }}
  typo: {{ spol: {{ directory: x }} }}
  none: {{ }}
  alone: {{ spool: /var/spool }}
hubs: {{ {HUB}: {{}} }}
rules: [ {{ name: r, source: good, push: {{ to: x, with: {{ a: "{{{{ meta.fil_name }}}}" }} }} }} ]
"""
    said = checked(tmp_path, text)
    for part in (
        "sources.good.mailbox: warning: is an old spelling (write spool)",
        "sources.empty.spool: directory is missing",
        "sources.empty.spool.watch: known, but not supported by this version yet",
        "sources.typo.spol: unknown key (did you mean spool?)",
        "sources.none: write one of rabbitmq, http, servicebus, kafka, sql, files and spool",
        "sources.alone.spool: expected keys such as directory (write { directory: … })",
        "did you mean file_name?",
    ):
        assert any(part in line for line in said), (part, said)
