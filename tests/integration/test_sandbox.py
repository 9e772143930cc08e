"""`pushbridge sandbox --push`: what it prints is pasted into a configuration, and a push arrives."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bridge.cli.stand_ins import PLACES
from bridge.config.load import check
from tests.integration.daemon import Daemon
from tests.ports import free_row

TITLE = '{"aps":{"alert":{"title":"$(title)"}}}'


class Printed:
    """What a sandbox has printed: the hub, the channels that it takes, and where its journal is."""

    def __init__(self, lines: list[str]) -> None:
        start = lines.index("hubs:\n")
        self.block = "".join(lines[start:])
        words = [line.split() for line in lines[:start]]
        self.unused = {line[0] for line in words if len(line) == 2 and f"  {line[0]}:" not in self.block} & {
            "baidu",
            "mpns",
        }
        self.channels = {line[0]: line[1] for line in words if len(line) == 2 and line[0] in ("apns", "fcmv1", "wns")}
        (self.journal,) = [word for line in words for word in line if word.endswith("/journal")]


@contextmanager
def sandbox(directory: Path, *, port: int = 0) -> Iterator[Printed]:
    """A process of its own, ended as Ctrl-C ends it."""
    ports = ["--port", "0", "--push-port", str(port)]
    command = [sys.executable, "-m", "bridge", "sandbox", "--push", "--directory", str(directory), *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while (line := process.stdout.readline()) not in ("", "\n") or "hubs:\n" not in lines:
            assert process.poll() is None
            lines.append(line)
        yield Printed(lines)
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_the_printed_hub_is_a_valid_configuration_as_it_stands(tmp_path: Path) -> None:
    with sandbox(tmp_path / "made" / "here") as printed:
        pasted = tmp_path / "pasted.yaml"
        pasted.write_text(printed.block)
        settings, problems = check(pasted, {})
        assert (problems, settings is None) == ([], False)
    files = [path for path in (tmp_path / "made" / "here").iterdir() if path.name != "ca.pem"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("platform", ["apns", "fcmv1", "wns"])
async def test_a_push_arrives_and_stands_in_the_journal(tmp_path: Path, platform: str) -> None:
    with sandbox(tmp_path / "credentials") as printed:
        configuration: dict[str, Any] = yaml.safe_load(printed.block)
        (hub,) = configuration["hubs"]
        configuration["sources"] = {"in": {"http": {"path": "/in"}}}
        bodies = {"apns": TITLE, "fcmv1": '{"message":{"notification":{"title":"$(title)"}}}'}
        bodies["wns"] = (
            '<toast><visual><binding template="ToastGeneric"><text>$(title)</text></binding></visual></toast>'
        )
        configuration["rules"] = [{"name": "all", "push": {"to": "everyone", "with": {"title": "it works"}}}]
        async with (
            Daemon(tmp_path, configuration) as daemon,
            httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client,
        ):
            await daemon.start()
            key = (tmp_path / "credentials" / "hub-key").read_text()
            phone = {"installationId": "phone", "platform": platform, "pushChannel": printed.channels[platform]}
            phone["templates"] = {"t": {"body": bodies[platform]}}  # type: ignore[assignment]
            if platform == "wns":
                phone["templates"]["t"]["headers"] = {"X-WNS-Type": "wns/toast"}  # type: ignore[index]
            await daemon.register(phone, hub=hub, key=key)
            (await client.post(f"{daemon.url}/in", json={})).raise_for_status()
            for _ in range(200):
                answer = (await client.get(printed.journal, params={"service": platform})).raise_for_status().json()
                if answer["entries"]:
                    break
                await asyncio.sleep(0.05)
            (entry,) = answer["entries"]
            assert (entry["status"], entry["reason"], entry["seq"]) == (200, "", answer["next"])
            assert "it works" in entry["payload"]
            later = (await client.get(printed.journal, params={"after": answer["next"]})).json()
            assert later == {"entries": [], "next": answer["next"], "first": 1, "size": 10_000}
            assert (await client.get(printed.journal, params={"limit": "many"})).status_code == 400


def test_credentials_are_made_once_and_kept(tmp_path: Path) -> None:
    first_port = free_row(len(PLACES))
    with sandbox(tmp_path, port=first_port) as first:
        assert not first.unused, "a channel of a service that the hub does not have"
        kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with sandbox(tmp_path, port=first_port) as second:
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert (second.block, second.channels) == (first.block, first.channels)


def test_a_directory_with_credentials_that_cannot_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "issued.json").write_text("{}")
    command = [sys.executable, "-m", "bridge", "sandbox", "--push", "--port", "0", "--directory", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 3
    assert result.stderr == (
        f"pushbridge: {tmp_path}/issued.json: no credentials of a sandbox (delete the directory, and new credentials are"
        " made)\n"
    )
