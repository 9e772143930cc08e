"""From the credentials of a configuration to the senders that use them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.config.credentials import Apns, Fcm, Wns
from bridge.config.models import HubSettings
from hub.delivery.bulkhead import Destination
from hub.delivery.remote_settings import RemoteSettings
from hub.notification import Notification, Platform
from hub.platforms.base import Sender


def senders_of(hubs: Mapping[str, HubSettings]) -> dict[tuple[str, Platform], Sender]:
    """A sender for each credential; building them connects to nothing.

    libcurl and cryptography are imported here, so that a process without credentials has neither in its memory.
    """
    senders: dict[tuple[str, Platform], Sender] = {}
    for name, hub in hubs.items():
        if hub.platforms.apns is not None:
            senders[name, Platform.APNS] = _apns(hub.platforms.apns)
        if hub.platforms.fcm is not None:
            senders[name, Platform.FCM] = _fcm(hub.platforms.fcm)
        if hub.platforms.wns is not None:
            senders[name, Platform.WNS] = _wns(hub.platforms.wns)
    return senders


def remotes_of(hubs: Mapping[str, HubSettings]) -> dict[str, Destination[Sequence[Notification]]]:
    """A client for each hub that is elsewhere; building them connects to nothing."""
    remotes: dict[str, Destination[Sequence[Notification]]] = {}
    for name, hub in hubs.items():
        if hub.remote is not None:
            from hub.delivery.remote import RemoteHub

            settings = RemoteSettings.from_connection_string(
                hub.remote.connection_string.get_secret_value(),
                hub=hub.remote.hub or name,
                ca_file=_text(hub.remote.ca_file),
            )
            remotes[name] = RemoteHub(settings)
    return remotes


def _apns(apns: Apns) -> Sender:
    from hub.platforms.apns.sender import ApnsSender, ApnsSettings

    return ApnsSender(
        ApnsSettings(
            key=apns.key.get_secret_value(),
            key_id=apns.key_id,
            team_id=apns.team_id,
            topic=apns.topic,
            environment=apns.environment,
            endpoint=apns.endpoint,
            ca_file=_text(apns.ca_file),
        )
    )


def _fcm(fcm: Fcm) -> Sender:
    from hub.platforms.fcm.sender import FcmSender, FcmSettings

    account = fcm.service_account.get_secret_value()
    return FcmSender(FcmSettings.from_service_account(account, endpoint=fcm.endpoint, ca_file=_text(fcm.ca_file)))


def _wns(wns: Wns) -> Sender:
    from hub.platforms.wns.sender import WnsSender, WnsSettings

    hosts = [host.removeprefix(".") for host in wns.allowed_hosts]
    return WnsSender(
        WnsSettings(
            tenant=wns.tenant,
            client_id=wns.client_id,
            client_secret=wns.client_secret.get_secret_value(),
            token_url=wns.token_url,
            allowed_hosts=(*hosts, *(f".{host}" for host in hosts)),  # a host and all below it
            ca_file=_text(wns.ca_file),
        )
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
