"""An install on a machine without a network, and the list of what it holds."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.deploy.machine import namespaces
from tests.selection import ROOT


@pytest.mark.processes
@pytest.mark.timeout(400)  # a minute on an idle machine
def test_the_wheelhouse_installs_without_a_network_and_the_sbom_names_every_part_with_a_license(tmp_path: Path) -> None:
    release, parts = tmp_path / "release", tmp_path / "parts.json"
    made = [f"WHEELHOUSE={tmp_path / 'wheels'}", f"SBOM={parts}", f"RELEASE={release}"]
    _run(["make", "--directory", ROOT, "wheelhouse", *made])
    cut_off = namespaces("--net")  # an interface to nowhere is all that there is
    _run([*cut_off, "make", "--directory", ROOT, "sbom", *made])
    checked = _run([*cut_off, release / "bin" / "pushbridge", "check", "--strict", ROOT / "examples.yaml"])
    assert "valid" in checked or "no mistakes" in checked.lower(), checked
    found = json.loads(parts.read_text())
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "pushbridge"
    named = {part["name"]: part.get("licenses") for part in found["components"]}
    assert {"aiokafka", "azure-servicebus", "cryptography", "pika", "psycopg"} <= set(named)
    assert [name for name, licenses in named.items() if not licenses] == []


def _run(command: list[str | Path]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout
