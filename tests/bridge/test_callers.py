"""Who administers by a provider's token or by the word of a proxy: with which role, under which name, and who does not."""

import asyncio
import base64
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from bridge.admin.api.operation import PREFIX
from bridge.admin.callers import Callers
from bridge.admin.console.routes import console
from bridge.admin.http1 import Http1Protocol
from bridge.admin.roles import CERTIFICATE
from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.models.admin_auth import AdminAuth
from connectors.http.auth import KNOWN
from tests.bridge.examples import complaints
from tests.fakes.provider import Provider, rsa_key

SECRET = "canary-proxy"
SEND = {"everyone": True, "properties": {"title": "hi"}}
CONFIGURATION = """
bridge: {{ store: {{ url: "sqlite:///x.db" }} }}
listeners:
  admin:
    address: "127.0.0.1:0"
    {tls}
    auth: {auth}
  hub_api: {{ address: "127.0.0.1:0" }}
hubs:
  app:
    platforms: {{ wns: {{ tenant: t, client_id: c, client_secret: s, token_url: "https://127.0.0.1:1/token" }} }}
"""


@asynccontextmanager
async def daemon_with(directory: Path, auth: str, *, tls: str = "") -> AsyncIterator[Daemon]:
    config = directory / "c.yaml"
    config.write_text(CONFIGURATION.format(auth=auth, tls=tls))
    settings, problems = check(config)
    assert settings is not None, [str(problem) for problem in problems]
    daemon = Daemon(settings, console=console)
    with capture_logs():
        async with daemon.running():
            yield daemon


async def ask(
    daemon: Daemon, method: str, path: str, headers: Any, *, verify: Any = False, **more: Any
) -> httpx.Response:
    host, port = daemon.admin.address
    scheme = "http" if verify is False else "https"
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=30) as client:
        return await client.request(method, f"{scheme}://{host}:{port}{path}", headers=headers, **more)


async def role_of(daemon: Daemon, headers: Any, **more: Any) -> str:
    """What they may do, found by trying; empty for nothing."""
    tries = {
        "viewer": ("GET", f"{PREFIX}/status", {}),
        "operator": ("POST", f"{PREFIX}/hubs/app/notifications", {"json": SEND}),
        "admin": ("GET", f"{PREFIX}/users/nobody/export", {}),
    }
    role = ""
    for word, (method, path, body) in tries.items():
        answer = await ask(daemon, method, path, headers, **body, **more)
        if answer.status_code in (401, 403):
            break
        assert answer.status_code in (200, 201), answer.text
        role = word
    return role


# A provider's tokens


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(audience="pushbridge").serving() as provider:
        yield provider


def oidc(provider: Provider, more: str = "") -> str:
    return f'{{ oidc: {{ issuer: "{provider.issuer}", audience: pushbridge, operator: [ops, operator]{more} }} }}'


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@pytest.mark.parametrize(
    "claims, role",
    [
        ({"roles": ["viewer"]}, "viewer"),
        ({"roles": ["other", "ops"]}, "operator"),
        ({"roles": "viewer admin"}, "admin"),
        ({"roles": []}, ""),
        ({"roles": "administrators"}, ""),
        ({"roles": {"admin": True}}, ""),
        ({"roles": [["admin"], 7]}, ""),
        ({"groups": ["admin"]}, ""),
        ({"roles": ["admin"], "sub": None}, ""),
        ({"roles": ["admin"], "sub": "a\nb"}, ""),
    ],
)
async def test_a_claim_gives_the_role(tmp_path: Path, provider: Provider, claims: dict[str, Any], role: str) -> None:
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        token = provider.token("ann", **claims)
        assert await role_of(daemon, bearer(token)) == role


async def test_the_audit_names_the_person_of_the_token(tmp_path: Path, provider: Provider) -> None:
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        path = f"{PREFIX}/hubs/app/notifications"
        for claims in ({"preferred_username": "ann@acme.example"}, {}):
            given: dict[str, Any] = {"roles": ["ops"], **claims}
            headers = bearer(provider.token("8f1c", **given)) | {"pushbridge-actor": "boss"}
            assert (await ask(daemon, "POST", path, headers, json=SEND)).status_code == 201
        rows = (await daemon.hub.store.audit(limit=10)).items
        assert sorted(row.entry.actor for row in rows) == ["8f1c", "ann@acme.example"]


