"""TLS in settings: the same three keys wherever a connection has it, and the files tried when they are read."""

import ssl
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class ReadFile(_Path):
    """A path that equals another such only if both files held the same when read: a renewed certificate is another."""

    digest = b""

    def __eq__(self, other: object) -> bool:
        return bool(super().__eq__(other) is True and self.digest == getattr(other, "digest", self.digest))

    def __hash__(self) -> int:
        return super().__hash__()


def _existing(path: Path, info: ValidationInfo) -> Path:
    context = info.context or {}
    path = context.get("directory", Path()) / path
    if "files" in context:
        context["files"].add(path)
    try:
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if not is_file:
        raise ValueError(f"there is no file {path}")
    return path


def _read(path: Path) -> Path:
    file = ReadFile(path)
    try:
        file.digest = sha256(path.read_bytes()).digest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return file


def _roots(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:  # ssl.SSLError among them
        raise ValueError(f"there is no certificate in {path}; it has to be PEM") from None
    return path


NamedFile = Annotated[Path, AfterValidator(_existing)]
"""A file that is read again whenever it is needed. A relative path begins at the configuration's directory, which is in the
context of validation."""

ExistingFile = Annotated[NamedFile, AfterValidator(_read)]
"""A file that is read once: settings that name it are others after its content has changed."""

CaFile = Annotated[ExistingFile, AfterValidator(_roots)]
"""Trusted certificates in PEM."""


class Tls(BaseModel):
    """TLS of a client: which certificates it trusts, and the one it shows to a server that asks for one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    ca_file: CaFile | None = None
    """Certificates in PEM to trust in place of the system's; those of bridge.egress.ca_file unless set."""
    cert: ExistingFile | None = None
    """The certificate chain in PEM that is shown to a server that asks for one."""
    key: ExistingFile | None = None
    """The private key of cert in PEM, without a passphrase."""

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.cert is None and self.key is None:
            return self
        if self.cert is None or self.key is None:
            raise ValueError("cert and key go together")
        try:
            # Asked for a passphrase, OpenSSL would ask at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password="")
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            raise ValueError(
                "cert is no certificate in PEM, or key is not its private key without a passphrase"
            ) from None
        return self

    def client_context(self, *, roots: str | None = None) -> ssl.SSLContext:
        """A context for connections to servers; without `ca_file` it trusts the file `roots`, or the system's roots.

        Raises: OSError: a file is gone, or holds something else by now.
        """
        context = ssl.create_default_context(cafile=roots if self.ca_file is None else self.ca_file)
        if self.cert is not None and self.key is not None:
            context.load_cert_chain(self.cert, self.key, password="")
        return context
