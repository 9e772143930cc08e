"""Jobs that export and import the registrations of a hub: what is kept of each, and whose turn it is."""

from collections.abc import Collection, Sequence
from typing import Protocol

from hub.job import Job
from hub.store.contracts.listing import ListPage


class Jobs(Protocol):
    """Every method may raise StoreError. `owner` names the process that works on a job, `lease` is in seconds."""

    async def put_job(self, job: Job, *, most: int) -> None:
        """Keep a new job, unless `most` of its hub wait or run. Raises: CapacityError."""

    async def job(self, hub: str, job_id: str) -> Job:
        """Raises: NotFoundError."""

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        """Newest first."""

    async def take_jobs(self, hubs: Collection[str], *, owner: str, lease: float) -> Sequence[Job]:
        """The oldest open job of each of `hubs` that no other owner has a lease on."""

    async def write_job(self, job: Job, *, owner: str, lease: float) -> bool:
        """Write status, progress, failure and cursor, and lengthen the lease; False: another owner has the job.

        A job that has ended loses the signatures in its URIs.
        """

    async def release_job(self, job: Job, *, owner: str) -> None:
        """Let any owner take it at once."""

    async def forget_jobs(self, *, kept: float) -> bool:
        """Drop a slice of jobs of which nothing was written for `kept` seconds; whether more is left."""
