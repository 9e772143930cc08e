"""The JavaScript SDK, unmodified, against the API over TLS; what it can do is written to docs/compatibility.md."""

import asyncio
import json
import os
import time
from pathlib import Path

from sandbox.tls import Authority
from tests.hub.api.conformance.conftest import hub_at_work
from tests.hub.api.serving import serving
from tests.hub.api.signing import KEY
from tests.integration.sdks.page import Called, write

ROOT = Path(__file__).parents[3]
MODULES = ROOT / ".venv" / "javascript"
NAME = "@azure/notification-hubs"

NOT_SERVED = frozenset(
    [
        "submitNotificationHubJob",
        "getNotificationHubJob",
        "listNotificationHubJobs",
        "beginSubmitNotificationHubJob",
    ]
)
"""Methods whose resource is not there yet. One that is served and stands here fails the test."""


async def test_every_method_of_the_client_does_what_it_promises(tmp_path: Path) -> None:
    package = MODULES / "node_modules" / NAME / "package.json"
    assert package.exists(), f"{NAME} is not installed: run make {MODULES.relative_to(ROOT)}/.installed"
    authority = Authority(tmp_path)
    async with hub_at_work(tmp_path / "hub.db", time.time) as at_work, serving(authority, at_work.app) as port:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).with_name("javascript.mjs")),
            env={
                **os.environ,
                "NODE_EXTRA_CA_CERTS": str(authority.ca_file),
                "NODE_MODULES": str(MODULES),
                "CONNECTION_STRING": f"Endpoint=sb://localhost:{port}/;SharedAccessKeyName=full;SharedAccessKey={KEY}",
                "HUB": "h1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 120)
    lines = [json.loads(line) for line in output.decode().splitlines()]
    failed = {line["method"]: line["error"] for line in lines if line["error"]}
    unexpected = {name: error for name, error in failed.items() if name not in NOT_SERVED}
    assert (process.returncode, unexpected) == (0, {}), errors.decode()
    assert set(failed) == NOT_SERVED
    version = json.loads(package.read_text())["version"]
    assert write(NAME, version, [Called(line["method"], not line["error"]) for line in lines]), "the page is new"
