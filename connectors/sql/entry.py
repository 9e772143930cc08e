"""Databases in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector
from connectors.sql.settings import SqlSettings
from connectors.sql.source import SqlSource, probe

META: Mapping[str, str] = {
    "table": "The table that the row is of.",
    "id": "The value of the column that tells rows apart.",
    "row": "The columns of the row by their names, as in `meta.row.account`.",
}


def _source(name: str, settings: SqlSettings, capacity: Capacity) -> SqlSource:
    return SqlSource(name, settings, offsets=capacity.offsets)


SQL = Connector(
    key="sql",
    title="SQL",
    doc="Rows of a table of a database: of an outbox, or above a watermark.",
    settings=SqlSettings,
    make_source=_source,
    meta=META,
    has_position=True,
    keeps_dead_letters=False,
    unproxied=lambda settings: settings.host,  # drivers know no proxy
    probe=probe,
    main_setting="url",
    sample=('{ url: "${env:DATABASE_URL:-sqlite:///NAME.db}", outbox: { table: push_outbox, id: id, done: delete } }'),
)
