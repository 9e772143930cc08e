"""What a hub has to know to send pigeons."""

from pathlib import Path

from hub.platforms.base import Sender
from hub.platforms.settings import PlatformSettings, Secret


class PigeonSettings(PlatformSettings):
    """Pigeons land in `loft`, a file, a line each."""

    ring: Secret
    """The ring that the pigeons of this hub wear."""
    loft: Path
    """The file where pigeons land."""

    def sender(self) -> Sender:
        """See `PlatformSettings.sender`."""
        from tests.pigeon.sender import PigeonSender

        return PigeonSender(self)
