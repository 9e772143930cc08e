"""Runs the jobs of this process's hubs: one a hub at a time, a step at a time, each step written down when it is done."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hub.backoff import Backoff
from hub.errors import BlobError, BlobUnavailableError, StoreError
from hub.facts import Crashed, JobEnded
from hub.job import Job, JobStatus
from hub.jobs import exporting, importing
from hub.jobs.lines import Lines
from hub.jobs.registering import Registering
from hub.jobs.settings import JobSettings
from hub.observer import Observer
from hub.store.contracts.jobs import Jobs

if TYPE_CHECKING:
    from hub.transport.blobs import Blobs

LEASE = 60.0
"""Seconds after which another process takes the job of one that has died."""

_LOOK_EVERY = 2.0
_TRIES = 20
"""How often in a row the host of the blobs may fail; with the pauses between, for about ten minutes."""


class JobRunner:
    """`run` as a task. `settings` are asked for each time: by hub, for those whose jobs run here.

    `new_job` is set where a job was submitted in this process. `piece` are the bytes of an import file read together.
    """

    def __init__(
        self,
        hub: Registering,
        store: Jobs,
        lines: Lines,
        *,
        settings: Callable[[], Mapping[str, JobSettings]],
        observer: Observer,
        new_job: asyncio.Event,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        piece: int = importing.PIECE,
    ) -> None:
        self._hub = hub
        self._store = store
        self._lines = lines
        self._settings = settings
        self._observer = observer
        self._new_job = new_job
        self._sleep = sleep
        self._piece = piece
        self._owner = secrets.token_hex(8)
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Until cancelled; a job under way is left for the next process, which goes on where it was."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._new_job.clear()
                for job in await self._take():
                    self._busy.add(job.hub)
                    group.create_task(self._run(job))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._new_job.wait()

    async def _take(self) -> list[Job]:
        free = [hub for hub in self._settings() if hub not in self._busy]
        try:
            return list(await self._store.take_jobs(free, owner=self._owner, lease=LEASE)) if free else []
        except StoreError:
            return []  # reported by the store's health, and tried again

    async def _run(self, job: Job) -> None:
        settings = self._settings().get(job.hub, JobSettings())
        from hub.transport.blobs import Blobs  # its HTTP client is loaded with the first job

        blobs = Blobs(settings.access, settings)
        keeping = asyncio.create_task(self._keep_lease(job))
        try:
            await self._go(job, blobs)
        except Exception as error:  # a mistake of ours ends this job, and no other
            self._observer.observe(Crashed(work="job", error=error))
            await self._end(_failed(job, "internal error"))
        finally:
            keeping.cancel()
            self._busy.discard(job.hub)
            self._new_job.set()  # another one may wait
            try:  # a second time cancelled, it closes all the same
                with suppress(StoreError):
                    await asyncio.shield(self._store.release_job(job, owner=self._owner))
            finally:
                await blobs.close()

    async def _go(self, job: Job, blobs: "Blobs") -> None:
        backoff, failures = Backoff(first=1.0, longest=60.0), 0
        is_repeated = job.status is not JobStatus.STARTED  # by whom it was before
        if job.status is JobStatus.STARTED:
            job = replace(job, status=JobStatus.RUNNING)
            if not await self._write(job):
                return
        while not job.status.is_end:
            try:
                after = await self._step(job, blobs, is_repeated)
            except BlobUnavailableError as error:
                failures += 1
                is_repeated = True
                if failures < _TRIES:
                    await self._sleep(backoff.next())
                    continue
                after = _failed(job, str(error))
            except BlobError as error:
                after = _failed(job, str(error))
            except StoreError:
                is_repeated = True
                await self._sleep(backoff.next())
                continue
            if after.status.is_end:
                await self._end(after)
            elif not await self._write(after):
                return  # another process has it
            job, failures, is_repeated = after, 0, False
            backoff.reset()

    async def _end(self, job: Job) -> None:
        if await self._write(job):
            self._observer.observe(JobEnded(job=job))

    async def _step(self, job: Job, blobs: "Blobs", is_repeated: bool) -> Job:
        if job.type.is_import:
            return await importing.step(job, self._hub, self._lines, blobs, is_repeated=is_repeated, piece=self._piece)
        return await exporting.step(job, self._hub, self._lines, blobs)

    async def _write(self, job: Job) -> bool:
        """Whether the job is still ours; asked for as long as the store fails."""
        backoff = Backoff(first=1.0, longest=60.0)
        while True:
            try:
                return await self._store.write_job(job, owner=self._owner, lease=LEASE)
            except StoreError:
                await self._sleep(backoff.next())

    async def _keep_lease(self, job: Job) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            with suppress(StoreError):
                await self._store.take_jobs([job.hub], owner=self._owner, lease=LEASE)


def _failed(job: Job, failure: str) -> Job:
    return replace(job, status=JobStatus.FAILED, failure=failure)
