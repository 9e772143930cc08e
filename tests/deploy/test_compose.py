"""The playground of Docker Compose, as far as it can be read without it: its own files, and what they say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.selection import ROOT

COMPOSE = ROOT / "deploy" / "compose"


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    return services


def test_every_file_that_is_mounted_or_built_from_is_there() -> None:
    for service in _services().values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (COMPOSE / source).resolve().is_file(), volume
        if build := service.get("build"):
            assert ((COMPOSE / build["context"]).resolve() / build["dockerfile"]).is_file()


def test_the_playground_is_open_to_this_machine_alone() -> None:
    published = [port for service in _services().values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_check_takes_the_configuration_of_the_playground() -> None:
    program = Path(sys.executable).with_name("pushbridge")
    answer = subprocess.run(
        [program, "check", COMPOSE / "pushbridge.yaml"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    for file in (COMPOSE / "prometheus.yaml", ROOT / "deploy" / "prometheus" / "alerts.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
