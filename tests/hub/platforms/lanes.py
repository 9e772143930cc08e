"""The senders, each with the stand-in of its push service."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network

from pydantic import SecretStr

from hub.notification import Platform
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.base import Sender
from hub.platforms.fcm.settings import FcmSettings
from hub.platforms.settings import PlatformSettings
from hub.platforms.table import services
from hub.platforms.webpush.settings import WebPushSettings
from hub.platforms.wns.settings import WnsSettings
from hub.push import SendResult
from hub.tls import Tls
from sandbox.service import PushService
from sandbox.services import PushServices
from tests.fakes.pushes import Push, page_of, results_of

PAYLOADS = {
    Platform.APNS: b'{"aps":{"alert":{"title":"Deposit","body":"1,234.56 EUR"}}}',
    Platform.FCM: b'{"message":{"notification":{"title":"Deposit","body":"1,234.56 EUR"}}}',
    Platform.WNS: b"<toast><visual><binding template='ToastGeneric'><text>Deposit</text></binding></visual></toast>",
    Platform.BROWSER: b'{"title":"Deposit","body":"1,234.56 EUR"}',
    Platform("adm"): b'{"data":{"title":"Deposit","body":"1,234.56 EUR"}}',
    Platform("xiaomi"): b'{"title":"Deposit","description":"1,234.56 EUR"}',
    Platform("huawei"): b'{"message":{"notification":{"title":"Deposit","body":"1,234.56 EUR"}}}',
    Platform("baidu"): b'{"title":"Deposit","description":"1,234.56 EUR"}',
    Platform("mpns"): b'<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>a</wp:Text1></wp:Toast>'
    b"</wp:Notification>",
}


class Lane:
    """A sender, the stand-in it sends to, and pushes for phones that the stand-in knows."""

    def __init__(self, services: PushServices, sender: Sender) -> None:
        self.services = services
        self.sender = sender
        self.service: PushService = services.by_platform[sender.platform.value]
        self.is_batched = sender.platform.value in ("huawei", "xiaomi")
        """Whether neighbours that are alike are one request, with the id of the first."""
        self._ids: dict[str, str] = {}

    async def send(self, pushes: Sequence[Push], *, deadline: float = 60.0) -> list[SendResult]:
        """One result a push, in order."""
        return results_of(await self.sender.send(page_of(pushes), deadline=deadline))

    def pushes(self, count: int, *, first: int = 0) -> list[Push]:
        return [self.push(first + number) for number in range(count)]

    def push(self, number: int) -> Push:
        channel = self.services.make_handle(self.sender.platform.value, number)
        self.service.register(channel)
        self._ids[channel] = str(uuid.uuid4())
        return Push(id=self._ids[channel], push_channel=channel, payload=PAYLOADS[self.sender.platform])

    def taken(self) -> Counter[str]:
        """How often the service took each push."""
        accepted = self.services.journal.accepted()
        return Counter(self._ids[entry.handle] if self.is_batched else entry.push_id for entry in accepted)


def apns_settings(services: PushServices) -> ApnsSettings:
    credential = services.apns_credential
    return ApnsSettings(
        key=SecretStr(credential.key_file.read_text()),
        key_id=credential.key_id,
        team_id=credential.team_id,
        topic=credential.topic,
        endpoint=credential.endpoint,
        tls=Tls(ca_file=services.ca_file),
    )


def fcm_settings(services: PushServices) -> FcmSettings:
    credential = services.fcm_credential
    return FcmSettings(
        service_account=SecretStr(credential.service_account_file.read_text()),
        endpoint=credential.endpoint,
        tls=Tls(ca_file=services.ca_file),
    )


def wns_settings(services: PushServices) -> WnsSettings:
    credential = services.wns_credential
    return WnsSettings(
        tenant=credential.tenant,
        client_id=credential.client_id,
        client_secret=SecretStr(credential.client_secret),
        token_url=credential.token_url,
        allowed_hosts=(credential.allowed_host,),
        tls=Tls(ca_file=services.ca_file),
    )


def webpush_settings(services: PushServices) -> WebPushSettings:
    credential = services.webpush_credential
    return WebPushSettings(
        key=SecretStr(credential.key_file.read_text()),
        subject=credential.subject,
        private_networks=(IPv4Network(credential.network),),
        navigate="https://bank.example/inbox",
        tls=Tls(ca_file=services.ca_file),
    )


_SETTINGS: Mapping[str, Callable[[PushServices], PlatformSettings]] = {
    "apns": apns_settings,
    "fcm": fcm_settings,
    "wns": wns_settings,
    "webpush": webpush_settings,
}

NAMES = tuple(each.name for each in services())
"""All push services, by their keys in `hubs.NAME.platforms`."""


def lane_of(name: str, running: PushServices) -> Lane:
    """A lane of any push service."""
    traits = next(each for each in services() if each.name == name)
    if name in _SETTINGS:
        settings = _SETTINGS[name](running)
    else:
        settings = traits.settings(**running.vendors.settings()[name], tls=Tls(ca_file=running.ca_file))
    return Lane(running, traits.sender(settings))
