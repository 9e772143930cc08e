"""What a hub has to know to send pigeons."""

from pathlib import Path

from hub.platforms.settings import PlatformSettings, Secret


class PigeonSettings(PlatformSettings):
    """Pigeons land in `loft`, a file, a line each."""

    ring: Secret
    """The ring that the pigeons of this hub wear."""
    loft: Path
    """The file where pigeons land."""
