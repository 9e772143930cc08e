"""The API as it is deployed, and a client that trusts only the sandbox's authority."""

import ssl
import time
from pathlib import Path

import httpx
import pytest

from hub.api.app import create_app
from sandbox.tls import Authority
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.conftest import HUBS
from tests.hub.api.serving import serving
from tests.hub.api.signing import token


@pytest.mark.parametrize("size", [0, 5_000_000])
async def test_a_phone_registers_and_is_sent_to_over_tls(tmp_path: Path, size: int) -> None:
    authority = Authority(tmp_path)
    async with (
        serving(authority, create_app(FakeHubService(), HUBS)) as port,
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=authority.ca_file), timeout=60) as client,
    ):
        client.base_url = url = httpx.URL(f"https://localhost:{port}")
        client.headers["Authorization"] = token("full", resource=str(url), expiry=int(time.time()) + 60)
        put = await client.put("/h1/installations/i1", json={"platform": "apns", "pushChannel": "aabb"})
        assert put.status_code == 200
        send = await client.post("/h1/messages/", content=b'{"m":"' + b"x" * size + b'"}')
        assert send.status_code == (413 if size else 201)
        if not size:
            assert send.headers["location"].startswith(f"https://localhost:{port}/h1/messages/")
