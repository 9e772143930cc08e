"""The contract `Jobs` over a database."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from hub.errors import CapacityError, NotFoundError
from hub.job import Job, JobCursor, JobStatus, JobType
from hub.store.connection import Connection, Database, Row, Statement
from hub.store.contracts.listing import ListPage

_SLICE = 500
_RETRY_AFTER = 60.0

_COLUMNS = (
    "hub, id, type, output_uri, import_uri, properties, status, progress, failure, created_at, updated_at, cursor_json"
)
INSERT = Statement(
    "job.insert",
    f"INSERT INTO job ({_COLUMNS}) VALUES (:hub, :id, :type, :output_uri, :import_uri, :properties, :status, :progress,"
    " :failure, :now, :now, :cursor)",
)
COUNT_OPEN = Statement("job.count_open", "SELECT count(*) FROM job WHERE hub = :hub AND ended_at IS NULL")
BY_ID = Statement("job.by_id", f"SELECT {_COLUMNS} FROM job WHERE hub = :hub AND id = :id")
LISTED = Statement("job.list", f"SELECT {_COLUMNS} FROM job WHERE hub = :hub AND id > :after ORDER BY id LIMIT :limit")
OLDEST = Statement(
    "job.oldest",
    "SELECT hub, max(id) FROM job WHERE hub IN (:keys) AND ended_at IS NULL GROUP BY hub",
    columns=(("hub", "text"),),
)
TAKE = Statement(
    "job.take",
    "UPDATE job SET owner = :owner, leased_until = :until"
    " WHERE hub = :hub AND id = :id AND ended_at IS NULL AND (owner = :owner OR leased_until <= :now)"
    f" RETURNING {_COLUMNS}",
)
WRITE = Statement(
    "job.write",
    "UPDATE job SET status = :status, progress = :progress, failure = :failure, updated_at = :now, ended_at = :ended_at,"
    " cursor_json = :cursor, output_uri = :output_uri, import_uri = :import_uri, leased_until = :until"
    " WHERE hub = :hub AND id = :id AND owner = :owner RETURNING id",
)
RELEASE = Statement("job.release", "UPDATE job SET leased_until = 0 WHERE hub = :hub AND id = :id AND owner = :owner")
FORGET = Statement(
    "job.forget",
    "DELETE FROM job WHERE (hub, id) IN (SELECT hub, id FROM job WHERE updated_at < :before ORDER BY updated_at"
    " LIMIT :slice) RETURNING id",
)


class SqlJobs:
    """`now` gives the store's time, from any thread."""

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def put_job(self, job: Job, *, most: int) -> None:
        def put(connection: Connection) -> None:
            ((waiting,),) = connection.read(COUNT_OPEN, hub=job.hub)
            if waiting >= most:
                raise CapacityError(f"{waiting} jobs of the hub wait or run already", retry_after=_RETRY_AFTER)
            connection.write(INSERT, now=self._now(), **_values(job))

        await self._database.write(put)

    async def job(self, hub: str, job_id: str) -> Job:
        rows = await self._database.read(lambda connection: connection.read(BY_ID, hub=hub, id=job_id))
        if not rows:
            raise NotFoundError(f"job {job_id[:80]!r} not found")
        return _job(rows[0])

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        rows = await self._database.read(
            lambda connection: connection.read(LISTED, hub=hub, after=after, limit=limit + 1)
        )
        found = [_job(row) for row in rows[:limit]]
        return ListPage(items=found, next=found[-1].id if len(rows) > limit else "")

    async def take_jobs(self, hubs: Collection[str], *, owner: str, lease: float) -> Sequence[Job]:
        def take(connection: Connection) -> list[Job]:
            now = self._now()
            taken: list[Job] = []
            for hub, id in connection.read_by_keys(OLDEST, list(hubs)):
                rows = connection.write(TAKE, hub=hub, id=id, owner=owner, now=now, until=now + lease)
                taken += [_job(row) for row in rows]
            return taken

        # Nearly always there is none, and a look costs no write.
        if not await self._database.look(lambda connection: connection.read_by_keys(OLDEST, list(hubs))):
            return []
        return await self._database.write(take)

    async def write_job(self, job: Job, *, owner: str, lease: float) -> bool:
        def write(connection: Connection) -> bool:
            now = self._now()
            values = {name: value for name, value in _values(job).items() if name not in ("type", "properties")}
            ended_at = now if job.status.is_end else None
            return bool(connection.write(WRITE, **values, owner=owner, now=now, until=now + lease, ended_at=ended_at))

        return await self._database.write(write)

    async def release_job(self, job: Job, *, owner: str) -> None:
        await self._database.write(lambda connection: connection.write(RELEASE, hub=job.hub, id=job.id, owner=owner))

    async def forget_jobs(self, *, kept: float) -> bool:
        def forget(connection: Connection) -> bool:
            return len(connection.write(FORGET, before=self._now() - kept, slice=_SLICE)) == _SLICE

        return await self._database.write(forget)


def _values(job: Job) -> dict[str, Any]:
    shown = _without_signature if job.status.is_end else str
    return {
        "hub": job.hub,
        "id": job.id,
        "type": job.type.value,
        "output_uri": shown(job.output_container_uri),
        "import_uri": shown(job.import_file_uri),
        "properties": _json(job.input_properties),
        "status": job.status.value,
        "progress": job.progress,
        "failure": job.failure,
        "cursor": _json(asdict(job.cursor)),
    }


def _without_signature(uri: str) -> str:
    return uri.partition("?")[0]


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(value)).decode()


def _job(row: Row) -> Job:
    hub, id, type_, output_uri, import_uri, properties, status, progress, failure, created_at, updated_at, cursor = row
    return Job(
        id=id,
        hub=hub,
        type=JobType(type_),
        output_container_uri=output_uri,
        import_file_uri=import_uri,
        input_properties=orjson.loads(properties),
        status=JobStatus(status),
        progress=progress,
        failure=failure,
        created_at=created_at,
        updated_at=updated_at,
        cursor=JobCursor(**orjson.loads(cursor)),
    )
