"""Where blobs may be: a client of the API names the URL, and must not reach what only this machine reaches."""

import socket
from typing import Any

import pytest

from hub.errors import BlobError, InvalidRequestError
from hub.transport.blob_access import BlobAccess
from hub.transport.blobs import Blobs


@pytest.mark.parametrize(
    "url",
    [
        "http://account.example/box",
        "ftp://account.example/box",
        "https://account.example",
        "https://account.example/",
        "https://user@account.example/box",
        "https://account.example/box#part",
        "https://account.example:x/box",
        "https://account.example/b x",
        "https://account.example/b\nx",
        "https:///box",
        f"https://account.example/{'x' * 5000}",
        "https://127.0.0.1/box",
        "https://10.0.0.1:8443/box",
        "https://169.254.169.254/metadata",
        "https://100.64.0.1/box",
        "https://[::1]/box",
        "https://[::ffff:10.0.0.1]/box",
        "https://[64:ff9b::7f00:1]/box",
        "https://[fd00::1]/box",
        "https://224.0.0.1/box",
    ],
)
def test_no_blob_is_at_such_a_url(url: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        BlobAccess().check(url)
    assert "user" not in str(raised.value)


def test_hosts_that_are_named_are_the_only_ones_and_may_be_private() -> None:
    named = BlobAccess(("blobs.corp.example", "10.0.0.0/8"))
    named.check("http://10.1.2.3:10000/account/box?sig=1")
    named.check("https://a.blobs.corp.example/box")
    for url in ("https://account.example/box", "https://192.168.0.1/box"):
        with pytest.raises(InvalidRequestError, match="none of those"):
            named.check(url)
    BlobAccess().check("https://8.8.8.8/box")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254"])
async def test_a_name_with_a_private_address_is_not_connected_to(monkeypatch: Any, address: str) -> None:
    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    blobs = Blobs(BlobAccess())
    with pytest.raises(BlobError, match="has a private address"):
        await blobs.properties("https://innocent.example/box?sig=secret")
    await blobs.close()
