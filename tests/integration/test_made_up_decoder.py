"""A decoder is one file and one line, and so is a command: `tests/pairs` is all that there is of these."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.integration.daemon import HUB, Daemon

CONFIG: dict[str, Any] = {
    "sources": {"shop": {"http": {"path": "/in/shop"}, "decode": {"format": "pairs"}, "map": {"id": "{{ data.id }}"}}},
    "hubs": {HUB: {}},
    "rules": [
        {
            "name": "paid",
            "match": {"data": {"kind": "paid"}},
            "push": {"to": "everyone", "with": {"title": "{{ data.id }}"}},
        }
    ],
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pairs", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


async def test_its_bodies_become_events_and_the_command_counts_them(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIG, module="tests.pairs") as daemon:
        await daemon.start()
        async with httpx.AsyncClient(verify=False, base_url=daemon.url, trust_env=False, timeout=60) as client:
            taken = await client.post("/in/shop", content="id=7\nkind=paid")
            refused = await client.post("/in/shop", content="id=8\nkind")
        assert (taken.status_code, taken.json()["rules"]) == (202, ["paid"])
        assert (refused.status_code, refused.json()["detail"]) == (400, "no = in line 2")
        assert run("how-many", PUSHBRIDGE_URL=daemon.url).stdout == "2 events\n"
        asked = run("how-many", "--json", "--limit", "1", PUSHBRIDGE_URL=daemon.url)
        assert json.loads(asked.stdout) == {"events": 1}


def test_check_and_schema_know_its_name(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(CONFIG).replace('"pairs"', '"pears"'))
    assert "did you mean pairs?" in run("check", str(path)).stderr
    formats = json.loads(run("schema").stdout)
    assert re.search(r"'enum': \['json'(, '\w+')*, 'pairs'(, '\w+')*\]", str(formats))


def test_help_names_the_command_with_its_sentence_and_the_options_of_all_such() -> None:
    assert "Count the latest events." in run("--help").stdout
    assert "PUSHBRIDGE_TOKEN_FILE" in run("how-many", "--help").stdout
