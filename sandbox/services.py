"""All push services of a sandbox together, with one CA, one journal, and the credentials a sender needs for them."""

import functools
import hashlib
import itertools
import json
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sandbox.apns import Apns
from sandbox.fcm import Fcm
from sandbox.journal import Clock, Journal, utc_now
from sandbox.phones import VirtualPhone
from sandbox.provider_token import ProviderKey
from sandbox.server import HOST
from sandbox.service import PushService
from sandbox.tls import Authority
from sandbox.wns import Wns

TOPIC = "com.example.pushbridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsCredential:
    """What Apple would have handed out; `key_file` is the `.p8`."""

    endpoint: str
    key_file: Path
    key_id: str
    team_id: str
    topic: str


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


class PushServices:
    """APNs, FCM and WNS on loopback: `async with PushServices(directory) as services`.

    `directory` has to exist. CA and credentials are made anew; the credential files and the endpoints are there
    once started. Ports are free ones unless given. `journal_file` keeps the journal, see `Journal`. With
    `accept_unknown` the services take pushes for handles that nobody registered.
    """

    def __init__(
        self,
        directory: Path,
        *,
        apns_port: int = 0,
        fcm_port: int = 0,
        wns_port: int = 0,
        journal_file: Path | None = None,
        keep_payload: bool = True,
        accept_unknown: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._ports = (apns_port, fcm_port, wns_port)
        self.journal = Journal(path=journal_file, keep_payload=keep_payload, clock=clock)
        authority = Authority(directory)
        self.ca_file = authority.ca_file
        self._key_id, self._team_id = _identifier(), _identifier()
        self._apns_key = ec.generate_private_key(ec.SECP256R1())
        self._fcm_key = _rsa_key()
        self._project_id = "pushbridge-sandbox"
        self._client_email = f"sender@{self._project_id}.iam.gserviceaccount.com"
        self._tenant, self._client_id = "pushbridge-sandbox", "ms-app-pushbridge"
        self._client_secret = secrets.token_urlsafe(24)
        key = ProviderKey(team_id=self._team_id, public_key=self._apns_key.public_key())
        self.apns = Apns(
            journal=self.journal,
            context=authority.server_context(Apns.versions),
            keys={self._key_id: key},
            topics=(TOPIC,),
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.fcm = Fcm(
            journal=self.journal,
            context=authority.server_context(Fcm.versions),
            project_id=self._project_id,
            client_email=self._client_email,
            key_id=self._key_id,
            public_key=self._fcm_key.public_key(),
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.wns = Wns(
            journal=self.journal,
            context=authority.server_context(Wns.versions),
            tenant=self._tenant,
            apps={self._client_id: self._client_secret},
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self._services: tuple[PushService, ...] = (self.apns, self.fcm, self.wns)

    async def __aenter__(self) -> Self:
        """Start all three; a port that is taken stops them again."""
        try:
            for service, port in zip(self._services, self._ports, strict=True):
                await service.start(port)
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
        for service in self._services:
            await service.stop()
        self.journal.close()

    def _write_key_files(self) -> None:
        account = {
            "type": "service_account",
            "project_id": self._project_id,
            "private_key_id": self._key_id,
            "private_key": _pem(self._fcm_key).decode(),
            "client_email": self._client_email,
            "token_uri": self.fcm.token_url,
        }
        _write_secret(self.apns_credential.key_file, _pem(self._apns_key))
        _write_secret(self.fcm_credential.service_account_file, json.dumps(account, indent=2).encode())

    @property
    def apns_credential(self) -> ApnsCredential:
        """For token authentication at `apns`."""
        return ApnsCredential(
            endpoint=self.apns.url,
            key_file=self._directory / f"AuthKey_{self._key_id}.p8",
            key_id=self._key_id,
            team_id=self._team_id,
            topic=TOPIC,
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
            client_secret=self._client_secret,
            token_url=self.wns.token_url,
            allowed_host=HOST,
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
            case _:
                raise ValueError(f"no push service is called {platform!r}: it is apns, fcmv1 or wns")

    def add_phone(self, name: str, platform: str) -> VirtualPhone:
        """A phone with the app on it, known to its service and switched on; registering it at a hub is its own affair.

        Raises: ValueError: there is no such platform.
        """
        phone = VirtualPhone(name=name, platform=platform, handle=self.make_handle(platform, next(self._numbers)))
        service = next(service for service in self._services if service.name == platform)
        service.register(phone.handle)
        phone.watch(self.journal)
        return phone


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """One a process: making it takes longer than everything else in a start."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _identifier() -> str:
    """Ten characters, as Apple's key and team ids are."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(10))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    encryption = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
