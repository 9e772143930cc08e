"""`pushbridge doctor`: look at what a configuration needs of this machine, and say the cure."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.clocks import clock_findings
from bridge.cli.command import Answer, answer_command
from bridge.cli.exits import Exit
from bridge.cli.process import print_problems
from bridge.counts import how_many

if TYPE_CHECKING:
    from bridge.config.models.document import Settings
    from bridge.config.models.sources import SourceSettings
    from bridge.schemas.settings import RegistrySettings
    from hub.host_time import HostTime
    from hub.notification import Platform
    from hub.oidc.settings import OidcSettings
    from hub.platforms.settings import PlatformSettings
    from hub.store.findings import Finding

_SOON = 30 * 86_400.0
"""Seconds before the end of a push service's credential from which on it is to be renewed, as the alert has it."""

_PROBE_TIMEOUT = 30.0
"""Seconds for a source to be looked at."""

OptionalConfig = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[CONFIG]...",
        envvar="PUSHBRIDGE_CONFIG",
        help="YAML files and directories of them; without one the default store in this directory is looked at.",
        show_default=False,
    ),
]


@answer_command
def doctor(
    config: OptionalConfig = None,
    token: Annotated[
        str, typer.Option(help="A token of FCM or Huawei, to which a push is sent that is looked at and not shown.")
    ] = "",
) -> Answer:
    """Look at the store's disk, file and schema, and whether sources could start and who is asked lets us in.

    Schema registries, remote hubs, push services and providers of OpenID Connect are asked, and their clocks compared with
    this machine's. No phone is reached. A daemon may run at the same time.

    Nothing is consumed, and nothing is created at a broker.
    """
    from bridge.config.load import check as read
    from hub.store.findings import Health

    settings = None
    if config:
        settings, problems = read(config)
        print_problems(problems)
        if settings is None:
            raise typer.Exit(Exit.MISTAKES)
    store, found = _examined(settings)
    asked = {} if settings is None else dict(asyncio.run(_asked(settings, token)))
    failed = any(finding.health is Health.FAILED for part in (found, *asked.values()) for finding in part)
    certificates = [] if settings is None else _certificates(settings, time.time())
    failed |= any(finding.health is Health.FAILED for finding in certificates)
    asked["certificates"] = certificates
    content = {"store": store, "checks": _plain(found), **{name: _plain(asked.get(name, ())) for name in _PARTS}}
    return Answer(content, _print_checks, Exit.FAILED if failed else Exit.DONE)


_PARTS = {
    "certificates": "certificates of listeners",
    "sources": "sources",
    "remotes": "remote hubs",
    "push_services": "push services",
    "providers": "providers of OpenID Connect",
    "clock": "clock",
}
"""What is looked at beside the store, and what it is called."""
_ASKED = ("sources", "remotes", "push_services", "providers")

_RENEW = "renew it, and put it in the place of the old one: it is taken up without a restart"


def _certificates(settings: "Settings", now: float) -> "list[Finding]":
    """Whether clients take the certificate of each listener, and for how long."""
    from bridge.config.ended import SOON, ends_of, good_until, refused
    from hub.store.findings import Finding, Health

    found = []
    for name, begins, ends in ends_of(settings.listeners):
        why = refused(begins, ends, now)
        is_soon = ends - now < SOON
        health = Health.FAILED if why else Health.WARNING if is_soon else Health.OK
        found.append(
            Finding(name=name, health=health, text=why or good_until(ends, now), cure=_RENEW if why or is_soon else "")
        )
    return found


async def _asked(settings: "Settings", token: str) -> "Mapping[str, list[Finding]]":
    """What was found of each of `_ASKED`, and of the clock by what they answered."""
    clocks: list[HostTime] = []
    found = await asyncio.gather(
        _probed(settings, clocks),
        _remotes(settings, clocks),
        _push_services(settings, token, clocks),
        _providers(settings, clocks),
    )
    return {**dict(zip(_ASKED, found, strict=True)), "clock": clock_findings(clocks)}


