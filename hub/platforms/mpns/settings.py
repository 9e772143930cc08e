"""What a hub has to know to push to Windows Phone 7 and 8: nothing, or a client certificate (`tls.cert`)."""

from typing import Annotated

from pydantic import Field

from hub.platforms.settings import PlatformSettings


class MpnsSettings(PlatformSettings):
    """MPNS, which Microsoft has retired. A client certificate in `tls` authenticates; without one pushes are anonymous."""

    allowed_hosts: Annotated[tuple[str, ...], Field(min_length=1)] = ("notify.live.net",)
    """Channels at other hosts are refused, as a phone may register any address."""
