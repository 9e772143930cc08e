"""`pushbridge demo`: everything on this machine, in a temporary directory, until Ctrl-C."""

import asyncio
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from bridge.admin.console.routes import console
from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.demo.phones import DemoPhones
from bridge.demo.show import DemoRun, bearer_token, http_settings
from bridge.demo.summary import as_text
from bridge.errors import BridgeError
from bridge.observe import log
from sandbox.servicebus import ServiceBus
from sandbox.services import PushServices

CONFIGURATION = Path(__file__).parent / "demo.yaml"
HOST = "127.0.0.1"

JSON_EXIT_AFTER = 20.0
"""Seconds after which `--json` ends without `--seconds`."""

_WELCOME = """
pushbridge demo

  Look here        {page}
  Post an event    curl -H 'Authorization: Bearer {token}' -H 'Content-Type: text/plain' \\
                     -d "Employee Id '777' has joined." {page}in/hr
  Send to a topic  {bus}
  Phones register  {hub}

"""


class DemoError(BridgeError):
    """The demo cannot be shown: its configuration has mistakes."""


async def demo(
    *, exit_after: float | None = None, json: bool = False, port: int = 8080, configuration: Path = CONFIGURATION
) -> int:
    """Show everything until SIGINT or SIGTERM; 0.

    With `exit_after` only the first events come, and the end comes by itself: a quiet second after everything
    expected has arrived, or after so many seconds. 0 if every phone got exactly what it was meant to get; else 1, and
    stderr says what differs. `json` prints a summary as JSON and nothing else on stdout; without `exit_after` it sets
    20 s. If `port` is taken the page is on a free one, and it says so.

    Raises: DemoError, ListenError, StoreError: it cannot start.
    """
    started = time.monotonic()
    if json and exit_after is None:
        exit_after = JSON_EXIT_AFTER
    say = partial(print, file=sys.stderr if json else sys.stdout, flush=True)
    with _stop_signals() as stop, TemporaryDirectory(prefix="pushbridge-demo-") as directory:
        async with PushServices(Path(directory)) as services, ServiceBus() as broker, AsyncExitStack() as closing:
            hub_key = secrets.token_urlsafe(32)
            environ = _credentials(services, broker) | {
                "DIRECTORY": directory,
                "HUB_KEY": hub_key,
                "PORT": str(_free_port(port, say)),
            }
            settings = _settings(configuration, environ)
            log.configure(settings.bridge.log.level, sys.stderr, json=settings.bridge.log.format == "json")
            phones = DemoPhones(services)
            daemon = Daemon(settings, console=partial(console, phones=phones))
            async with daemon.running(), httpx.AsyncClient(trust_env=False, timeout=30) as client:
                show = DemoRun(daemon, phones, client, journal=services.journal, broker=broker, hub_key=hub_key)
                token = bearer_token(http_settings(settings, "hr"))
                say(_WELCOME.format(page=show.page_url, bus=broker.connection_string, hub=show.hub_url, token=token))
                if exit_after is None:
                    say("  Ctrl-C ends it and leaves nothing behind.\n")
                    await _until(stop, show.go_on(), closing)
                    return 0
                seconds = exit_after + started - time.monotonic()
                ended_by = await _until(stop, show.play(), closing, seconds=seconds)
                summary = {"ended_by": ended_by, "seconds": round(time.monotonic() - started, 2)} | show.summary()
    return _reported(summary, json=json)


def _reported(summary: Mapping[str, Any], *, json: bool) -> int:
    """Print the summary and what differs; the exit code."""
    print(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode() if json else as_text(summary), flush=True)
    for difference in summary["differences"]:
        print(difference, file=sys.stderr)
    return 0 if summary["ok"] else 1


async def _until(
    stop: asyncio.Event,
    performance: Coroutine[Any, Any, None],
    closing: AsyncExitStack,
    *,
    seconds: float | None = None,
) -> str:
    """Run to the end, until stopped, or for so many seconds; which of these it was: complete, signal or time.

    A performance that did not end is cancelled, and waited for by `closing`: closing a sender of the Service Bus SDK
    takes half a second, in which the daemon can stop as well.
    """
    performing, stopping = asyncio.create_task(performance), asyncio.create_task(stop.wait())
    closing.push_async_callback(asyncio.wait, [performing, stopping])
    done, pending = await asyncio.wait([performing, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if performing in done:
        performing.result()
        return "complete"
    return "signal" if stopping in done else "time"


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Set at the first SIGINT or SIGTERM; a second one ends the process at once, as signals do."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def restore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        stop.set()
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        restore()


def _settings(configuration: Path, environ: Mapping[str, str]) -> Settings:
    settings, problems = check(configuration, environ)
    if settings is None:
        raise DemoError("\n".join(str(problem) for problem in problems))
    return settings


def _credentials(services: PushServices, broker: ServiceBus) -> dict[str, str]:
    """What the stand-ins hand out, by the variables of the configuration."""
    apns, fcm, wns = services.apns_credential, services.fcm_credential, services.wns_credential
    webpush = services.webpush_credential
    return {
        "SERVICEBUS": broker.connection_string,
        "SERVICEBUS_ADMINISTRATION": f"http://{HOST}:{broker.port}",
        "CA_FILE": str(services.ca_file),
        "APNS_KEY": apns.key_file.read_text(),
        "APNS_KEY_ID": apns.key_id,
        "APNS_TEAM_ID": apns.team_id,
        "APNS_TOPIC": apns.topic,
        "APNS_ENDPOINT": apns.endpoint,
        "FCM_SERVICE_ACCOUNT": fcm.service_account_file.read_text(),
        "FCM_ENDPOINT": fcm.endpoint,
        "WNS_TENANT": wns.tenant,
        "WNS_CLIENT_ID": wns.client_id,
        "WNS_CLIENT_SECRET": wns.client_secret,
        "WNS_TOKEN_URL": wns.token_url,
        "WNS_HOST": wns.allowed_host,
        "VAPID_KEY": webpush.key_file.read_text(),
        "VAPID_SUBJECT": webpush.subject,
        "BROWSER_NETWORK": webpush.network,
    }


def _free_port(port: int, say: Callable[[str], None]) -> int:
    """`port` if it can be had, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            say(f"Port {port} cannot be used ({error.strerror}); taking a free one instead.")
            return 0
    return port
