"""The pages about tables and files: their configurations and commands are run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.processes
@pytest.mark.parametrize("name", ["sql", "files"])
def test_what_a_page_says_to_save_and_to_run_runs(name: str, tmp_path: Path) -> None:
    page = (DOCS / f"{name}.md").read_text("utf-8")
    (saved,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / f"{name}.yaml").write_text(saved)
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stderr
