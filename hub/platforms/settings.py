"""What the settings of all push services have in common; each service's are a class of its own, in its folder."""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from hub.egress import Egress

Secret = Annotated[SecretStr, Field(min_length=1)]


def _url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("not an address; write https://host, or https://host:port")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
"""Scheme, host and path; kept without a slash at its end."""


class PlatformSettings(Egress):
    """What one hub has to know to push through one service: credentials first.

    Keys are tried when the settings are read, so that one that only looks like a key stops nothing later.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    def for_hub(self, name: str) -> Self:
        """The settings as the hub of this name means them."""
        return self

    @property
    def usual_fields(self) -> Mapping[str, str]:
        """Header fields, by lower-case name, of pushes that give none."""
        return {}
