"""Runs a program that uses an SDK against the API over TLS, and reads what it says of each method."""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.jobs.settings import JobSettings
from hub.tls import Tls
from sandbox.blobs import BlobService
from sandbox.tls import Authority
from tests.hub.api.conformance.conftest import hub_at_work
from tests.hub.api.serving import serving
from tests.hub.api.signing import KEY

_LONGEST = 120
"""Seconds that a program may take."""


async def run(
    directory: Path, program: Sequence[str], environment: Mapping[str, str], *, authority: Authority | None = None
) -> list[dict[str, Any]]:
    """The lines of JSON that a program prints. It trusts the API's authority, by whichever of the usual variables.

    CONTAINER is the URI of a container for jobs, with a signature.
    """
    authority = authority or Authority(directory)
    blobs = BlobService()
    blobs.containers.add("box")
    jobs = JobSettings(hosts=("localhost",), tls=Tls(ca_file=authority.ca_file))
    async with (
        serving(authority, blobs) as blobs_port,
        hub_at_work(directory / "hub.db", time.time, jobs=jobs) as at_work,
        serving(authority, at_work.app) as port,
    ):
        signature = blobs.signature("box", until=datetime.now(UTC) + timedelta(hours=1))
        process = await asyncio.create_subprocess_exec(
            *program,
            env={
                **os.environ,
                **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(authority.ca_file)),
                "CONNECTION_STRING": f"Endpoint=sb://localhost:{port}/;SharedAccessKeyName=full;SharedAccessKey={KEY}",
                "CONTAINER": f"https://localhost:{blobs_port}/box?{signature}",
                "HUB": "h1",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), _LONGEST)
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.decode().splitlines()]
