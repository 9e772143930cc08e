"""No connection is older than TLS 1.2, whichever side we are, also where the machine's OpenSSL would take what is older."""

import ssl
import warnings
from pathlib import Path

import pytest

from bridge.config.models.credentials import ListenerTls
from hub.tls import Tls
from hub.transport.contexts import Contexts
from sandbox.tls import Authority

LOOSE = "ALL:@SECLEVEL=0"
"""What lets OpenSSL sign as TLS 1.1 does: the version alone decides."""


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """The version that both agree on. Raises: ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0].version()


def limited(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is about the old versions
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    context.set_ciphers(LOOSE)
    return context


def ours(name: str, directory: Path) -> tuple[ssl.SSLContext, bool]:
    """A context of ours, and whether it is a client's."""
    tls = Tls(ca_file=directory / "ca.pem")
    match name:
        case "a listener":
            pem = directory / "server.pem"
            context, is_client = ListenerTls(cert=pem, key=pem).server_context(), False
        case "a client":
            context, is_client = tls.client_context(), True
        case _:
            context, is_client = Contexts(tls).current(), True
    context.set_ciphers(LOOSE)
    return context, is_client


@pytest.mark.parametrize("name", ["a listener", "a client", "a client of push services"])
def test_what_is_older_than_tls_1_2_is_refused(name: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context, is_client = ours(name, tmp_path)

    def meets(version: ssl.TLSVersion) -> str | None:
        if is_client:
            other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            other.load_cert_chain(tmp_path / "server.pem")
            return handshake(context, limited(other, version))
        other = ssl.create_default_context(cafile=authority.ca_file)
        return handshake(limited(other, version), context)

    assert meets(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert meets(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
            meets(old)
