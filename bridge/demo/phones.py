"""Who takes part: the phones, desktops and browsers of three people, and what each registers for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bridge.admin.console.phones import Phone, Shown
from sandbox.journal import Journal
from sandbox.phones import VirtualPhone
from sandbox.sas import shared_access_signature
from sandbox.services import PushServices

HUB = "demo"
POLICY = "DefaultListenSharedAccessSignature"
SENDING_POLICY = "DefaultSendSharedAccessSignature"

_LATEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPhone:
    """One device: whose it is, and the tags it registers with."""

    id: str
    name: str
    platform: str
    user: str
    tags: tuple[str, ...] = ()


ROLES = (
    DemoPhone(
        id="anna-iphone",
        name="Anna's iPhone",
        platform="apns",
        user="anna",
        tags=("team:hr", "customer:4711", "topic:debits"),
    ),
    DemoPhone(
        id="ben-android",
        name="Ben's Android",
        platform="fcmv1",
        user="ben",
        tags=("team:hr", "customer:4712", "topic:debits"),
    ),
    DemoPhone(id="maria-android", name="Maria's Android", platform="fcmv1", user="maria", tags=("role:manager",)),
    DemoPhone(id="anna-pc", name="Anna's PC", platform="wns", user="anna", tags=("team:hr", "customer:4711")),
    DemoPhone(id="maria-pc", name="Maria's PC", platform="wns", user="maria", tags=("role:manager",)),
    DemoPhone(
        id="ben-browser", name="Ben's browser", platform="browser", user="ben", tags=("team:hr", "customer:4712")
    ),
)

TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "apns": {"body": '{"aps": {"alert": {"title": "$(title)", "body": "$(body)"}, "sound": "default"}}'},
    "fcmv1": {"body": '{"message": {"notification": {"title": "$(title)", "body": "$(body)"}}}'},
    "wns": {
        "body": '<toast><visual><binding template="ToastGeneric">'
        "<text>$(title)</text><text>$(body)</text></binding></visual></toast>",
        "headers": {"X-WNS-Type": "wns/toast"},
    },
    "browser": {"body": '{"notification": {"title": "$(title)", "body": "$(body)"}}'},
}
"""What each platform's app registers as its template."""


class DemoPhones:
    """All phones of the demo, switched on; the page asks it what they show."""

    def __init__(self, services: PushServices, roles: Sequence[DemoPhone] = ROLES) -> None:
        self._journal: Journal = services.journal
        self.devices = [(role, services.add_phone(role.id, role.platform)) for role in roles]

    async def register(self, client: httpx.AsyncClient, hub_url: str, *, key: str) -> None:
        """Put every phone's installation into the hub, as its app would.

        Raises: RegistrationError: the hub refuses one.
        """
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        for role, phone in self.devices:
            await phone.register(
                client,
                hub_url,
                HUB,
                authorize=lambda url: shared_access_signature(url, key_name=POLICY, key=key, expires_at=expires_at),
                user_id=role.user,
                tags=role.tags,
                templates={"main": TEMPLATES[role.platform]},
            )

    def phones(self) -> Sequence[Phone]:
        return [
            Phone(
                id=role.id,
                name=role.name,
                platform=role.platform,
                user=role.user,
                tags=role.tags,
                screen=_screen(phone),
            )
            for role, phone in self.devices
        ]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self._journal.subscribe(lambda _: listener())


def _screen(phone: VirtualPhone) -> Sequence[Shown]:
    return [
        Shown(push_id=one.push_id, at=one.at, title=one.title, subtitle=one.subtitle, body=one.body)
        for one in phone.screen[-_LATEST:]
    ]
