"""Files of a directory as sources; read `source.py`, then `claim.py`."""

from connectors.files.settings import FilesSettings
from connectors.files.source import FilesSource

__all__ = ["FilesSettings", "FilesSource"]
