"""The README's five minutes by hand, as they stand there: in an empty directory, on the ports that they name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.machine import namespaces

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Five minutes by hand\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.slow
def test_the_readmes_first_five_minutes(tmp_path: Path) -> None:
    """In a network of its own, since other tests hold the ports."""
    script = tmp_path / "script.sh"
    end = "end() { kill $(jobs -p); wait; }; trap end EXIT"
    script.write_text("\n".join(["set -e", "ip link set lo up", end, *COMMANDS]))
    directory = tmp_path / "empty"
    directory.mkdir()
    commands = Path(sys.executable).parent
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ran = subprocess.run(
        namespaces("--net", "bash", str(script)),
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(COMMANDS) == 6
    assert "valid, 1 source, 1 rule, 1 hub" in ran.stdout
    assert '"outcome":"accepted"' in ran.stdout
    assert r"\"title\":\"Employee 12345\",\"body\":\"has joined\"" in ran.stdout
    assert re.search(r"^news +apns +its push service took the push", ran.stdout, re.MULTILINE)
