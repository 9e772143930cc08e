"""From the credentials of a configuration to the senders that use them."""

from collections.abc import Callable, Mapping, Sequence

from bridge.config.models.credentials import Remote
from bridge.config.models.hubs import HubSettings
from hub.delivery.bulkhead import Destination
from hub.delivery.remote_settings import RemoteSettings
from hub.notification import Notification, Platform
from hub.origin import Origin
from hub.platforms.base import Sender
from hub.platforms.table import traits_of


def senders_of(hubs: Mapping[str, HubSettings]) -> dict[tuple[str, Platform], Sender]:
    """A sender for each credential; building them connects to nothing.

    libcurl and cryptography are imported here, so that a process without credentials has neither in its memory.
    """
    senders: dict[tuple[str, Platform], Sender] = {}
    for name, hub in hubs.items():
        for platform, settings in hub.platforms.settings.items():
            senders[name, platform] = traits_of(platform).sender(settings.for_hub(name))
    return senders


def expiries_of(hubs: Mapping[str, HubSettings]) -> dict[tuple[str, Platform], float]:
    """When credentials end that say so, in seconds since 1970 UTC."""
    found = {
        (name, platform): traits_of(platform).expires_at(settings)
        for name, hub in hubs.items()
        for platform, settings in hub.platforms.settings.items()
    }
    return {key: moment.timestamp() for key, moment in found.items() if moment is not None}


def remotes_of(
    hubs: Mapping[str, HubSettings],
    *,
    on_sent: Callable[[Notification, str], None],
    origin_of: Callable[[Notification], Origin | None],
) -> dict[str, Destination[Sequence[Notification]]]:
    """A client for each remote hub; building them connects to nothing. Of those that are mirrored, `on_sent` is told.

    `origin_of` says which event caused a notification.
    """
    remotes: dict[str, Destination[Sequence[Notification]]] = {}
    for name, hub in hubs.items():
        if hub.remote is not None and hub.is_remote:
            from hub.delivery.remote import RemoteHub

            settings = remote_settings_of(name, hub.remote)
            remotes[name] = RemoteHub(settings, on_sent=on_sent if hub.is_mirrored else None, origin_of=origin_of)
    return remotes


def remote_settings_of(name: str, remote: Remote) -> RemoteSettings:
    """Where the remote hub is that is called `name` here."""
    return RemoteSettings.from_connection_string(
        remote.connection_string.get_secret_value(), hub=remote.hub or name, egress=remote
    )
