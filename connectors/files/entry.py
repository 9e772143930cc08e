"""Files in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector
from connectors.files.settings import FilesSettings
from connectors.files.source import FilesSource, probe

META: Mapping[str, str] = {
    "file_name": "The name that the file came with.",
    "number": "The number of the line in its file, from 1; 1 for a whole file.",
    "size": "How many bytes the file has.",
    "modified": "When the file was last written, as ISO 8601 text.",
}


def _source(name: str, settings: FilesSettings, capacity: Capacity) -> FilesSource:
    return FilesSource(name, settings, offsets=capacity.offsets, max_body=capacity.max_body)


FILES = Connector(
    key="files",
    title="Files",
    doc="Files that are written into a directory, each a message, or each of its lines.",
    settings=FilesSettings,
    make_source=_source,
    meta=META,
    has_position=True,
    keeps_dead_letters=False,
    probe=probe,
    main_setting="path",
    sample="{ path: incoming/NAME, records: lines }",
)