Make = Callable[[Provider], str]


@pytest.mark.parametrize(
    "make",
    [
        lambda provider: provider.token("ann", roles=["admin"], iss="https://other.example"),
        lambda provider: provider.token("ann", roles=["admin"], aud="another"),
        lambda provider: provider.token("ann", roles=["admin"], exp=1),
        lambda provider: provider.token("ann", roles=["admin"], exp=None),
        lambda provider: provider.token("ann", roles=["admin"], nbf=4_000_000_000),
        lambda provider: provider.token("ann", roles=["admin"], key=rsa_key(9)),
        lambda provider: provider.token("ann", roles=["admin"], key=rsa_key(9), headers={"kid": "rsa-9"}),
        lambda provider: jwt.encode(_claims(provider), "", algorithm="none", headers={"kid": "rsa-1"}),
        lambda provider: jwt.encode(_claims(provider), "x" * 32, algorithm="HS256", headers={"kid": "rsa-1"}),
        lambda provider: provider.token("ann", roles=["admin"])[:-8] + "AAAAAAAA",
        lambda provider: "a.b.c",
        lambda provider: "",
    ],
    ids=[
        "issuer", "audience", "expired", "without end", "not yet", "other key", "unknown key", "none", "HMAC",
        "signature", "no token", "nothing",
    ],
)  # fmt: skip
async def test_a_token_that_is_not_good_opens_nothing(tmp_path: Path, provider: Provider, make: Make) -> None:
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        answer = await ask(daemon, "GET", f"{PREFIX}/status", bearer(make(provider)))
        assert answer.status_code == 401, answer.text
        assert "Bearer" in answer.headers.get_list("www-authenticate")
        for path in ("/", "/metrics", "/-/reload"):
            assert (await ask(daemon, "GET", path, bearer(make(provider)))).status_code == 401


def _claims(provider: Provider) -> dict[str, Any]:
    return {"iss": provider.issuer, "aud": "pushbridge", "sub": "ann", "exp": 4_000_000_000, "roles": ["admin"]}


async def test_keys_that_the_provider_exchanges_are_taken_up_and_a_provider_that_is_away_is_said(
    tmp_path: Path, provider: Provider
) -> None:
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        provider.fails = True
        answer = await ask(daemon, "GET", f"{PREFIX}/status", bearer(provider.token("ann", roles=["viewer"])))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    provider.fails = False
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        assert await role_of(daemon, bearer(provider.token("ann", roles=["viewer"]))) == "viewer"
    provider.add_ec("ec-2")
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        token = provider.token("ann", key_id="ec-2", algorithm="ES256", roles=["viewer"])
        assert await role_of(daemon, bearer(token)) == "viewer"


async def test_the_console_takes_the_token_as_a_password_and_no_page_of_another_site_uses_it(
    tmp_path: Path, provider: Provider
) -> None:
    async with daemon_with(tmp_path, oidc(provider)) as daemon:
        shown = base64.b64encode(f"x:{provider.token('ann', roles=['operator'])}".encode()).decode()
        headers = {"authorization": f"Basic {shown}"}
        assert (await ask(daemon, "GET", "/", headers)).status_code == 200
        foreign = headers | {"origin": "https://evil.example"}
        answer = await ask(daemon, "POST", f"{PREFIX}/hubs/app/notifications", foreign, json=SEND)
        assert (answer.status_code, "another site" in answer.text) == (403, True)


# A proxy


def named(user: str, groups: str, secret: str = SECRET) -> list[tuple[str, str]]:
    return [("X-Forwarded-User", user), ("X-Forwarded-Groups", groups), ("Pushbridge-Proxy-Secret", secret)]


BY_SECRET = (
    f"{{ proxy: {{ secret: [{SECRET}, {SECRET}-next] }}, tokens: [{{ name: bob, role: viewer, token: t-bob }}] }}"
)