async def _push_services(settings: "Settings", token: str, clocks: "list[HostTime]") -> "list[Finding]":
    """What each credential says when it is tried, side by side."""
    looks = [
        _look_at_service(name, platform, credential, token, clocks)
        for name, hub in settings.hubs.items()
        for platform, credential in hub.platforms.settings.items()
    ]
    return [finding for found in await asyncio.gather(*looks) for finding in found]


async def _look_at_service(
    hub: str, platform: "Platform", credential: "PlatformSettings", token: str, clocks: "list[HostTime]"
) -> "list[Finding]":
    from hub.platforms.table import traits_of
    from hub.store.findings import Finding, Health

    traits = traits_of(platform)
    seen = await traits.look(credential.for_hub(hub), push_channel=token)
    clocks += [each.host_time for each in seen if each.host_time is not None]
    ends = traits.expires_at(credential)
    if ends is not None and 0 < ends.timestamp() - time.time() < _SOON:
        name, text = f"{hub}/{traits.name}", f"its credential ends on {ends:%Y-%m-%d}"
        cure = "make a new one at the push service, and put it in the place of the old one"
        ending = [Finding(name=name, health=Health.WARNING, text=text, cure=cure)]
    else:
        ending = []
    return ending + [
        Finding(
            name=f"{hub}/{traits.name}",
            health=Health.FAILED if each.cure else Health.OK,
            text=each.text,
            cure=each.cure,
        )
        for each in seen
    ]


async def _providers(settings: "Settings", clocks: "list[HostTime]") -> "list[Finding]":
    """Whether the keys of each provider of tokens can be had."""
    providers = {provider.issuer: provider for provider in _providers_in(settings)}
    return list(await asyncio.gather(*(_look_at_provider(each, clocks) for each in providers.values())))


async def _look_at_provider(provider: "OidcSettings", clocks: "list[HostTime]") -> "Finding":
    from hub.oidc.errors import ProviderError
    from hub.oidc.keys import ProviderKeys
    from hub.store.findings import Finding, Health

    keys = ProviderKeys(provider)
    try:
        count = await keys.look()
    except ProviderError as error:
        cure = "see that the issuer is right, that it runs, and that nothing on the way stops the connection"
        return Finding(name=provider.issuer, health=Health.FAILED, text=str(error), cure=cure)
    finally:
        if keys.host_time is not None:
            clocks.append(keys.host_time)
    if not count:
        return Finding(
            name=provider.issuer,
            health=Health.FAILED,
            text=f"it has no key for {', '.join(provider.algorithms)}",
            cure="name in `algorithms` how it signs",
        )
    return Finding(name=provider.issuer, health=Health.OK, text=f"answers, with {how_many(count, 'usable key')}")


def _providers_in(settings: "Settings") -> "Iterator[OidcSettings]":
    """Of administrators, of senders of events, of back ends and of phones."""
    admin = settings.listeners.admin.auth
    if admin is not None and admin.oidc is not None:
        yield admin.oidc
    for source in settings.sources.values():
        auth = getattr(source.connector_settings, "auth", None)
        if (oidc := getattr(auth, "oidc", None)) is not None:
            yield oidc
    for hub in settings.hubs.values():
        if hub.auth.oidc is not None:
            yield hub.auth.oidc
        if hub.registration is not None:
            yield hub.registration.auth.oidc


async def _remotes(settings: "Settings", clocks: "list[HostTime]") -> "list[Finding]":
    """Whether each remote hub answers and takes our key; one that is mirrored is managed too."""
    remotes = {name: hub for name, hub in settings.hubs.items() if hub.remote is not None}
    if not remotes:
        return []
    from bridge.senders import remote_settings_of
    from hub.delivery.remote_api import RemoteApi
    from hub.moving.looking import look

    apis = {
        name: RemoteApi(remote_settings_of(name, hub.remote)) for name, hub in remotes.items() if hub.remote is not None
    }
    try:
        looks = [look(name, api, clocks, manages=remotes[name].mirror is not None) for name, api in apis.items()]
        return list(await asyncio.gather(*looks))
    finally:
        for api in apis.values():
            await api.close()


