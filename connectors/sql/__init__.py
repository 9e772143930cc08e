"""Tables of a relational database as sources, through SQLAlchemy; read `source.py`, then `outbox.py` or `watermark.py`.

Importing this package imports neither SQLAlchemy nor a driver: that happens with the first `connect`.
"""

from connectors.sql.settings import SqlSettings
from connectors.sql.source import SqlSource

__all__ = ["SqlSettings", "SqlSource"]
