"""The image, as far as a machine without a container engine can run it: its own steps, its user, its entry point.

Docker's part (layers, registries, the base image) is not run here; `test_docker.py` has it.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.tls import Authority
from tests.deploy import chart
from tests.deploy.dockerfile import Stage, stages
from tests.deploy.machine import CONTAINER, Container, build, running
from tests.selection import ROOT

pytestmark = pytest.mark.processes

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PATIENCE = 60.0
"""Seconds until a daemon answers; it takes about one on an idle machine."""

SECRETS = {"orders-token": "only-for-this-test", "hub-key": "only-for-this-test-too"}


def test_hadolint_finds_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Path]:
    described = stages(DOCKERFILE)
    return described[-1], build(described, ROOT, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def hub(image: tuple[Stage, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The container that the chart makes for a hub: its configuration, secrets and arguments."""
    directory = tmp_path_factory.mktemp("hub")
    manifests = chart.rendered(chart.CHART / "ci" / "hub.yaml")
    configuration, secrets, tls = (directory / name for name in ("configuration", "secrets", "tls"))
    for folder in (configuration, secrets, tls):
        folder.mkdir()
        folder.chmod(0o755)
    (configuration / "pushbridge.yaml").write_text(chart.configuration(manifests))
    for name, text in SECRETS.items():
        (secrets / name).write_text(text)
    Authority(directory)
    pair = (directory / "server.pem").read_bytes()
    for name in ("tls.crt", "tls.key"):
        (tls / name).write_bytes(pair)
    mounted = {"/etc/pushbridge": configuration, "/run/secrets/pushbridge": secrets, "/run/secrets/tls": tls}
    stage, upper = image
    with running(stage, upper, directory, mounted, chart.container(manifests)["args"]) as container:
        _until_ready(container)
        yield container


def _until_ready(container: Container) -> None:
    deadline = time.monotonic() + PATIENCE
    while _status(container, f"http://{CONTAINER}:9090/readyz") != 200:
        assert container.process.poll() is None, container.output()
        assert time.monotonic() < deadline, container.output()
        time.sleep(0.2)


def _status(container: Container, url: str) -> int:
    """What another machine is answered; 0 where nobody listens."""
    script = (
        "import ssl, sys, urllib.request, urllib.error\n"
        "trusting = ssl._create_unverified_context()\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=10, context=trusting).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "except OSError: print(0)"
    )
    return int(container.from_outside([sys.executable, "-c", script, url]).stdout)


def test_the_process_is_no_root_and_the_only_files_it_writes_are_in_its_volume(hub: Container) -> None:
    status = Path(f"/proc/{hub.process.pid}/status").read_text()
    assert re.search(r"^Uid:\s+10001\s", status, re.MULTILINE), status
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), status
    refused = hub.execute(["sh", "-c", "touch /opt/pushbridge/x /etc/pushbridge/x /x"])
    assert refused.stderr.count("Read-only file system") == 3
    assert hub.written() == set()
    assert (hub.directory / "volumes" / "var-lib-pushbridge" / "pushbridge.db").exists()


def test_another_machine_reaches_probes_metrics_and_the_ports_of_the_chart_and_nothing_else(hub: Container) -> None:
    for path in ("livez", "readyz", "startupz", "metrics"):
        assert _status(hub, f"http://{CONTAINER}:9090/{path}") == 200
    for path in ("", "api/v1/status", "-/reload", "in/orders"):
        assert _status(hub, f"http://{CONTAINER}:9090/{path}") == 404
    assert _status(hub, f"https://{CONTAINER}:8443/shop/registrations") == 401
    assert _status(hub, f"https://{CONTAINER}:8081/in/orders") in (401, 405)
    assert _status(hub, f"http://{CONTAINER}:8080/") == 0, "the admin listener is for the pod alone"


def test_inside_the_commands_find_their_daemon_without_a_flag(hub: Container) -> None:
    answer = hub.execute(["pushbridge", "status"])
    assert answer.returncode == 0, answer.stderr
    assert "ready" in answer.stdout


def test_a_start_has_nothing_to_compile(hub: Container) -> None:
    script = (
        "import os, sys, bridge.app, bridge.cli.run\n"
        "cached = {name: getattr(module, '__cached__', None) for name, module in sys.modules.items()}\n"
        "print('asyncio' in cached, [name for name, file in cached.items() if file and not os.path.exists(file)])"
    )
    assert hub.execute(["python", "-c", script]).stdout == "True []\n"


def test_the_health_check_of_the_image_passes(hub: Container) -> None:
    answer = hub.execute(hub.stage.health_check)
    assert answer.returncode == 0, answer.stderr


@contextmanager
def container_with(image: tuple[Stage, Path], directory: Path, configuration: str) -> Iterator[Container]:
    """The image as it stands, with one file of configuration."""
    folder = directory / "configuration"
    folder.mkdir()
    (folder / "a.yaml").write_text(configuration)
    stage, upper = image
    with running(stage, upper, directory, {"/etc/pushbridge": folder}) as container:
        yield container


def test_it_ends_with_0_when_the_engine_asks(image: tuple[Stage, Path], tmp_path: Path) -> None:
    configuration = (
        "bridge: { store: { url: sqlite:////var/lib/pushbridge/pushbridge.db } }\n"
        "listeners: { probes: { address: 0.0.0.0:9090 } }\n"
        "hubs: { app: {} }\n"
    )
    with container_with(image, tmp_path, configuration) as container:
        _until_ready(container)
        container.process.terminate()
        assert container.process.wait(PATIENCE) == 0, container.output()


@pytest.mark.parametrize(
    ("configuration", "exit_code", "said"),
    [
        ("hubs: { app: {} }", 3, "bridge.store.url has to name a place that can be written"),
        (
            "hubs: { app: { platform: {} } }",
            1,
            "a.yaml:1:16: hubs.app.platform: unknown key (did you mean platforms?)",
        ),
    ],
    ids=["no place for the database", "a mistake"],
)
def test_a_container_that_cannot_live_ends_with_the_cure(
    image: tuple[Stage, Path], tmp_path: Path, configuration: str, exit_code: int, said: str
) -> None:
    with container_with(image, tmp_path, configuration) as container:
        assert container.process.wait(PATIENCE) == exit_code
        assert said in container.output()