@pytest.mark.parametrize(
    "headers, role",
    [
        (named("ann", "staff, operator"), "operator"),
        (named("ann", "admin", f"{SECRET}-next"), "admin"),
        (named("ann", "staff"), ""),
        (named("", "admin"), ""),
        (named("ann, root", "admin"), ""),
        ([*named("", "admin")[1:], ("X_Forwarded_User", "ann")], ""),
        ([*named("ann", "viewer"), ("X_Forwarded_Groups", "admin")], "viewer"),
        (named("a" * 101, "admin"), ""),
        (named("ann", "admin")[1:], ""),
        (named("ann", "admin")[:2], ""),
        (named("ann", "admin", "wrong"), ""),
        ([*named("ann", "viewer"), ("X-Forwarded-Groups", "admin")], ""),
        ([*named("ann", "admin"), ("x-forwarded-user", "root")], ""),
        ([*named("ann", "admin", "wrong"), ("Pushbridge-Proxy-Secret", SECRET)], ""),
        ([*named("ann", "admin", "wrong"), ("authorization", "Bearer t-bob")], "viewer"),
        ([*named("ann", "operator"), ("authorization", "Bearer t-bob")], "operator"),
    ],
)
async def test_the_word_of_a_proxy_counts_with_its_secret_alone(
    tmp_path: Path, headers: list[tuple[str, str]], role: str
) -> None:
    async with daemon_with(tmp_path, BY_SECRET) as daemon:
        assert await role_of(daemon, headers) == role


async def test_the_audit_names_whom_the_proxy_names_and_its_pages_work(tmp_path: Path) -> None:
    async with daemon_with(tmp_path, BY_SECRET) as daemon:
        headers = [*named("Ann Ash", "operator"), ("Pushbridge-Actor", "boss")]
        assert (await ask(daemon, "GET", "/", headers)).status_code == 200
        sent = await ask(daemon, "POST", f"{PREFIX}/hubs/app/notifications", headers, json=SEND)
        assert sent.status_code == 201
        (row,) = (await daemon.hub.store.audit(limit=10)).items
        assert row.entry.actor == "Ann Ash"
        foreign = [*headers, ("Origin", "https://evil.example")]
        assert (await ask(daemon, "POST", f"{PREFIX}/hubs/app/notifications", foreign, json=SEND)).status_code == 403


