"""What `pushbridge sandbox` runs: stand-ins of Service Bus and of the push services, on loopback."""

import asyncio
import json
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import typer

from bridge.admin.listener import Listener
from bridge.config.models.listeners import Listen
from hub.platforms.table import services as push_services
from sandbox.credentials import write_secret
from sandbox.journal_app import journal_app
from sandbox.server import HOST
from sandbox.servicebus import EntityExistsError, ServiceBus
from sandbox.services import PushServices
from sandbox.tls import Authority

POLICY = "Full"
"""The access policy of the printed hub."""

JOURNAL = "journal"

PLACES = ("apns", "fcmv1", "wns", JOURNAL, "browser", "adm", "xiaomi", "huawei", "baidu", "mpns")
"""What listens at `--push-port` and the ports after it."""

_JOURNAL_SIZE = 10_000
"""Entries of the journal that are kept: 50 MB, if all payloads are as large as a push service takes."""


async def serve(
    *,
    port: int,
    state: Path | None,
    config: Path | None,
    queues: Sequence[str],
    topics: Sequence[str],
    tls: Path | None,
    push: Path | None = None,
    push_port: int = 0,
) -> None:
    """Run the broker until SIGTERM or Ctrl-C, and print what clients need; entities that are there already stay.

    `tls` is a directory for the CA's certificate, made if missing. `push` is one for the credentials of the push services,
    which run with it alone: at `push_port` and the ports after it.

    Raises: OSError, ListenError: a port is taken, or a file cannot be read; sqlite3.Error: the state file cannot be used;
    SandboxError: an entity cannot be, or the credentials are none.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows, where Ctrl-C cancels instead
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(ServiceBus(port=port, state_file=state, authority=_authority(tls)))
        if config is not None:
            broker.create_entities(config)
        for name in queues:
            with suppress(EntityExistsError):
                broker.create_queue(name)
        for name in topics:
            with suppress(EntityExistsError):
                broker.create_topic(name)
        typer.echo(f"Service Bus stand-in on 127.0.0.1:{broker.port}, state {state or 'in memory'}")
        typer.echo(f"connection string: {broker.connection_string}")
        typer.echo(f"TLS and administration on the same port; trust {broker.ca_file}")
        if push is not None:
            await _serve_push(stack, push_port, push)
        await stopped.wait()


async def _serve_push(stack: AsyncExitStack, port: int, directory: Path) -> None:
    """Start the push services and their journal; print the hub that uses them, which is in `hub.yaml` beside its key."""
    key_file = _hub_key(directory)
    places = {name: port + place if port else 0 for place, name in enumerate(PLACES)}
    services = await stack.enter_async_context(
        PushServices(
            key_file.parent,
            ports=places,
            accept_unknown=True,
            keep=True,
            journal_size=_JOURNAL_SIZE,
        )
    )
    listener = Listener(journal_app(services.journal), Listen(HOST, places[JOURNAL]), name="journal")
    await listener.open()
    stack.push_async_callback(listener.close)
    typer.echo(
        f"stand-ins of push services, credentials in {key_file.parent}; they take pushes for any well-formed channel:"
    )
    for platform in services.by_platform:
        if platform not in _retired():
            typer.echo(f"  {platform} {services.make_handle(platform, 1)}")
    typer.echo(f"the last {_JOURNAL_SIZE:,} pushes they were sent: http://{HOST}:{listener.address.port}/journal")
    hub = hub_block(services, key_file)
    hub_file = key_file.with_name("hub.yaml")
    write_secret(hub_file, hub.encode())
    typer.echo(f"\n# A hub that sends to them, for the configuration of pushbridge; it is in {hub_file}:")
    typer.echo(hub)


def _hub_key(directory: Path) -> Path:
    """The file of the key that phones and backends sign with, made once with its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    key_file = directory.absolute() / "hub-key"
    if not key_file.exists():
        write_secret(key_file, secrets.token_urlsafe(32).encode())
    return key_file


def hub_block(services: PushServices, key_file: Path) -> str:
    """The section `hubs` of a configuration that uses these services; secrets stay in their files."""
    apns, fcm, wns = services.apns_credential, services.fcm_credential, services.wns_credential
    webpush = services.webpush_credential
    secret_file = key_file.with_name("wns-client-secret")  # the stand-ins of the others take it too
    write_secret(secret_file, wns.client_secret.encode())
    ca_file = _text(str(services.ca_file))
    return f"""\
hubs:
  sandbox:
    auth:
      sas:
        - {{ name: {POLICY}, rights: [Listen, Send, Manage], key: {_file(key_file)} }}
    platforms:
      apns:
        key: {_file(apns.key_file)}
        key_id: {_text(apns.key_id)}
        team_id: {_text(apns.team_id)}
        topic: {_text(apns.topic)}
        endpoint: {_text(apns.endpoint)}
        tls: {{ ca_file: {ca_file} }}
      fcm:
        service_account: {_file(fcm.service_account_file)}
        endpoint: {_text(fcm.endpoint)}
        tls: {{ ca_file: {ca_file} }}
      wns:
        tenant: {_text(wns.tenant)}
        client_id: {_text(wns.client_id)}
        client_secret: {_file(secret_file)}
        token_url: {_text(wns.token_url)}
        allowed_hosts: [{_text(wns.allowed_host)}]
        tls: {{ ca_file: {ca_file} }}
      webpush:
        key: {_file(webpush.key_file)}
        subject: {_text(webpush.subject)}
        private_networks: [{_text(webpush.network)}]
        tls: {{ ca_file: {ca_file} }}
""" + "".join(
        _vendor_block(name, own, secret_file, ca_file)
        for name, own in services.vendors.settings().items()
        if name not in _retired()
    )


def _retired() -> set[str]:
    """Services that the printed hub leaves out, as `check` would warn of them."""
    return {each.name for each in push_services() if each.retired}


def _vendor_block(name: str, settings: Mapping[str, Any], secret_file: Path, ca_file: str) -> str:
    """The section of one platform whose secret is in a file."""
    lines = [
        f"        {key}: {_file(secret_file) if key.endswith(('secret', 'secret_key')) else json.dumps(value)}\n"
        for key, value in settings.items()
    ]
    return f"      {name}:\n{''.join(lines)}        tls: {{ ca_file: {ca_file} }}\n"


def _file(path: Path) -> str:
    return _text(f"${{file:{path}}}")


def _text(value: str) -> str:
    """A text as JSON, which is YAML whatever characters it has."""
    return json.dumps(value, ensure_ascii=False)


def _authority(directory: Path | None) -> Authority | None:
    """A CA whose certificate is in `directory`; without one the broker makes its own for the while it runs."""
    if directory is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    return Authority(directory)
