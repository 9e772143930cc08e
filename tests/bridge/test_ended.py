"""What the times of a listener's certificate, and the bytes of a mounted secret, come to before and after they go wrong."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from time import sleep

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.ended import good_until, refused
from bridge.config.load import check
from rules import read_files
from rules.document import MAX_FILE

CONFIG = """
version: 1
bridge: {{ store: {{ allow_ephemeral: true }} }}
listeners:
  admin: {{ address: "127.0.0.1:8080", tls: {{ cert: cert.pem, key: cert.pem }}, auth: {{ bearer: "${{file:token}}" }} }}
sources: {{ a: {{ http: {{ path: /in/a }}, map: {{ id: "{{{{ data.id }}}}" }} }} }}
"""


def certificate(directory: Path, *, begins: timedelta, ends: timedelta, topic: str = "") -> None:
    """`cert.pem` with its key, from and until so long after now."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]
    attributes += [x509.NameAttribute(NameOID.USER_ID, topic)] if topic else []
    name = x509.Name(attributes)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    own = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "cert.pem").write_bytes(made.public_bytes(pem) + own)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    certificate(tmp_path, begins=timedelta(days=-1), ends=timedelta(days=90))
    (tmp_path / "token").write_text("a token\n")
    (tmp_path / "c.yaml").write_text(CONFIG.format())
    return tmp_path / "c.yaml"


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "begins, ends, complaint, health",
    [
        (-DAY, 90 * DAY, "", "ok"),
        (-DAY, 3 * DAY, "", "warning"),
        (-9 * DAY, -DAY, "has ended on", "failed"),
        (DAY, 90 * DAY, "begins on", "failed"),
    ],
)
def test_a_certificate_that_clients_refuse_or_soon_will_is_named_with_its_cure(
    config: Path, begins: timedelta, ends: timedelta, complaint: str, health: str
) -> None:
    certificate(config.parent, begins=begins, ends=ends)
    settings, problems = check(config, environ={})
    assert settings is not None, "it starts all the same: who is let in by another listener still is"
    assert [problem.message for problem in problems if complaint and complaint in problem.message] or not complaint
    assert len(problems) == bool(complaint)
    found = orjson.loads(CliRunner().invoke(app, ["doctor", "--json", str(config)]).stdout)
    (seen,) = found["certificates"]
    assert (seen["name"], seen["health"], bool(seen["cure"])) == ("admin", health, health != "ok")


def test_the_day_of_its_end_is_its_last() -> None:
    assert refused(0.0, 86_400.0, 86_399.0) == ""
    assert "1970-01-02 00:00 UTC" in refused(0.0, 86_400.0, 86_400.0)
    assert good_until(86_400.0, 0.0).endswith("1 day")


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \n", "nothing but blanks"),
        (b"two\nlines\n", "line break"),
        (b"nul\0l\n", "control character"),
        (b" led\n", "begins or ends with a blank"),
        (b"\xff\xfe\n", "is not UTF-8"),
        (b"x" * (MAX_FILE + 1), "larger than 1024 KiB"),
    ],
)
def test_a_secret_that_no_caller_can_show_is_a_mistake(config: Path, content: bytes, complaint: str) -> None:
    (config.parent / "token").write_bytes(content)
    settings, problems = check(config, environ={})
    assert settings is None
    assert any(complaint in problem.message for problem in problems), problems


@pytest.mark.parametrize("content", [b"a token", b"a token\n", b"a token\r\n", b"\xef\xbb\xbfa token\r\n"])
def test_how_an_editor_ends_or_marks_a_file_is_no_part_of_the_secret(config: Path, content: bytes) -> None:
    (config.parent / "token").write_bytes(content)
    settings, problems = check(config, environ={})
    assert settings is not None, problems
    auth = settings.listeners.admin.auth
    assert auth is not None
    assert auth.authorization() == b"Bearer a token"


def test_a_pipe_that_nobody_writes_holds_up_a_reload_for_seconds_alone(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_files, "_PATIENCE", 0.1)
    (config.parent / "token").unlink()
    os.mkfifo(config.parent / "token")
    settings, problems = check(config, environ={})
    assert settings is None
    assert any("nobody wrote this pipe to its end" in problem.message for problem in problems), problems


def test_a_pipe_is_read_to_the_end_of_its_writer_however_slow(config: Path) -> None:
    (config.parent / "token").unlink()
    os.mkfifo(config.parent / "token")

    def write() -> None:
        with (config.parent / "token").open("wb", buffering=0) as pipe:
            for part in (b"a t", b"oken"):
                sleep(0.05)
                pipe.write(part)

    writer = Thread(target=write)
    writer.start()
    settings, problems = check(config, environ={})
    writer.join()
    assert settings is not None, problems
    auth = settings.listeners.admin.auth
    assert auth is not None
    assert auth.authorization() == b"Bearer a token"
