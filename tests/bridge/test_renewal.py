"""Secrets and certificates that change below a running daemon are taken up without a signal; bad ones change nothing."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.x509 import load_pem_x509_certificate

from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.config.reload import Reloader, waiting_for_restart
from bridge.config.watch import fingerprint
from hub.tls import Tls
from rules.read_files import ReadFiles
from sandbox.tls import Authority

CONFIG = """
bridge: { store: { url: "sqlite:///../x.db" } }
listeners:
  admin:
    address: "127.0.0.1:0"
    tls: { cert: mounted/server.pem, key: mounted/server.pem }
    auth: { bearer: ["${file:mounted/token}", "kept"] }
sources:
  hr: { http: { path: /in/hr }, map: { id: "{{ data.id }}" } }
"""


REST = 'sources: { hr: { http: { path: /in/hr }, map: { id: "{{ data.id }}" } } }'


class Mounted:
    """A directory of files as Kubernetes mounts it: a link to the version in force, exchanged as a whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._versions = 0

    def put(self, *, token: str = "first") -> Path:
        """Another version with a certificate of its own, in force at once; returns its CA."""
        self._versions += 1
        version = self._directory / f"..{self._versions}"
        version.mkdir()
        Authority(version)
        (version / "token").write_text(token)
        self.lead_to(version)
        return version / "ca.pem"

    def lead_to(self, version: Path) -> None:
        new = self._directory / "..new"
        new.symlink_to(version.name)
        os.replace(new, self._directory / "mounted")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "c.yaml").write_text(CONFIG)
    return Mounted(tmp_path / "config")


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Daemon]:
    files, config_hash = ReadFiles(), fingerprint(config)
    settings, problems = check(config, environ={}, files=files)
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        config_hash=config_hash,
        reload=lambda daemon: Reloader(config, daemon, config_hash=config_hash, files=files, on_result=daemon.reloaded),
    )
    async with daemon.running():
        yield daemon


async def within_a_minute(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.1)


def served(daemon: Daemon) -> int:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(daemon.admin.address) as plain, context.wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return load_pem_x509_certificate(ssl.DER_cert_to_PEM_cert(shown).encode()).serial_number


async def status(daemon: Daemon, token: str) -> int:
    host, port = daemon.admin.address
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        answer = await client.get(f"https://{host}:{port}/metrics", headers={"authorization": f"Bearer {token}"})
    return answer.status_code


def value(daemon: Daemon, name: str, **labels: str) -> float | None:
    return daemon.metrics.registry.get_sample_value(name, labels)


@pytest.mark.slow
async def test_a_renewed_certificate_and_a_new_token_are_taken_up_and_no_request_fails(
    mounted: Mounted, tmp_path: Path
) -> None:
    mounted.put()
    answers: list[int] = []
    async with running(tmp_path / "config") as daemon:

        async def asking() -> None:
            while True:
                answers.append(await status(daemon, "kept"))

        load = asyncio.create_task(asking())
        before = await asyncio.to_thread(served, daemon)
        expiry = value(daemon, "pushbridge_listener_certificate_expiry_timestamp_seconds", listener="admin")
        mounted.put(token="second")

        async def is_renewed() -> bool:
            return await asyncio.to_thread(served, daemon) != before

        await within_a_minute(is_renewed)
        assert await status(daemon, "second") == 200
        assert await status(daemon, "first") == 401
        load.cancel()
        assert expiry is not None
        assert expiry > 0
    assert set(answers) == {200}


async def test_a_key_of_another_certificate_changes_nothing_and_is_named_until_it_fits(
    mounted: Mounted, tmp_path: Path
) -> None:
    mounted.put()
    async with running(tmp_path / "config") as daemon:
        before = await asyncio.to_thread(served, daemon)
        broken = tmp_path / "config" / "..broken"
        broken.mkdir()
        (broken / "server.pem").write_text("not a certificate")
        (broken / "token").write_text("third")
        mounted.lead_to(broken)

        async def is_refused() -> bool:
            return value(daemon, "pushbridge_config_last_reload_successful") == 0

        await within_a_minute(is_refused)
        assert daemon.reloader is not None
        assert daemon.reloader.refusal is not None
        assert "cert is no certificate" in daemon.reloader.refusal.mistakes[0]
        assert await asyncio.to_thread(served, daemon) == before
        assert await status(daemon, "third") == 401
        mounted.put(token="third")

        async def is_taken() -> bool:
            return await status(daemon, "third") == 200

        await within_a_minute(is_taken)
        assert value(daemon, "pushbridge_config_last_reload_successful") == 1


async def test_a_secret_that_was_absent_is_taken_up_when_it_comes(mounted: Mounted, tmp_path: Path) -> None:
    mounted.put()
    async with running(tmp_path / "config") as daemon:
        token = tmp_path / "config" / "mounted" / "token"
        token.unlink()

        async def is_refused() -> bool:
            return value(daemon, "pushbridge_config_last_reload_successful") == 0

        await within_a_minute(is_refused)
        token.write_text("late")

        async def is_taken() -> bool:
            return await status(daemon, "late") == 200

        await within_a_minute(is_taken)


def test_settings_are_equal_only_while_their_files_hold_the_same(tmp_path: Path) -> None:
    Authority(tmp_path)

    def read() -> Tls:
        return Tls.model_validate({"ca_file": "ca.pem"}, context={"directory": tmp_path})

    first = read()
    assert first == read()
    Authority(tmp_path)
    assert first != read()


async def test_a_certificate_alone_needs_no_restart(mounted: Mounted, tmp_path: Path) -> None:
    mounted.put()
    async with running(tmp_path / "config") as daemon:
        mounted.put()
        assert daemon.reloader is not None
        assert (await daemon.reloader.reload()).restart == []


def test_a_renewed_certificate_of_the_database_needs_no_restart_and_another_file_does(tmp_path: Path) -> None:
    """Each connection reads the files again."""
    address = "postgresql://pushbridge@db.example/push"

    def with_roots(name: str) -> Settings:
        Authority(tmp_path / name)
        store = f'{{ url: "{address}", tls: {{ ca_file: {name}/ca.pem }} }}'
        (tmp_path / "c.yaml").write_text(f"bridge: {{ store: {store} }}\n{REST}")
        settings, problems = check(tmp_path / "c.yaml", environ={})
        assert settings is not None, problems
        return settings

    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    first = with_roots("one")
    renewed = with_roots("one")
    assert first.bridge.store != renewed.bridge.store
    assert waiting_for_restart(first, renewed) == []
    assert waiting_for_restart(first, with_roots("other")) == ["bridge.store"]
