"""Values of every kind that a configuration has, for `--no-secrets` to put where a secret would stand.

Each is good only for being read: no key of these is in use anywhere.
"""

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any


def samples(number: int) -> Iterator[str]:
    """Texts to try, the most likely first; those with `number` in them differ from those of another one."""
    host = f"withheld-{number}.invalid"
    yield f"withheld-{number}"
    yield f"{20_000 + number}"
    yield from (
        "false",
        "1000",
        "100",
        "10",
        "1",
        "0.5",
        "30s",
        "1ms",
        "1h",
        "7d",
        "1MiB",
        "UTC",
        "en",
        "utf-8",
        "lines",
        "WITHHELD00",
        "2030-01-01T00:00:00Z",
    )
    yield from (
        f"127.0.0.1:{20_000 + number}",
        f"/withheld-{number}",
        "direct",
        f"http://{host}:3128",
        f"https://{host}",
    )
    yield from (f"amqp://{host}/", f"amqps://{host}/", f"sqlite:///withheld-{number}.db", "(?P<withheld>.+)")
    yield f"Endpoint=sb://{host}/;SharedAccessKeyName=withheld;SharedAccessKey={_KEY}"
    yield _KEY
    yield from ("$", "{{ data.withheld }}", "withheld == 1", "data.withheld == 1")
    yield str(pem_file())
    yield from _private_keys()


_KEY = base64.b64encode(b"withheld" * 4).decode()
_FILES: list[tempfile.TemporaryDirectory[str]] = []


def _pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, plain)
    return text.decode()


def is_made_up(host: str) -> bool:
    """Whether a host is one of the samples."""
    return host.startswith("withheld-")


@cache
def _private_keys() -> tuple[str, ...]:
    """Of an elliptic curve and of RSA: as PEM, within a text of JSON, and as the account that has one."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    texts = []
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        pem = _pem(key)
        account = {"project_id": "withheld", "client_email": "withheld@withheld.invalid", "private_key": pem}
        texts += [pem, json.dumps(pem)[1:-1], json.dumps(account)]
    return tuple(texts)


@cache
def pem_file() -> Path:
    """A file with a certificate and the key that it belongs to; it goes with the process, and is no disk's on Linux."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "withheld.invalid")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return _file(_pem(key).encode() + certificate.public_bytes(serialization.Encoding.PEM))


def _file(content: bytes) -> Path:
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("withheld.pem")
        os.write(number, content)
        return Path(f"/proc/self/fd/{number}")
    _FILES.append(tempfile.TemporaryDirectory())
    file = Path(_FILES[-1].name) / "withheld.pem"
    file.write_bytes(content)
    return file
