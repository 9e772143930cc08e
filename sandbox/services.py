"""All push services of a sandbox together, with one CA, one journal, and the credentials a sender needs for them."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.apns import Apns
from sandbox.credentials import Issued, pem, write_secret
from sandbox.fcm import Fcm
from sandbox.journal import Clock, Journal, utc_now
from sandbox.phones import VirtualPhone
from sandbox.provider_certificate import ProviderCertificates
from sandbox.provider_token import ProviderKey
from sandbox.server import HOST
from sandbox.service import PushService
from sandbox.subscriptions import base64url, raw_point
from sandbox.tls import Authority
from sandbox.vendors import Vendors
from sandbox.webpush import WebPush
from sandbox.wns import STORE_PATH, Wns

TOPIC = "com.example.pushbridge"
PACKAGE_SID = "ms-app://s-1-15-2-1000001"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsCredential:
    """What Apple would have handed out; `key_file` is the `.p8`."""

    endpoint: str
    key_file: Path
    key_id: str
    team_id: str
    topic: str
    certificate_file: Path
    """A `.p12` for the same app, in place of the key; its password is `certificate_password`."""
    certificate_password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmCredential:
    """What Google would have handed out; the service account's `token_uri` is ours."""

    endpoint: str
    service_account_file: Path
    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsCredential:
    """What Microsoft would have handed out, and where channels of this sandbox live."""

    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    token_url: str
    allowed_host: str
    package_sid: str
    """The same secret's app of the Microsoft Store, which asks for tokens at `store_token_url`."""
    store_token_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushCredential:
    """What a site makes for itself; `public_key` is what its pages subscribe with.

    Endpoints of this sandbox's browsers are in `network`, a private one.
    """

    key_file: Path
    public_key: str
    subject: str
    network: str


