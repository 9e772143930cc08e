"""What the settings of all push services have in common; each service's are a class of its own, in its folder."""

import re
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo

Secret = Annotated[SecretStr, Field(min_length=1)]


def _url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("not an address; write https://host, or https://host:port")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
"""Scheme, host and path; kept without a slash at its end."""


def _roots(path: Path, info: ValidationInfo) -> Path:
    path = (info.context or {}).get("directory", Path()) / path
    try:
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if not is_file:
        raise ValueError(f"there is no file {path}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:  # ssl.SSLError among them
        raise ValueError(f"there is no certificate in {path}; it has to be PEM") from None
    return path


CaFile = Annotated[Path, AfterValidator(_roots)]
"""Trusted roots in PEM. A relative path begins at the configuration's directory, which is in the context of validation."""


class PlatformSettings(BaseModel):
    """What one hub has to know to push through one service: credentials first.

    Keys are tried when the settings are read, so that one that only looks like a key stops nothing later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True)

    ca_file: CaFile | None = None
    """Certificates to trust in place of the system's."""

    @property
    def roots(self) -> str | None:
        """`ca_file` as the transport takes it."""
        return None if self.ca_file is None else str(self.ca_file)
