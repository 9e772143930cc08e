"""The image as Docker builds and runs it, where an engine answers."""

import subprocess
from pathlib import Path

import pytest

from tests.selection import ROOT

pytestmark = pytest.mark.docker

TAG = "pushbridge:under-test"


def test_docker_builds_the_image_and_runs_it_read_only_until_its_health_check_passes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "bridge: { store: { url: sqlite:////var/lib/pushbridge/pushbridge.db } }\n"
        "listeners: { probes: { address: 0.0.0.0:9090 } }\n"
        "hubs: { app: {} }\n"
    )
    _docker("build", "--file", ROOT / "deploy" / "Dockerfile", "--tag", TAG, ROOT)
    mounts = ["--volume", f"{tmp_path}:/etc/pushbridge:ro", "--tmpfs", "/tmp"]
    closed = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    watched = ["--health-interval", "1s", "--health-start-period", "1s"]
    name = _docker("run", "--detach", *mounts, *closed, *watched, TAG).strip()
    try:
        for _ in range(60):
            state = _docker("inspect", "--format", "{{.State.Health.Status}}", name).strip()
            if state != "starting":
                break
            _docker("run", "--rm", "--entrypoint", "sleep", TAG, "1")
        assert state == "healthy", _docker("logs", name)
        assert _docker("exec", name, "id", "-u").strip() == "10001"
        _docker("stop", "--time", "40", name)
        assert _docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    finally:
        _docker("rm", "--force", "--volumes", name)


def _docker(*arguments: str | Path) -> str:
    answer = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout + answer.stderr