class PushServices:
    """All on loopback: `async with PushServices(directory) as services`.

    `directory` has to exist. CA and credentials are new ones, with `keep` those that `directory` has already; the
    credential files and the endpoints are there once started. Ports are free ones unless `ports` has one for a platform.
    `journal_file` keeps the journal and `journal_size` bounds it, see `Journal`. With `accept_unknown` the services take
    pushes for handles that were never registered.

    Raises: SandboxError: what `keep` finds cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ports: Mapping[str, int] | None = None,
        journal_file: Path | None = None,
        keep_payload: bool = True,
        journal_size: int | None = None,
        accept_unknown: bool = False,
        keep: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._ports = ports or {}
        self._issued = issued = Issued.kept(directory) if keep else Issued.made()
        authority = Authority(directory, keep=keep)
        self.journal = Journal(path=journal_file, keep_payload=keep_payload, size=journal_size, clock=clock)
        self.ca_file = authority.ca_file
        self._project_id = "pushbridge-sandbox"
        self._client_email = f"sender@{self._project_id}.iam.gserviceaccount.com"
        self._tenant, self._client_id = "pushbridge-sandbox", "ms-app-pushbridge"
        key = ProviderKey(team_id=issued.team_id, public_key=issued.apns_key.public_key())
        self._certificates = ProviderCertificates(directory, bundle_id=TOPIC, password=issued.client_secret, keep=keep)
        self.apns = Apns(
            journal=self.journal,
            context=self._certificates.asked_for(authority.server_context(Apns.versions)),
            keys={issued.key_id: key},
            topics=(TOPIC,),
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.fcm = Fcm(
            journal=self.journal,
            context=authority.server_context(Fcm.versions),
            project_id=self._project_id,
            client_email=self._client_email,
            key_id=issued.key_id,
            public_key=issued.fcm_key.public_key(),
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.wns = Wns(
            journal=self.journal,
            context=authority.server_context(Wns.versions),
            tenant=self._tenant,
            apps={self._client_id: issued.client_secret, PACKAGE_SID: issued.client_secret},
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self._vapid_point = raw_point(issued.vapid_key.public_key())
        self.webpush = WebPush(
            journal=self.journal,
            context=authority.server_context(WebPush.versions),
            vapid_key=self._vapid_point,
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.vendors = Vendors(
            journal=self.journal,
            authority=authority,
            secret=issued.client_secret,
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.by_platform: Mapping[str, PushService] = {
            service.name: service for service in (self.apns, self.fcm, self.wns, self.webpush, *self.vendors.all)
        }

    async def __aenter__(self) -> Self:
        """Start all; a port that is taken stops them again."""
        try:
            for name, service in self.by_platform.items():
                await service.start(self._ports.get(name, 0))
        except OSError:
            await self._stop()
            raise
        self._write_key_files()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for service in self.by_platform.values():
            await service.stop()
        self.journal.close()

    def _write_key_files(self) -> None:
        account = {
            "type": "service_account",
            "project_id": self._project_id,
            "private_key_id": self._issued.key_id,
            "private_key": pem(self._issued.fcm_key).decode(),
            "client_email": self._client_email,
            "token_uri": self.fcm.token_url,
        }
        write_secret(self.apns_credential.key_file, pem(self._issued.apns_key))
        write_secret(self.fcm_credential.service_account_file, json.dumps(account, indent=2).encode())
        write_secret(self.webpush_credential.key_file, pem(self._issued.vapid_key))

    @property
    def apns_credential(self) -> ApnsCredential:
        """For token authentication at `apns`."""
        return ApnsCredential(
            endpoint=self.apns.url,
            key_file=self._directory / f"AuthKey_{self._issued.key_id}.p8",
            key_id=self._issued.key_id,
            team_id=self._issued.team_id,
            topic=TOPIC,
            certificate_file=self._certificates.certificate_file,
            certificate_password=self._issued.client_secret,
        )

    @property
    def fcm_credential(self) -> FcmCredential:
        """For the service account of `fcm`."""
        return FcmCredential(
            endpoint=self.fcm.url,
            service_account_file=self._directory / "service-account.json",
            project_id=self._project_id,
        )

    @property
    def wns_credential(self) -> WnsCredential:
        """For the app of `wns`."""
        return WnsCredential(
            tenant=self._tenant,
            client_id=self._client_id,
            client_secret=self._issued.client_secret,
            token_url=self.wns.token_url,
            allowed_host=HOST,
            package_sid=PACKAGE_SID,
            store_token_url=self.wns.url + STORE_PATH,
        )

    @property
    def webpush_credential(self) -> WebPushCredential:
        """For pushes to the browsers of `webpush`."""
        return WebPushCredential(
            key_file=self._directory / "vapid.pem",
            public_key=base64url(self._vapid_point),
            subject="mailto:sandbox@pushbridge.example",
            network=HOST,
        )

    def make_handle(self, platform: str, number: int) -> str:
        """A well-formed push channel, another one for each number; nobody has registered it yet.

        Raises: ValueError: there is no such platform.
        """
        digest = hashlib.sha512(f"{platform} {number}".encode())
        match platform:
            case "apns":
                return digest.hexdigest()[:64].upper()
            case "fcmv1":
                return f"{digest.hexdigest()[:22]}:APA91b{digest.hexdigest()}"
            case "wns":
                return f"{self.wns.url}/?token={digest.hexdigest()}"
            case "browser":
                return self.webpush.push_channel(digest.hexdigest()[:64])
            case _ if make := self.vendors.handles().get(platform):
                return make(digest.hexdigest())
            case _:
                raise ValueError(f"no push service is called {platform!r}: it is one of {', '.join(self.by_platform)}")

    def add_phone(self, name: str, platform: str) -> VirtualPhone:
        """A phone with the app on it, known to its service and switched on; registering it at a hub is its own affair.

        Raises: ValueError: there is no such platform.
        """
        phone = VirtualPhone(name=name, platform=platform, handle=self.make_handle(platform, next(self._numbers)))
        self.by_platform[platform].register(phone.handle)
        phone.watch(self.journal)
        return phone