async def _probed(settings: "Settings", clocks: "list[HostTime]") -> "list[Finding]":
    """Whether each source could start, and whether each schema registry lets us in, side by side."""
    probes = [_probe(name, source) for name, source in settings.sources.items()]
    registries = [(name, source.decode.registry) for name, source in settings.sources.items()]
    looks = [_look(name, registry, clocks) for name, registry in registries if registry is not None]
    return list(await asyncio.gather(*probes, *looks))


async def _look(name: str, registry: "RegistrySettings", clocks: "list[HostTime]") -> "Finding":
    from bridge.schemas.client import LookupFailedError, RegistryRefusedError, look
    from hub.store.findings import Finding, Health

    try:
        await look(registry, clocks)
    except LookupFailedError as error:
        cure = "see that the address is right, the registry runs, and nothing on the way stops the connection"
        if isinstance(error, RegistryRefusedError):
            cure = "look at registry.auth, and at what the registry allows it: reading subjects and schemas is enough"
        return Finding(name=name, health=Health.FAILED, text=str(error), cure=cure)
    return Finding(name=name, health=Health.OK, text=f"schema registry {registry.url[0]}: answers, and lets us in")


async def _probe(name: str, source: "SourceSettings") -> "Finding":
    from connectors.errors import AuthenticationError, SourceError, TopologyError
    from hub.store.findings import Finding, Health

    connector = source.connector
    if connector.probe is None:
        return Finding(name=name, health=Health.OK, text=f"{connector.title}: nothing to connect to")
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT):
            await connector.probe(name, source.connector_settings)
    except (SourceError, TimeoutError) as error:
        match error:
            case AuthenticationError():
                cure = "look at the credentials, and at what the broker allows them"
            case TopologyError():
                cure = "create or change what is named, here or at the broker"
            case _:
                cure = "see that the address is right, the broker runs, and nothing on the way stops the connection"
        text = str(error).removeprefix(f"{name}: ") or f"no answer within {_PROBE_TIMEOUT:g} s"
        return Finding(name=name, health=Health.FAILED, text=f"{connector.title}: {text}", cure=cure)
    return Finding(name=name, health=Health.OK, text=f"{connector.title}: could start; nothing was consumed")


def _examined(settings: "Settings | None") -> "tuple[str, Sequence[Finding]]":
    """What the store is called, and what was found; without settings it is the default one in this directory."""
    from bridge.config.models.store import StoreSettings
    from bridge.config.unstored import has_an_outbox, may_be_lost

    if settings is not None and settings.bridge.store.is_postgres:
        from bridge.stores import address_of
        from hub.store.postgres import examine as postgres

        return settings.store_name, postgres.examine(address_of(settings))
    from hub.store.sqlite import examine as sqlite

    store = StoreSettings() if settings is None else settings.bridge.store
    path = store.path(Path() if settings is None else settings.directory)
    if settings is None:
        return str(path), sqlite.examine(path, allow_ephemeral=False)
    return str(path), sqlite.examine(
        path, allow_ephemeral=may_be_lost(settings), must_last=has_an_outbox(settings.hubs)
    )


def _plain(found: "Sequence[Finding]") -> list[dict[str, Any]]:
    return [
        {"name": each.name, "health": each.health.value, "text": each.text, "cure": each.cure or None} for each in found
    ]


def _print_checks(content: Mapping[str, Any]) -> None:
    typer.echo(f"store {content['store']}")
    _print(content["checks"])
    for name, title in _PARTS.items():
        if content[name]:
            typer.echo(title)
            _print(content[name])


def _print(checks: Sequence[Mapping[str, Any]]) -> None:
    width = max([12, *(len(check["name"]) for check in checks)])
    for check in checks:
        typer.echo(f"  {check['health']:8} {check['name']:{width}} {check['text']}")
        if check["cure"]:
            typer.echo(f"  {'':8} {'':{width}} cure: {check['cure']}")
