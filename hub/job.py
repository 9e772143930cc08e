"""Jobs that export or import the registrations of a hub (Notification Hubs REST API, "Create an import or export job")."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

_TICKS = 10**7  # a second, as .NET counts
_LAST_TICK = 3_155_378_975_999_999_999  # of the year 9999, from the year 1 on
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


class JobType(Enum):
    """What a job does; the values are the wire contract's."""

    EXPORT = "ExportRegistrations"
    CREATE = "ImportCreateRegistrations"
    UPDATE = "ImportUpdateRegistrations"
    DELETE = "ImportDeleteRegistrations"
    UPSERT = "ImportUpsertRegistrations"

    @property
    def is_import(self) -> bool:
        return self is not JobType.EXPORT


class JobStatus(Enum):
    """How a job stands; the values are the wire contract's."""

    STARTED = "Started"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def is_end(self) -> bool:
        return self in (JobStatus.COMPLETED, JobStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCursor:
    """How far a job has come: all that a restart needs to go on.

    `position` is the place in the list of registrations of an export, and a byte of the import file. `total` are the
    registrations or the bytes in all; `etag` is the import file's, which may not change. `lines` are those read or
    written; `output_blocks` and `failed_blocks` are the blocks of both blobs that are put and not yet committed.
    """

    position: str = ""
    total: int = 0
    etag: str = ""
    lines: int = 0
    failed_lines: int = 0
    output_blocks: int = 0
    failed_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of a hub. URIs hold shared access signatures until the job has ended; `progress` is 0 to 100.

    Times are seconds since 1970.
    """

    id: str
    hub: str
    type: JobType
    output_container_uri: str = field(repr=False)
    import_file_uri: str = field(default="", repr=False)
    input_properties: Mapping[str, str] = field(default_factory=dict)
    status: JobStatus = JobStatus.STARTED
    progress: float = 0.0
    failure: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    cursor: JobCursor = JobCursor()


def new_job_id(now: float) -> str:
    """As the service makes them: the ticks that are left of time, then a UUID, so that the newest comes first by id."""
    passed = datetime.fromtimestamp(now, UTC) - _EPOCH
    ticks = (passed.days * 86_400 + passed.seconds) * _TICKS + passed.microseconds * 10
    return f"{_LAST_TICK - ticks:019}{uuid.uuid4()}"