def certificates(directory: Path, *names: str) -> None:
    """An authority in `ca.pem`, and for each name a certificate with its key in `NAME.pem`."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def made(subject: x509.Name, public: Any, *, ca: bool, san: str = "") -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if san:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(san)]), critical=False)
        return builder.sign(key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(made(issuer, key.public_key(), ca=True).public_bytes(pem))
    for name in names:
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.cn")])
        whole = made(subject, own.public_key(), ca=False, san=name).public_bytes(pem) + own.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / f"{name}.pem").write_bytes(whole)


PROXY_TLS = "tls: { cert: localhost.pem, key: localhost.pem, ca_file: ca.pem }"
PROXY_AUTH = "{ proxy: { certificate: sso.acme.example, role_header: X-Roles } }"


async def test_a_proxy_is_known_by_its_client_certificate(tmp_path: Path) -> None:
    certificates(tmp_path, "localhost", "sso.acme.example", "app.acme.example")
    headers = {"X-Forwarded-User": "ann", "X-Roles": "admin"}

    def showing(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        context.check_hostname = False
        if name:
            context.load_cert_chain(tmp_path / f"{name}.pem")
        return context

    async with daemon_with(tmp_path, PROXY_AUTH, tls=PROXY_TLS) as daemon:
        assert await role_of(daemon, headers, verify=showing("sso.acme.example")) == "admin"
        assert await role_of(daemon, headers, verify=showing("app.acme.example")) == ""
        with pytest.raises(httpx.TransportError):
            await role_of(daemon, headers, verify=showing(""))


@pytest.mark.parametrize(
    "auth, shown, known",
    [
        ({"proxy": {"certificate": "sso"}}, {"authorization": "Bearer t-bob"}, []),
        ({"proxy": {"certificate": "other"}}, {"authorization": "Bearer t-bob"}, ["authorization"]),
        ({"proxy": {"secret": SECRET}}, {"authorization": "Bearer t-bob"}, ["authorization"]),
        ({"proxy": {"secret": SECRET}}, {"pushbridge-proxy-secret": SECRET}, ["pushbridge-proxy-secret"]),
        ({"proxy": {"secret": SECRET}}, {"pushbridge-proxy-secret": "x"}, []),
    ],
)
async def test_a_secret_is_called_good_where_it_was_compared_and_nothing_beside_it(
    auth: dict[str, Any], shown: dict[str, str], known: list[str]
) -> None:
    """Else a user behind a proxy that shows a certificate marks a header of his own as good, which was never looked at."""
    tokens = [{"name": "bob", "role": "viewer", "token": "t-bob"}]
    callers = Callers(AdminAuth.model_validate({**auth, "tokens": tokens}))
    fields = {"x-forwarded-user": "ann", "x-forwarded-groups": "admin", **shown}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    found: list[str] = []
    await callers.caller({"type": "http", "headers": headers, CERTIFICATE: ["sso"], KNOWN: found})
    assert found == known


@asynccontextmanager
async def kept_alive(directory: Path, daemon: Daemon) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """One connection of the proxy, which asks as an admin; the status of the answer, or ConnectionError."""
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.check_hostname = False
    context.load_cert_chain(directory / "sso.acme.example.pem")
    reader, writer = await asyncio.open_connection(*daemon.admin.address, ssl=context)

    async def ask() -> int:
        writer.write(
            f"GET {PREFIX}/audit HTTP/1.1\r\nhost: x\r\nx-forwarded-user: ann\r\nx-roles: admin\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length))
        return int(head.split()[1])

    try:
        yield ask
    finally:
        writer.close()


async def test_a_proxy_s_connection_ends_when_the_certificates_that_are_good_change(tmp_path: Path) -> None:
    """Else it would be believed for as long as it is kept alive, though its authority is trusted no longer."""
    certificates(tmp_path, "localhost", "sso.acme.example")
    async with daemon_with(tmp_path, PROXY_AUTH, tls=PROXY_TLS) as daemon, kept_alive(tmp_path, daemon) as ask:
        assert [await ask(), await ask()] == [200, 200]
        (tmp_path / "of-before").mkdir()
        for name in ("ca", "localhost", "sso.acme.example"):
            (tmp_path / f"{name}.pem").rename(tmp_path / "of-before" / f"{name}.pem")
        certificates(tmp_path, "localhost")
        await daemon.apply(daemon.settings, config_hash="another authority")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)):
            async with kept_alive(tmp_path / "of-before", daemon) as again:
                await again()


async def test_a_certificate_that_ends_while_its_connection_lives_says_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(tmp_path, "localhost", "sso.acme.example")
    async with daemon_with(tmp_path, PROXY_AUTH, tls=PROXY_TLS) as daemon, kept_alive(tmp_path, daemon) as ask:
        assert await ask() == 200
        two_hours_on = time.time() + 7200
        monkeypatch.setattr(Http1Protocol, "now", staticmethod(lambda: two_hours_on))
        assert await ask() == 401


@pytest.mark.parametrize(
    "auth, complaint",
    [
        ("{ proxy: {} }", "write certificate or secret"),
        ("{ proxy: { certificate: a, secret: b } }", "write certificate or secret"),
        ("{ proxy: { certificate: sso } }", "the listener asks for none"),
        ("{ proxy: { secret: s, user_header: Authorization } }", "headers of their own"),
        ("{ proxy: { secret: s, user_header: X-A, role_header: x-a } }", "headers of their own"),
        ("{ proxy: { secret: s, user_header: 'X A' } }", "expected the name of a header"),
        ("{ oidc: { issuer: 'http://login.example', audience: a } }", "write https://"),
        ("{ oidc: { issuer: 'https://login.example', audience: a, algorithms: [HS256] } }", "algorithms"),
        ("{ oidc: { issuer: 'https://login.example' } }", "audience"),
        ("{}", "write bearer, basic, tokens, oidc or proxy"),
    ],
)
def test_what_would_trust_too_much_is_a_mistake(tmp_path: Path, auth: str, complaint: str) -> None:
    found = complaints(tmp_path, CONFIGURATION.format(auth=auth, tls=""))
    assert any(complaint in each for each in found), found
